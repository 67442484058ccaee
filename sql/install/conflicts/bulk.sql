-- The open conflicts a filter means. Keys, all optional: organization (id or code), field, author, older_than (interval),
-- conflicts (array of ids).
create function filtered_conflicts(filter jsonb) returns bigint[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    scope   text;
    visible text[] := visible_organizations();
begin
    perform require_keys(filter, array['organization', 'field', 'author', 'older_than', 'conflicts']);
    scope := organization_of(filter->>'organization');
    return array(
        select c.id from pfa_sync_conflict c
         where c.status = 'unresolved'
           and c.organization_id = any (visible)
           and (scope is null or c.organization_id = scope)
           and (filter->>'field' is null or filter->>'field' = any (c.conflict_fields))
           and (filter->>'author' is null or c.author = filter->>'author')
           and (filter->>'older_than' is null or c.created_at < now() - (filter->>'older_than')::interval)
           and (filter->'conflicts' is null or c.id in (select x::bigint from jsonb_array_elements_text(filter->'conflicts') x))
         order by c.id);
end
$$;

-- One value for the state of conflicts and their records that a bulk resolution was previewed on.
create function conflicts_digest(conflict_ids bigint[], resolution text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if resolution is null or resolution not in ('use_local', 'use_pems') then
        raise exception 'conflicts are resolved in bulk by use_local or use_pems, not %', coalesce(resolution, 'nothing') using errcode = 'PF001';
    end if;
    return (select md5(conflicts_digest.resolution || coalesce(string_agg(format('%s:%s', c.id, r.version), ',' order by c.id), ''))
              from pfa_sync_conflict c left join mirror r on r.mirror_id = c.mirror_id where c.id = any (conflict_ids));
end
$$;

-- What a bulk resolution would do: how many conflicts and records, how many of them can't be resolved so (and stay open),
-- and a digest that resolve_conflicts takes.
create function pfa_sync.preview_resolution(filter jsonb, resolution text, user_id text default null)
    returns table (conflicts bigint, records bigint, sends bigint, refused bigint, by_field jsonb, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    ids bigint[] := filtered_conflicts(filter);
begin
    return query
        select (select count(*) from unnest(ids)), count(distinct j.mirror_id),
               count(*) filter (where j.apply <> '{}' and j.verdict <> 'failed'), count(*) filter (where j.verdict = 'failed'),
               (select coalesce(jsonb_object_agg(f.field, f.n), '{}') from (
                    select u.field, count(*) as n from pfa_sync_conflict c, unnest(c.conflict_fields) u (field) where c.id = any (ids) group by 1) f),
               conflicts_digest(ids, resolution)
          from judge_resolutions(ids, resolution, acting_user(user_id)) j;
end
$$;
comment on function pfa_sync.preview_resolution(jsonb, text, text) is 'Counts and digest of a bulk resolution; stores nothing.';

-- Raises PF002 unless the acting user may resolve in every organization of the conflicts.
create function require_resolver(conflict_ids bigint[], actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_permission(actor, o.organization_id, 'perm_Sync')
       from (select distinct c.organization_id from pfa_sync_conflict c where c.id = any (conflict_ids)) o;
end
$$;

-- Carries out a bulk resolution if everything is still as previewed. Conflicts that can't be resolved so stay open.
create function pfa_sync.resolve_conflicts(filter jsonb, resolution text, resolved_by text, digest text)
    returns table (resolved bigint, queued bigint, refused bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    actor   text := acting_user(resolved_by);
    ids     bigint[];
    rest    bigint[];
    round_ids bigint[];
    judged  judgement[];
    clean   judgement[];
    totals  bigint[] := '{0,0,0}';
begin
    ids := filtered_conflicts(filter);
    perform require_resolver(ids, actor);
    ids := lock_conflicts(ids);
    if conflicts_digest(ids, resolution) is distinct from digest then
        raise exception 'the conflicts or their records have changed since the preview'
            using errcode = 'PF006', hint = 'Look at pfa_sync.preview_resolution() again and pass its digest.';
    end if;
    rest := ids;
    -- Several conflicts of one record are settled one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := array(select distinct on (c.mirror_id) c.id from pfa_sync_conflict c where c.id = any (rest) order by c.mirror_id, c.id);
        rest := array(select unnest(rest) except select unnest(round_ids));
        judged := array(select j from judge_resolutions(round_ids, resolution, actor) j order by j.mirror_id);
        clean := array(select j from unnest(judged) j where j.verdict <> 'failed');
        perform apply_resolutions(clean, resolution, actor);
        totals := array[totals[1] + cardinality(clean), totals[2] + (select count(*) from unnest(clean) j where j.apply <> '{}'),
                        totals[3] + cardinality(judged) - cardinality(clean)];
    end loop;
    return query select totals[1], totals[2], totals[3];
end
$$;
comment on function pfa_sync.resolve_conflicts(jsonb, text, text, text) is 'Resolves in bulk what preview_resolution() counted, if its digest still holds.';

-- Raises PF001 unless a filter is an object with no other keys than these.
create function require_keys(filter jsonb, keys text[]) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unknown text;
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object' using errcode = 'PF001';
    end if;
    select k into unknown from jsonb_object_keys(filter) k where k <> all (keys) order by k limit 1;
    if found then
        raise exception 'this filter has no key %', unknown using errcode = 'PF001', hint = format('Keys are %s.', array_to_string(keys, ', '));
    end if;
end
$$;

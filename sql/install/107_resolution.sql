-- Settling conflicts: by a person, in bulk, or by a rule that somebody set up beforehand.

-- What a resolution would commit, judged like any commit by the rights of the one who resolves; theirs is the record as
-- it is now, which the resolver has seen, so nothing of it is a conflict any more. author is who answers for the change:
-- the resolver, or the author still where a DBA resolves who is no user of the application. Stores nothing.
create function judge_resolutions(conflict_ids bigint[], resolution text, actor text, merged jsonb default null) returns setof judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return query
    with question as materialized (
        select c.*, r.version, addressed(r.data, r.pfa_id) as data, acting_permissions(actor, c.organization_id) as permissions,
               (select laid_over(q.payload order by q.id) from pfa_write_queue q where q.mirror_id = c.mirror_id) as ahead
          from pfa_sync_conflict c
          join mirror r on r.mirror_id = c.mirror_id
         where c.id = any (conflict_ids))
    select q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, case when q.permissions is null then q.author else actor end,
           (select m.change_reason from modification m where m.modification_id = q.modification_id), q.version, q.version, t.theirs,
           j.base, j.seen,
           g.errors, g.missing, j.operation, j.changes, g.apply, j.conflicts, null::text, verdict(g.errors, g.missing, j.conflicts)
      from question q
     cross join lateral (select q.data || q.ahead) t (theirs)
     cross join lateral judge(t.theirs, q.local_data || coalesce(merged, '{}'), t.theirs, null, q.permissions) j
     -- Giving a change up needs no more than the right to resolve.
     cross join lateral (
         select case when judge_resolutions.resolution = 'use_pems' then '[]' else j.errors end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.missing end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.apply end) g (errors, missing, apply);
end
$$;

-- Ends conflicts as resolved and queues what their resolution sends. The caller holds the locks and has judged.
-- The conflict ends first and the modification passes through draft, so that the triggers see an ordinary change of ours.
create function apply_resolutions(judgements judgement[], resolution text, actor text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    sending judgement[] := array(select j from unnest(judgements) j where j.apply <> '{}');
begin
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, changes, success)
    select 'CONFLICT_RESOLVED', j.organization_id, actor, j.pfa_id, j.modification_id,
           jsonb_build_object('resolution', apply_resolutions.resolution, 'sends', j.apply), true
      from unnest(judgements) j order by j.modification_id;
    update pfa_sync_conflict c
       set status = 'resolved_manual', resolution = apply_resolutions.resolution, resolved_by = actor, resolved_at = now(),
           merged_data = case when apply_resolutions.resolution = 'merge' then j.changes end
      from unnest(judgements) j
     where c.modification_id = j.modification_id and c.status = 'unresolved';
    update modification m
       set sync_state = 'draft', delta = j.changes, base_version = j.base_version, updated_at = now() at time zone 'utc'
      from unnest(sending) j
     where m.modification_id = j.modification_id;
    perform enqueue_judged(sending, 'resolution');
    update modification m
       set sync_state = case when j.apply = '{}' then 'synced' else 'committed' end,
           synced_at = case when j.apply = '{}' then now() at time zone 'utc' end, updated_at = now() at time zone 'utc'
      from unnest(judgements) j
     where m.modification_id = j.modification_id;
end
$$;

-- Locks the modifications and records of conflicts, then the conflicts that are still open, in the usual order.
create function lock_conflicts(conflict_ids bigint[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    perform from modification m where m.modification_id in (select c.modification_id from pfa_sync_conflict c where c.id = any (conflict_ids))
      order by m.modification_id for no key update;
    perform from mirror r where r.mirror_id in (select c.mirror_id from pfa_sync_conflict c where c.id = any (conflict_ids))
      order by r.mirror_id for no key update;
    return array(select c.id from pfa_sync_conflict c where c.id = any (conflict_ids) and c.status = 'unresolved' order by c.id for update);
end
$$;

-- A conflict as it stands now: what a person needs to decide, and what the answer to a refused resolution holds.
create function conflict_state(conflict_id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return (
        select shown(jsonb_build_object('conflict_id', c.id, 'organization_id', c.organization_id, 'pfa_id', c.pfa_id,
                   'modification_id', c.modification_id, 'author', c.author, 'detected', c.detected,
                   'message', shown(c.message, c.organization_id), 'created_at', c.created_at, 'status', c.status,
                   'resolution', c.resolution, 'resolved_by', c.resolved_by, 'version', r.version, 'detected_version', c.mirror_version,
                   'fields', (select jsonb_agg(jsonb_build_object('field', k, 'conflict', k = any (c.conflict_fields), 'base', c.base_data->k,
                                        'ours', c.local_data->k, 'theirs', t.theirs->k) order by k)
                                from jsonb_object_keys(c.local_data) k)), c.organization_id)
          from pfa_sync_conflict c
          left join mirror r on r.mirror_id = c.mirror_id
         cross join lateral (select coalesce(r.data, c.pems_data)
              || (select laid_over(q.payload order by q.id) from pfa_write_queue q where q.mirror_id = c.mirror_id)) t (theirs)
         where c.id = conflict_id and sees(c.organization_id));
end
$$;
comment on function conflict_state(bigint) is 'A conflict as it stands now, open or resolved, field by field; null = there is none.';

-- Settles one conflict: use_local (our values), use_pems (theirs; the whole change is given up) or merge (merged names a
-- value for each conflict field; the other changed fields stay). expected_version is the mirror version the caller looked
-- at, by default the one at which the conflict was found. Returns what will be sent.
-- Refused with PF006, and the fresh state in DETAIL, when either side has moved since.
create function resolve_conflict(conflict_id bigint, resolution text, resolved_by text, merged jsonb default null, expected_version int default null)
    returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    actor    text := acting_user(resolved_by);
    question pfa_sync_conflict;
    current_version int;
    verdict  judgement;
begin
    if resolution is null or resolution not in ('use_local', 'use_pems', 'merge') then
        raise exception 'a resolution is use_local, use_pems or merge, not %', coalesce(resolution, 'nothing') using errcode = 'PF001';
    end if;
    perform lock_conflicts(array[conflict_id]);
    select * into question from pfa_sync_conflict c where c.id = conflict_id;
    if not found or not sees(question.organization_id) then
        raise exception 'there is no conflict %', conflict_id using errcode = 'PF008';
    end if;
    perform require_permission(actor, question.organization_id, 'perm_Sync');
    if question.status <> 'unresolved' then
        raise exception 'conflict % was resolved by % already', conflict_id, question.resolved_by
            using errcode = 'PF006', detail = conflict_state(conflict_id)::text;
    end if;
    select r.version into current_version from mirror r where r.mirror_id = question.mirror_id;
    if current_version is distinct from coalesce(expected_version, question.mirror_version) then
        raise exception 'record % has moved on to version % since you looked at conflict %', question.pfa_id, current_version, conflict_id
            using errcode = 'PF006', detail = conflict_state(conflict_id)::text,
                  hint = 'Look at the fresh values in DETAIL and resolve with their version as expected_version.';
    end if;
    if resolution = 'merge' and not coalesce(jsonb_typeof(merged) = 'object'
            and array(select jsonb_object_keys(merged) order by 1) = array(select unnest(question.conflict_fields) order by 1), false) then
        raise exception 'merge takes a value for each conflict field and no other: %', array_to_string(question.conflict_fields, ', ') using errcode = 'PF001';
    end if;
    if resolution <> 'merge' and merged is not null then
        raise exception 'merged values come with the resolution merge only' using errcode = 'PF001';
    end if;
    select * into verdict from judge_resolutions(array[conflict_id], resolution, actor, merged);
    perform refuse(array[verdict]);
    perform apply_resolutions(array[verdict], resolution, actor);
    return jsonb_build_object('conflict', conflict_id, 'resolution', resolution, 'resolved_by', actor, 'resolved_at', now(),
        'modification', verdict.modification_id, 'operation', verdict.operation, 'changes', shown(verdict.apply, question.organization_id));
end
$$;
comment on function resolve_conflict(bigint, text, text, jsonb, int) is
    'Settles a conflict by use_local, use_pems or merge; returns what will be sent. Refused with the fresh state when either side has moved.';

-- The open conflicts a filter means. Keys, all optional: organization (id or code), field, author, older_than (interval),
-- conflicts (array of ids).
create function filtered_conflicts(filter jsonb) returns bigint[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
create function preview_resolution(filter jsonb, resolution text, user_id text default null)
    returns table (conflicts bigint, records bigint, sends bigint, refused bigint, by_field jsonb, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
comment on function preview_resolution(jsonb, text, text) is 'Counts and digest of a bulk resolution; stores nothing.';

-- Raises PF002 unless the acting user may resolve in every organization of the conflicts.
create function require_resolver(conflict_ids bigint[], actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    perform require_permission(actor, o.organization_id, 'perm_Sync')
       from (select distinct c.organization_id from pfa_sync_conflict c where c.id = any (conflict_ids)) o;
end
$$;

-- Carries out a bulk resolution if everything is still as previewed. Conflicts that can't be resolved so stay open.
create function resolve_conflicts(filter jsonb, resolution text, resolved_by text, digest text)
    returns table (resolved bigint, queued bigint, refused bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
comment on function resolve_conflicts(jsonb, text, text, text) is 'Resolves in bulk what preview_resolution() counted, if its digest still holds.';

-- The resolution of many conflicts: preview with counts and a digest, then the resolution under that digest.

-- The open conflicts that a filter chooses. Keys, all optional: organization (id or code), field, author, older_than
-- (interval), conflicts (array of ids).
create function filtered_conflicts(filter jsonb) returns bigint[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen  bulk_filter := read_filter(filter, 'conflicts', array['field']);
    visible text[] := visible_organizations();
begin
    return array(
        select c.id from pfa_sync_conflict c
         where c.status = 'unresolved'
           and c.organization_id = any (visible)
           and (chosen.organization_id is null or c.organization_id = chosen.organization_id)
           and (chosen.field is null or chosen.field = any (c.conflict_fields))
           and (chosen.author is null or c.author = chosen.author)
           and (chosen.older_than is null or c.created_at < chosen.older_than)
           and (chosen.ids is null or c.id = any (chosen.ids))
         order by c.id);
end
$$;

-- One value for the state of conflicts and their records that a bulk resolution was previewed on.
create function conflicts_digest(conflict_ids bigint[], resolution text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if resolution is null or resolution not in ('use_local', 'use_pems') then
        raise exception 'conflicts are resolved in bulk by use_local or use_pems, not %', coalesce(resolution, 'null')
            using errcode = 'PF001';
    end if;
    return (select bulk_digest(conflicts_digest.resolution, array_agg(c.id), array_agg(c.mirror_id))
              from pfa_sync_conflict c where c.id = any (conflict_ids));
end
$$;

-- What a bulk resolution would do: how many conflicts and records, how many of them can't be resolved so (and stay
-- open), and a digest that resolve_conflicts takes.
create function pfa_sync.preview_resolution(filter jsonb, resolution text, user_id text default null)
    returns table (conflicts bigint, records bigint, sends bigint, refused bigint, by_field jsonb, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor text := acting_user(user_id);
    ids   bigint[] := filtered_conflicts(filter);
begin
    return query
        select cardinality(ids)::bigint, count(distinct j.mirror_id),
               count(*) filter (where j.to_send <> '{}' and j.outcome <> 'failed'),
               count(*) filter (where j.outcome = 'failed'),
               (select coalesce(jsonb_object_agg(f.field, f.n), '{}')
                  from (select u.field, count(*) as n from pfa_sync_conflict c, unnest(c.conflict_fields) u (field)
                         where c.id = any (ids) group by 1) f),
               conflicts_digest(ids, resolution)
          from judge_resolutions(ids, resolution, actor, acts_as_dba(actor)) j;
end
$$;
comment on function pfa_sync.preview_resolution(jsonb, text, text) is
    'Counts what resolve_conflicts() would do: conflicts, records, changes that would be sent, conflicts that '
    'cannot be resolved so, conflicts by field; and the digest to pass to it. Stores nothing. Keys of the filter, '
    'all optional: organization, field, author, older_than (interval), conflicts (array of ids). PF001: other '
    'keys or values.';

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
    returns table (resolved bigint, queued bigint, refused bigint, waiting bigint, job_ids bigint[])
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor  text := acting_user(resolved_by);
    chosen bigint[] := filtered_conflicts(filter);
begin
    perform require_resolver(chosen, actor);
    perform lock_conflicts(chosen[:slice_size()]);
    chosen := filtered_conflicts(filter);
    if conflicts_digest(chosen, resolution) is distinct from digest then
        raise exception 'the conflicts or their records have changed since the preview'
            using errcode = 'PF006', hint = 'Call pfa_sync.preview_resolution() again and pass its digest.';
    end if;
    job_ids := array(
        select start_bulk_job('resolution', c.organization_id, actor, c.targets,
                              jsonb_build_object('resolution', resolution))
          from (select c.organization_id,
                       array_agg(row(c.id, c.mirror_id, c.pfa_id, c.modification_id, null)::bulk_target) as targets
                  from pfa_sync_conflict c where c.id = any (chosen)
                 group by c.organization_id order by c.organization_id) c);
    perform run_first_slices(job_ids);
    select count(*) filter (where i.outcome = 'done'), count(*) filter (where i.outcome in ('failed', 'skipped')),
           count(*) filter (where i.outcome = 'waiting')
      into resolved, refused, waiting
      from bulk_item i where i.job_id = any (job_ids);
    queued := changes_of_jobs(job_ids);
    return next;
end
$$;
comment on function pfa_sync.resolve_conflicts(jsonb, text, text, text) is
    'Resolves the open conflicts that a filter selects by use_local or use_pems, if the digest of '
    'preview_resolution() still holds. Up to 200 are resolved when it returns; the others wait, and a relay resolves '
    'them. Returns the number of resolved conflicts, of changes queued by them, of conflicts that could not be '
    'resolved so and stay open, of those that wait, and the ids of the jobs, one for each organization. Needs '
    'perm_Sync in each organization. PF006: the conflicts or their records have changed since the preview.';

-- Resolves conflicts of a bulk job.
create function resolve_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    resolution text := bulk.operation->>'resolution';
    outcomes   item_outcome[] := moved_items(items);
    rest       bigint[];
    round_ids  bigint[];
    judged     judgement[];
    clean      judgement[];
begin
    rest := lock_conflicts(array(select i.target from unnest(items_left(items, outcomes)) i));
    outcomes := outcomes || array(select row(i.item, 'skipped', 'NOT_OPEN', null, null)::item_outcome
                                    from unnest(items_left(items, outcomes)) i where i.target <> all (rest));
    if not 'perm_Sync' = any (permissions_in(job, bulk)) then
        return outcomes || array(select row(i.item, 'failed', 'FORBIDDEN', job.user_id || ' lacks perm_Sync',
                                            null)::item_outcome
                                   from unnest(items_left(items, outcomes)) i);
    end if;
    -- Several conflicts of one record are resolved one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := (select first_of_each_record(array_agg(c.id), array_agg(c.mirror_id))
                        from pfa_sync_conflict c where c.id = any (rest));
        rest := array(select unnest(rest) except select unnest(round_ids));
        judged := array(select j from judge_resolutions(round_ids, resolution, job.user_id, bulk.by_dba) j
                         order by j.mirror_id);
        outcomes := outcomes || array(
            select row(i.item, case j.outcome when 'failed' then 'failed' else 'done' end,
                       judgement_cause(j), judgement_problem(j), null)::item_outcome
              from unnest(judged) j
              join pfa_sync_conflict c on c.modification_id = j.modification_id and c.id = any (round_ids)
              join unnest(items) i on i.target = c.id);
        clean := array(select j from unnest(judged) j where j.outcome <> 'failed');
        perform apply_resolutions(clean, resolution, job.user_id, job.job_id);
    end loop;
    return outcomes;
end
$$;

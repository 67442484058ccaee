-- The undoing of decisions: of resolutions whose changes were not sent yet, and of discards.

create function pfa_sync.undo_job(job_id bigint, reason text, user_id text default null)
    returns table (undo_job_id bigint, undone bigint, left_as_is bigint, waiting bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor  text := acting_user(user_id);
    job    sync_job := controlled_job(job_id, actor);
    pieces bulk_target[];
begin
    perform require_reason('undoing a job', reason, 1);
    if job.kind not in ('resolution', 'discard') then
        raise exception 'a job of kind % can''t be undone', job.kind
            using errcode = 'PF001', hint = case when job.kind in ('commit', 'sweep', 'requeue', 'rollback')
                                                 then 'Roll it back: pfa_sync.rollback_preview().' end;
    end if;
    if exists (select from bulk_job b where b.job_id = job.job_id and b.state = 'running') then
        raise exception 'job % is still being carried out', job.job_id
            using errcode = 'PF006', hint = 'Stop it first: pfa_sync.stop_job().';
    end if;
    pieces := array(select row(i.target, i.mirror_id, i.pfa_id, i.modification_id, null)::bulk_target
                      from bulk_item i where i.job_id = job.job_id and i.outcome = 'done');
    undo_job_id := start_bulk_job('undo', job.organization_id, actor, pieces, jsonb_build_object('kind', job.kind),
                                  reason, origin_job_id => job.job_id);
    perform run_first_slices(array[undo_job_id]);
    select count(*) filter (where i.outcome = 'done'), count(*) filter (where i.outcome in ('failed', 'skipped')),
           count(*) filter (where i.outcome = 'waiting')
      into undone, left_as_is, waiting
      from bulk_item i where i.job_id = undo_job_id;
    return next;
end
$$;
comment on function pfa_sync.undo_job(bigint, text, text) is
    'Undoes a job of kind resolution or discard: resolutions whose changes were not sent yet become open conflicts '
    'again, and discarded dead letters are opened again. What was sent already is left; rollback() sets it back. '
    'Returns the new job, how many were undone, left, and wait for a relay (of more than 200). reason is required. '
    'For the user who started the job, with perm_Sync, and for perm_ManageSettings. PF001: no reason, or another '
    'kind; PF002: permission missing; PF006: the job is still running; PF008: no such job.';

create function undo_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return case bulk.operation->>'kind' when 'discard' then reopen_dead_letters(job, items)
                                        else reopen_conflicts(job, items) end;
end
$$;

-- Opens conflicts again that a job has resolved: the change that the resolution queued is withdrawn, and the
-- modification is again as its author made it.
create function reopen_conflicts(job sync_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    outcomes  item_outcome[];
    reopened  bigint[];
    changed   jsonb;
begin
    outcomes := array(
        select row(i.item, case when w.cause is null then 'done' else 'skipped' end, w.cause, null, null)::item_outcome
          from unnest(items) i
          left join pfa_sync_conflict c on c.id = i.target
          left join modification m on m.modification_id = i.modification_id
          left join pfa_write_queue q on q.modification_id = i.modification_id
         cross join lateral (
             select case when c.status is distinct from 'resolved_manual' or m.modification_id is null
                              or exists (select from pfa_sync_conflict o
                                          where o.modification_id = c.modification_id and o.status = 'unresolved')
                         then 'CHANGED_SINCE'
                         when q.lease_until is not null then 'IN_FLIGHT'
                         when q.job_id = job.origin_job_id and m.sync_state = 'committed' then null
                         when q.id is null and c.resolution = 'use_pems' and m.sync_state = 'synced' then null
                         else 'ALREADY_SENT' end) w (cause));
    reopened := array(select i.target from unnest(items) i
                        join unnest(outcomes) o on o.item = i.item and o.outcome = 'done');
    perform log_event('RESOLUTION_UNDONE', c.organization_id, job.user_id, pfa_id => c.pfa_id,
                      modification_id => c.modification_id, queue_id => c.queue_id, job_id => job.job_id,
                      error => job.reason)
       from pfa_sync_conflict c where c.id = any (reopened);
    perform finalize_rows(array(select q.id from pfa_write_queue q
                                  join pfa_sync_conflict c on c.modification_id = q.modification_id
                                 where c.id = any (reopened)), 'withdrawn', 'the resolution was undone');
    -- Through draft: what is committed can't be changed.
    changed := (select jsonb_agg(jsonb_build_object('id', c.modification_id, 'syncState', 'draft', 'syncedAt', null,
                                                    'delta', c.local_data, 'baseVersion', c.local_version))
                  from pfa_sync_conflict c where c.id = any (reopened));
    perform change_modifications(changed);
    update pfa_sync_conflict c
       set status = 'unresolved', resolution = null, merged_data = null, resolved_by = null, resolved_at = null
     where c.id = any (reopened);
    perform set_sync_state(array(select c.modification_id from pfa_sync_conflict c where c.id = any (reopened)),
                           'conflict');
    return outcomes;
end
$$;

-- Opens dead letters again that a job has discarded.
create function reopen_dead_letters(job sync_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    outcomes item_outcome[];
    reopened bigint[];
begin
    outcomes := array(
        select row(i.item, case when m.sync_state = 'discarded' and d.status = 'discarded' then 'done'
                                else 'skipped' end,
                   case when m.sync_state = 'discarded' and d.status = 'discarded' then null
                        else 'CHANGED_SINCE' end, null, null)::item_outcome
          from unnest(items) i
          left join pfa_write_queue_dlq d on d.queue_id = i.target
          left join modification m on m.modification_id = i.modification_id);
    reopened := array(select i.target from unnest(items) i
                        join unnest(outcomes) o on o.item = i.item and o.outcome = 'done');
    perform log_event('DISCARD_UNDONE', d.organization_id, job.user_id, pfa_id => d.pfa_id,
                      modification_id => d.modification_id, queue_id => d.queue_id, job_id => job.job_id,
                      error => job.reason)
       from pfa_write_queue_dlq d where d.queue_id = any (reopened);
    update pfa_write_queue_dlq d set status = 'open', ended_at = null, ended_by = null, reason = null
     where d.queue_id = any (reopened);
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', d.modification_id, 'syncState', 'sync_error', 'syncError', d.error))
          from pfa_write_queue_dlq d where d.queue_id = any (reopened)));
    return outcomes;
end
$$;

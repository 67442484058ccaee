-- What users started, what became of it, and what the relays pushed.

create view pfa_sync.jobs with (security_invoker = true) as
    select job_id, kind, organization_id, user_id, records, created_at from sync_job;
comment on view pfa_sync.jobs is 'What users started: commits, resolutions and the like.';

create view pfa_sync.batches with (security_invoker = true) as
    select batch_id, organization_id, relay, step, records, claimed_at, sent_at from sync_batch;
comment on view pfa_sync.batches is 'What relays sent or read together.';

create view pfa_sync.changes with (security_invoker = true) as
    select c.id as queue_id, c.organization_id, c.job_id, c.batch_id, c.pfa_id, c.modification_id, c.author,
           c.operation, m.changes, c.status, c.retry_count, c.created_at, c.completed_at, m.last_error
      from (select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at
              from pfa_write_queue
            union all
            select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at
              from pfa_write_queue_archive) c
     cross join lateral masked_change(c.id) m;
comment on view pfa_sync.changes is 'Every change that was ever queued: waiting, in flight, or how it ended.';

-- How many changes of a job stand where. write-sync raises the priority of other jobs' changes; it owns none.
create function pfa_sync.progress(job_id bigint)
    returns table (pending bigint, processing bigint, completed bigint, conflict bigint, failed bigint, withdrawn bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select count(*) filter (where c.status = 'pending'), count(*) filter (where c.status = 'processing'),
               count(*) filter (where c.status = 'completed'), count(*) filter (where c.status = 'conflict'),
               count(*) filter (where c.status = 'failed'), count(*) filter (where c.status = 'withdrawn')
          from (select q.status from pfa_write_queue q where q.job_id = progress.job_id
                union all
                select a.status from pfa_write_queue_archive a where a.job_id = progress.job_id) c
         where exists (select from sync_job j where j.job_id = progress.job_id and can_see(j.organization_id));
end
$$;
comment on function pfa_sync.progress(bigint) is 'How many changes of a job wait, are in flight, and ended how.';

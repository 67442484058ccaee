-- What users started, what became of it, and what the relays pushed.

create view pfa_sync.jobs with (security_barrier) as
    select job_id, kind, organization_id, user_id, records, created_at
      from sync_job
     where organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.jobs is
    'What users started: commits, write-syncs, resolutions and requeues; and sweeps. progress() counts a job''s '
    'changes.';
comment on column pfa_sync.jobs.job_id is 'id of the job';
comment on column pfa_sync.jobs.kind is 'commit, sweep, write_sync, resolution, requeue or rollback';
comment on column pfa_sync.jobs.organization_id is 'id of the organization';
comment on column pfa_sync.jobs.user_id is
    'id of the user who started it; of a sweep or a requeue, the author of the changes';
comment on column pfa_sync.jobs.records is
    'number of changes it began with; of a write-sync, the number of queued changes it asked for';
comment on column pfa_sync.jobs.created_at is 'when it was started';

create view pfa_sync.batches with (security_barrier) as
    select batch_id, organization_id, relay, step, records, claimed_at, sent_at
      from sync_batch
     where organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.batches is 'What relays claimed together: one write request, or one round of reads.';
comment on column pfa_sync.batches.batch_id is 'id of the batch';
comment on column pfa_sync.batches.organization_id is 'id of the organization';
comment on column pfa_sync.batches.relay is 'name of the relay';
comment on column pfa_sync.batches.step is 'send: write the records in one request; read: read each record first';
comment on column pfa_sync.batches.records is 'number of records';
comment on column pfa_sync.batches.claimed_at is 'when it was claimed';
comment on column pfa_sync.batches.sent_at is 'when it was marked as sent; null: nothing was sent';

create view pfa_sync.changes with (security_barrier) as
    select c.id as queue_id, c.organization_id, c.job_id, c.batch_id, c.pfa_id, c.modification_id, c.author,
           c.operation, masked(c.payload, p.priced) as changes, c.status, c.retry_count, c.created_at, c.completed_at,
           masked(c.last_error, p.priced) as last_error
      from (select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at, payload, last_error
              from pfa_write_queue
            union all
            select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at, payload, last_error
              from pfa_write_queue_archive) c
     cross join lateral (select c.organization_id = any ((select priced_organizations())::text[])) p (priced)
     where c.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.changes is 'Every change that was ever queued: waiting, in flight or ended.';
comment on column pfa_sync.changes.queue_id is 'id of the change in the queue';
comment on column pfa_sync.changes.organization_id is 'id of the organization';
comment on column pfa_sync.changes.job_id is 'id of the job that queued it';
comment on column pfa_sync.changes.batch_id is 'id of the batch that claimed it last; null: it was not claimed';
comment on column pfa_sync.changes.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.changes.modification_id is 'id of the modification';
comment on column pfa_sync.changes.author is 'id of the user whose edit it is';
comment on column pfa_sync.changes.operation is 'UPDATE, or DELETE for a change that only discontinues the record';
comment on column pfa_sync.changes.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.changes.status is
    'pending, processing, or how it ended: completed, conflict, failed or withdrawn';
comment on column pfa_sync.changes.retry_count is 'retries that were used up';
comment on column pfa_sync.changes.created_at is 'when it was queued';
comment on column pfa_sync.changes.completed_at is 'when it ended; null: it is live';
comment on column pfa_sync.changes.last_error is
    'error of the last failed attempt; null: none failed. Numbers are shown as # to a session that may not see '
    'prices';

-- How many changes of a job stand where. write-sync raises the priority of other jobs' changes; it owns none.
create function pfa_sync.progress(job_id bigint)
    returns table (pending bigint, processing bigint, completed bigint, conflict bigint, failed bigint,
                   withdrawn bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
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
comment on function pfa_sync.progress(bigint) is
    'Number of a job''s changes by status. A write-sync owns no changes: it raises the priority of those of other '
    'jobs.';

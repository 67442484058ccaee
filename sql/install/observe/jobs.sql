-- What users started, what became of it, and what the relays pushed.

create view pfa_sync.jobs with (security_barrier) as
    select j.job_id, j.kind, j.organization_id, j.user_id, j.records, j.created_at, j.reason, j.origin_job_id,
           j.origin_batch_id, s.state, inverses_of(j.kind, s.state) as inverses,
           coalesce((select user_names())->>j.user_id, j.user_id) as user_name
      from sync_job j
      left join bulk_job b on b.job_id = j.job_id
     cross join lateral (
         select case when b.state <> 'finished' then b.state
                     when (select true from pfa_write_queue q where q.job_id = j.job_id limit 1) then 'running'
                     else 'finished' end) s (state)
     where j.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.jobs is
    'What users started: commits, write-syncs, resolutions, requeues, discards, withdrawals, rollbacks, undos and '
    'edits; and sweeps. progress() counts a job''s changes, bulk_jobs its items.';
comment on column pfa_sync.jobs.job_id is 'id of the job';
comment on column pfa_sync.jobs.kind is
    'commit, sweep, write_sync, resolution, requeue, discard, withdraw, rollback, undo or edit';
comment on column pfa_sync.jobs.organization_id is 'id of the organization';
comment on column pfa_sync.jobs.user_id is
    'id of the user who started it; of a sweep, the author of the changes';
comment on column pfa_sync.jobs.records is
    'number of changes or items it began with; of a write-sync, the number of queued changes it asked for';
comment on column pfa_sync.jobs.created_at is 'when it was started';
comment on column pfa_sync.jobs.reason is 'the reason that the user gave; null: none';
comment on column pfa_sync.jobs.origin_job_id is 'the job that it rolls back or undoes; null: none';
comment on column pfa_sync.jobs.origin_batch_id is 'the batch of that job that it rolls back; null: all of it';
comment on column pfa_sync.jobs.state is
    'running: items or changes of it have not ended; stopped: a user stopped it, or too many of its changes failed; '
    'finished';
comment on column pfa_sync.jobs.inverses is
    'what may reverse it: undo (undo_job()), as long as its changes were not sent, and rollback (rollback())';
comment on column pfa_sync.jobs.user_name is 'name of that user';

-- Jobs, newest first, before an id. Keys of the filter, all optional: kinds (array), user_id, state, pfa_id, since,
-- until. Each way of choosing looks rows up by an index: a fleet has millions of commits.
create function pfa_sync.find_jobs(organization text default null, filter jsonb default '{}',
                                   before bigint default null, max_rows int default 50)
    returns setof pfa_sync.jobs
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope   text := organization_of(organization);
    visible text[] := visible_organizations();
    kinds   text[];
    chosen  bigint[];
    since   timestamptz;
    until   timestamptz;
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    perform require_keys(filter, array['kinds', 'user_id', 'state', 'pfa_id', 'since', 'until']);
    perform require_word('state', filter->>'state', array['running', 'stopped', 'finished']);
    select p.since, p.until into since, until from read_period(filter) p;
    kinds := words_of('kinds', filter->'kinds', 100);
    if filter->>'pfa_id' is not null then
        chosen := array(
            select j.job_id from mirror r
             cross join lateral (
                 select q.job_id from pfa_write_queue q where q.mirror_id = r.mirror_id
                 union select a.job_id from pfa_write_queue_archive a where a.mirror_id = r.mirror_id
                 union select i.job_id from bulk_item i where i.mirror_id = r.mirror_id) j
             where r.pfa_id = filter->>'pfa_id' and (scope is null or r.organization_id = scope));
    elsif filter->>'state' = 'running' then
        chosen := array(select q.job_id from pfa_write_queue q
                        union select b.job_id from bulk_job b where b.state = 'running');
    elsif filter->>'state' = 'stopped' then
        chosen := array(select b.job_id from bulk_job b where b.state = 'stopped');
    end if;
    -- The jobs of the page first: the view works out the state of each job that it is asked for.
    chosen := array(
        select j.job_id from sync_job j
         where j.organization_id = any (visible)
           and (scope is null or j.organization_id = scope)
           and (chosen is null or j.job_id = any (chosen))
           and (find_jobs.before is null or j.job_id < find_jobs.before)
           and (kinds is null or j.kind = any (kinds))
           and (filter->>'user_id' is null or j.user_id = filter->>'user_id')
           and (since is null or j.created_at >= since)
           and (until is null or j.created_at <= until)
           and (filter->>'state' is null
                or (select v.state from pfa_sync.jobs v where v.job_id = j.job_id) = filter->>'state')
         order by j.job_id desc limit max_rows);
    return query select v.* from pfa_sync.jobs v where v.job_id = any (chosen) order by v.job_id desc;
end
$$;
comment on function pfa_sync.find_jobs(text, jsonb, bigint, int) is
    'Jobs, newest first, of an organization (id or code; null: all that are visible). Keys of the filter, all '
    'optional: kinds (array), user_id, state (running, stopped, finished), pfa_id (jobs with a change of the '
    'record), since, until. before: only jobs with a lower id; max_rows: 1000 at most. PF001: other keys or values; '
    'PF008: no such organization.';

create view pfa_sync.bulk_jobs with (security_barrier) as
    select j.job_id, j.kind, j.organization_id, j.user_id, j.reason, j.origin_job_id, j.created_at, b.state,
           b.changed_by, b.changed_at, b.note, b.stages, b.stop_at, b.slices, j.records as items, c.waiting, c.done,
           c.skipped, c.failed, coalesce((select user_names())->>j.user_id, j.user_id) as user_name,
           coalesce((select user_names())->>b.changed_by, b.changed_by) as changed_by_name
      from bulk_job b
      join sync_job j on j.job_id = b.job_id
     cross join lateral (
         select count(*) filter (where i.outcome = 'waiting') as waiting,
                count(*) filter (where i.outcome = 'done') as done,
                count(*) filter (where i.outcome = 'skipped') as skipped,
                count(*) filter (where i.outcome = 'failed') as failed
           from bulk_item i where i.job_id = b.job_id) c
     where j.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.bulk_jobs is
    'Jobs with a list of items, and how far each has come: resolutions, requeues, discards, withdrawals, '
    'rollbacks, undos and edits. stop_job() and continue_job() control them, bulk_items lists their items.';
comment on column pfa_sync.bulk_jobs.job_id is 'id of the job';
comment on column pfa_sync.bulk_jobs.kind is 'resolution, requeue, discard, withdraw, rollback, undo or edit';
comment on column pfa_sync.bulk_jobs.organization_id is 'id of the organization';
comment on column pfa_sync.bulk_jobs.user_id is 'id of the user who started it';
comment on column pfa_sync.bulk_jobs.reason is 'the reason that the user gave; null: none';
comment on column pfa_sync.bulk_jobs.origin_job_id is 'the job that it rolls back or undoes; null: none';
comment on column pfa_sync.bulk_jobs.created_at is 'when it was started';
comment on column pfa_sync.bulk_jobs.state is 'running, stopped or finished';
comment on column pfa_sync.bulk_jobs.changed_by is
    'id of the user who stopped or continued it last; null: none, or it stopped itself';
comment on column pfa_sync.bulk_jobs.changed_at is 'when it was stopped or continued last, or else started';
comment on column pfa_sync.bulk_jobs.note is 'why it was stopped; null: it was not';
comment on column pfa_sync.bulk_jobs.stages is
    'sizes of the first slices of a staged resend, each of which waits for PEMS'' answers to those before';
comment on column pfa_sync.bulk_jobs.stop_at is
    'percent of failed changes from which a staged resend stops; 0: at the first';
comment on column pfa_sync.bulk_jobs.slices is 'number of slices that were carried out';
comment on column pfa_sync.bulk_jobs.items is 'number of items';
comment on column pfa_sync.bulk_jobs.waiting is 'number of items that are still to be done';
comment on column pfa_sync.bulk_jobs.done is 'number of items that were done';
comment on column pfa_sync.bulk_jobs.skipped is 'number of items that were left, since something had changed';
comment on column pfa_sync.bulk_jobs.failed is 'number of items that could not be done';
comment on column pfa_sync.bulk_jobs.user_name is 'name of the user who started it';
comment on column pfa_sync.bulk_jobs.changed_by_name is 'name of the user who stopped or continued it last';

create view pfa_sync.bulk_items with (security_barrier) as
    select i.job_id, i.item, j.organization_id, i.pfa_id, i.target, i.modification_id, i.outcome, i.cause, why.meaning,
           masked(i.detail, j.organization_id = any ((select priced_organizations())::text[])) as detail, i.slice,
           i.ended_at
      from bulk_item i
      join sync_job j on j.job_id = i.job_id
      left join cause why on why.code = i.cause
     where j.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.bulk_items is 'The items of bulk jobs, and what became of each.';
comment on column pfa_sync.bulk_items.job_id is 'id of the job';
comment on column pfa_sync.bulk_items.item is 'number of the item in the job, in the order in which they are done';
comment on column pfa_sync.bulk_items.organization_id is 'id of the organization';
comment on column pfa_sync.bulk_items.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.bulk_items.target is
    'id of the conflict, or queue id of the dead letter; null: the item is a record or a modification';
comment on column pfa_sync.bulk_items.modification_id is
    'id of the modification that is decided about, or that a rollback made; null: none';
comment on column pfa_sync.bulk_items.outcome is 'waiting, done, skipped or failed';
comment on column pfa_sync.bulk_items.cause is
    'why it was skipped or failed, or that it became a conflict: a code of the view causes; null: it was done';
comment on column pfa_sync.bulk_items.meaning is 'what the code means';
comment on column pfa_sync.bulk_items.detail is
    'the cause in words; numbers are shown as # to a session that may not see prices; null: none';
comment on column pfa_sync.bulk_items.slice is 'number of the slice in which it was done; null: it waits';
comment on column pfa_sync.bulk_items.ended_at is 'when it was done; null: it waits';

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
           masked(c.last_error, p.priced) as last_error,
           coalesce((select user_names())->>c.author, c.author) as author_name,
           masked(c.reason, p.priced) as reason, masked(c.base, p.priced) as base,
           (select coalesce(c.sent_at, b.sent_at) from sync_batch b where b.batch_id = c.batch_id) as last_attempt_at
      from (select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at, payload, last_error, reason, base, sent_at
              from pfa_write_queue
            union all
            select id, organization_id, job_id, batch_id, pfa_id, modification_id, author, operation, status,
                   retry_count, created_at, completed_at, payload, last_error, reason, base, sent_at
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
comment on column pfa_sync.changes.author_name is 'name of the user whose edit it is';
comment on column pfa_sync.changes.reason is
    'the reason that the author gave; null: none. Numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.changes.base is
    'the changed fields as the author saw them, without prices for a session that may not see them; null: not known';
comment on column pfa_sync.changes.last_attempt_at is
    'when a request for it was sent last, as its last batch tells; null: that batch sent none, or there was none';

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

-- Committed changes that are taken back before they are sent.

-- Takes committed changes back to draft, as long as they have not been claimed. Permitted to the author and to
-- administrators.
create function pfa_sync.withdraw(modification_ids text[], user_id text, reason text default null)
    returns table (modification_id text, verdict text, job_id bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor text := acting_user(user_id);
    jobs  bigint[];
begin
    perform ensure_bound();
    perform require_text('reason', reason, 2000);
    jobs := array(
        select start_bulk_job('withdraw', m.organization_id, actor, m.targets, '{}', withdraw.reason)
          from (select m.organization_id,
                       array_agg(row(null, m.mirror_id, r.pfa_id, m.modification_id, null)::bulk_target) as targets
                  from (select distinct unnest(withdraw.modification_ids)) i (id)
                  join modification m on m.modification_id = i.id
                  left join mirror r on r.mirror_id = m.mirror_id
                 where can_see(m.organization_id)
                 group by m.organization_id order by m.organization_id) m);
    perform run_first_slices(jobs);
    return query
        select i.id, case when b.item is null then 'unknown' when b.outcome = 'done' then 'withdrawn'
                          when b.outcome = 'waiting' then 'waiting'
                          when b.cause in ('IN_FLIGHT', 'NOT_QUEUED', 'FORBIDDEN') then lower(b.cause)
                          else 'failed' end, b.job_id
          from (select distinct unnest(withdraw.modification_ids)) i (id)
          left join bulk_item b on b.modification_id = i.id and b.job_id = any (jobs)
         where i.id is not null
         order by 1;
end
$$;
comment on function pfa_sync.withdraw(text[], text, text) is
    'Takes committed changes and open conflicts back to draft, as long as they are not claimed. Returns a verdict '
    'for each: withdrawn, in_flight, not_queued, forbidden (another user''s change, without perm_ManageSettings), '
    'failed (a table of the application refuses it), unknown, or waiting: of more than 200, a relay withdraws the '
    'others; and the job that withdraws it.';

-- The same of everything that waits of some records.
create function pfa_sync.withdraw_records(organization text, pfa_ids text[], user_id text, reason text default null)
    returns table (modification_id text, verdict text, job_id bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope text := organization_of(organization);
begin
    if scope is null then
        raise exception 'the organization is missing' using errcode = 'PF001';
    end if;
    return query
        select w.modification_id, w.verdict, w.job_id
          from withdraw(array(select m.modification_id from mirror r
                                join modification m on m.mirror_id = r.mirror_id and m.sync_state = 'committed'
                               where r.organization_id = scope and r.pfa_id = any (withdraw_records.pfa_ids)),
                        user_id, reason) w;
end
$$;
comment on function pfa_sync.withdraw_records(text, text[], text, text) is
    'Takes the committed changes of some records back to draft, as withdraw() does and with its verdicts. '
    'organization: id or code.';

-- Withdraws changes of a job.
create function withdraw_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    permissions text[] := permissions_in(job, bulk);
    outcomes    item_outcome[];
    taken       text[];
begin
    outcomes := array(
        select row(i.item, case when w.cause is null then 'done' when w.cause = 'FORBIDDEN' then 'failed'
                                else 'skipped' end, w.cause, null, null)::item_outcome
          from unnest(items) i
          left join modification m on m.modification_id = i.modification_id
         cross join lateral (
             select case when m.modification_id is null then 'NOT_QUEUED'
                         when m.user_id <> job.user_id
                              and not coalesce('perm_ManageSettings' = any (permissions), true) then 'FORBIDDEN'
                         when m.sync_state in ('committed', 'conflict') then null
                         when m.sync_state = 'syncing' then 'IN_FLIGHT'
                         else 'NOT_QUEUED' end) w (cause));
    taken := array(select i.modification_id from unnest(items) i
                     join unnest(outcomes) o on o.item = i.item and o.outcome = 'done');
    perform take_back(taken, job.user_id, job.job_id);
    return outcomes;
end
$$;

-- Takes committed changes and open conflicts back to draft, in the name of a user. The caller holds the locks.
create function take_back(modification_ids text[], actor text, job bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    -- What no trigger saw has nothing queued that could end.
    perform log_event('WITHDRAWN', m.organization_id, actor, pfa_id => r.pfa_id, modification_id => m.modification_id,
                      job_id => job)
       from modification m
       left join mirror r on r.mirror_id = m.mirror_id
      where m.modification_id = any (modification_ids) and m.sync_state = 'committed'
        and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id);
    -- Ended in the name of the user who takes them back, before the triggers see it.
    perform withdraw_queued(modification_ids, actor, job);
    perform set_sync_state(modification_ids, 'draft');
end
$$;

-- What the triggers call for modifications that left committed, syncing or conflict. Our own functions end the queue
-- row first, so that a row found here means that the application moved the modification.
create function withdraw_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    in_flight record;
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- In flight by its lease, not its status: each completion calls this, and must not read the index of all leases.
    select q.modification_id, q.pfa_id into in_flight from pfa_write_queue q
     where q.modification_id = any (modification_ids) and q.lease_until is not null limit 1;
    if found then
        raise exception 'an edit of record % is being sent to PEMS and can''t be withdrawn', in_flight.pfa_id
            using errcode = 'PF003', detail = 'modification ' || in_flight.modification_id,
                  hint = 'Wait for its outcome, then commit a further modification.';
    end if;
    perform withdraw_queued(modification_ids);
end
$$;

-- Ends conflicts, dead letters and waiting changes whose modification does not exist any more, after TRUNCATE or after
-- rows were deleted while the triggers were disabled: no function could end them otherwise. What is in flight ends by
-- its own payload.
create function withdraw_orphans() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform withdraw_queued(array(
        select q.modification_id from pfa_write_queue q
         where q.status = 'pending'
           and not exists (select from modification m where m.modification_id = q.modification_id)
        union
        select c.modification_id from pfa_sync_conflict c
         where c.status = 'unresolved'
           and not exists (select from modification m where m.modification_id = c.modification_id)));
    perform close_dead_letters(array(
        select d.modification_id from pfa_write_queue_dlq d
         where d.status = 'open'
           and not exists (select from modification m where m.modification_id = d.modification_id)),
        'withdrawn', null, null);
end
$$;

-- Ends what waits for modifications that were withdrawn or deleted. What is in flight ends by its own payload.
-- actor null = the session's user; passing session_user would give all parameters its collation, which no index has.
-- job: of the function that withdraws them; null = the application did, and a job records it.
create function withdraw_queued(modification_ids text[], actor text default null, job bigint default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[];
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- The status is looked at outside: with it, a plan that was made for a short queue reads the index of all that
    -- waits.
    queue_ids := array(
        select q.id from unnest(modification_ids) i (id)
         cross join lateral (select q.id, q.status from pfa_write_queue q where q.modification_id = i.id offset 0) q
         where q.status = 'pending');
    -- Each completion calls this with nothing that waits.
    if cardinality(queue_ids) > 0 then
        perform lock_records(array(select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids)));
        perform log_changes('WITHDRAWN', true,
            array(select row(i, null, null, null)::log_entry from unnest(queue_ids) i), coalesce(actor, session_user));
        if job is null then
            perform record_withdrawal(queue_ids, coalesce(actor, session_user));
        end if;
        perform finalize_rows(queue_ids, 'withdrawn', null);
    end if;
    perform log_event('WITHDRAWN', c.organization_id, coalesce(actor, session_user), pfa_id => c.pfa_id,
                      modification_id => c.modification_id, queue_id => c.queue_id)
       from pfa_sync_conflict c where c.modification_id = any (modification_ids) and c.status = 'unresolved';
    if found then
        perform close_conflicts(modification_ids, actor);
    end if;
end
$$;

-- The job of changes that the application itself took back.
create function record_withdrawal(queue_ids bigint[], actor text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    taken record;
    job   bigint;
begin
    for taken in
        select q.organization_id, array_agg(q.id) as ids from pfa_write_queue q where q.id = any (queue_ids)
         group by q.organization_id order by q.organization_id
    loop
        job := start_job('withdraw', taken.organization_id, actor, cardinality(taken.ids));
        insert into bulk_job (job_id, by_dba, slices, state) values (job, false, 1, 'finished');
        insert into bulk_item (job_id, item, mirror_id, pfa_id, modification_id, outcome, slice, ended_at)
        select job, row_number() over (order by q.mirror_id, q.id), q.mirror_id, q.pfa_id, q.modification_id, 'done', 1,
               clock_timestamp()
          from pfa_write_queue q where q.id = any (taken.ids);
    end loop;
end
$$;

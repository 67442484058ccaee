-- What a relay reports. Every function takes items [{queue_id, attempt, …}], is set based, and is fenced: an item whose
-- attempt is not the current one changes nothing and is missing from the answer.

-- Locks the rows of items that are still the caller's, in the order that everything uses. Rows under way are told by
-- their lease here and below, so that the planner finds them by id and never reads the index of all leases for each.
create function lock_claimed(items jsonb) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[] := array(select (i->>'queue_id')::bigint from jsonb_array_elements(items) i);
begin
    perform refresh_plans();
    perform from modification m
      where m.modification_id in (select q.modification_id from pfa_write_queue q where q.id = any (queue_ids))
      order by m.modification_id for no key update;
    perform from mirror r
      where r.mirror_id in (select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids))
      order by r.mirror_id for no key update;
    return array(
        select q.id from pfa_write_queue q
          join jsonb_to_recordset(items) i (queue_id bigint, attempt int) on i.queue_id = q.id and i.attempt = q.attempt
         where q.lease_until is not null
         order by q.id for update of q);
end
$$;

-- Marks records as about to be sent, right before the request, and gives the log its WRITE_ATTEMPT. From here on,
-- silence means that the outcome is settled before anything is sent again. The lease covers the request's timeout.
create function pfa_sync.mark_sent(relay text, items jsonb, request_timeout interval default '30 s') returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    at timestamptz := clock_timestamp();
begin
    perform refresh_plans();
    return query
    with due as materialized (
        select q.id from pfa_write_queue q
          join jsonb_to_recordset(items) i (queue_id bigint, attempt int) on i.queue_id = q.id and i.attempt = q.attempt
         where q.lease_until is not null and q.relay = mark_sent.relay and q.lease_until > at
         order by q.id for update of q),
    marked as (
        update pfa_write_queue q
           set sent_at = now(), lease_until = greatest(q.lease_until, at + request_timeout)
          from due where q.id = due.id
        returning q.id, q.organization_id, q.author, q.pfa_id, q.modification_id, q.job_id, q.batch_id, q.request),
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes)
        select 'WRITE_ATTEMPT', m.organization_id, m.author, m.pfa_id, m.modification_id, m.id, m.job_id, m.batch_id, m.request from marked m),
    batch as (
        update sync_batch b set sent_at = at where b.batch_id in (select m.batch_id from marked m))
    select m.id from marked m;
end
$$;
comment on function pfa_sync.mark_sent(text, jsonb, interval) is 'Marks records as under way; returns those that are still the caller''s: only they may be sent.';

-- Records what PEMS confirmed. Items carry version (the new one), updated_at and response besides.
create function pfa_sync.complete(relay text, items jsonb) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held bigint[] := lock_claimed(items);
begin
    perform finalize_completed((select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(items) i where (i->>'queue_id')::bigint = any (held)));
    perform record_pems_health(organizations_of(held), false, null);
    return query select unnest(held), 'completed';
end
$$;
comment on function pfa_sync.complete(text, jsonb) is 'Records what PEMS confirmed, in mirror, history, modification, archive and log.';

-- Records failed tries. Items carry outcome (throttled, unavailable, unauthorized, rejected, locked, ambiguous),
-- http_status, error, retry_after_ms, response, and whole (the request failed, not the record alone) besides; retry_policy
-- decides what follows.
create function pfa_sync.fail(relay text, items jsonb) returns table (queue_id bigint, status text, retry_in_ms double precision)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held    bigint[];
    decided jsonb;
    calm    timestamptz;
    jitter  double precision := random();
    down    boolean := reports_outage(items);
    organizations text[];
begin
    if exists (select from jsonb_to_recordset(items) i (outcome text)
                where i.outcome is null or i.outcome not in ('throttled', 'unavailable', 'unauthorized', 'rejected', 'locked', 'ambiguous')) then
        raise exception 'fail() takes outcomes throttled, unavailable, unauthorized, rejected, locked and ambiguous' using errcode = 'PF001';
    end if;
    perform hold_organizations(relay, items);
    held := lock_claimed(items);
    organizations := organizations_of(held);
    decided := (
        select coalesce(jsonb_agg(to_jsonb(i) || jsonb_build_object('verdict', p.verdict, 'burns', p.burns, 'delay', p.delay)), '[]')
          from jsonb_to_recordset(items) i (queue_id bigint, outcome text, http_status int, error text, retry_after_ms double precision, response jsonb)
          join pfa_write_queue q on q.id = i.queue_id
         cross join lateral retry_policy(q.organization_id, i.outcome, q.retry_count, i.retry_after_ms,
                  down and coalesce(i.http_status, 503) in (502, 503, 504) and in_outage(q.organization_id), jitter) p
         where q.id = any (held));

    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes,
                               pems_response, success, error_message)
    select 'WRITE_FAILED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.batch_id, q.request, d.response, false,
           concat_ws(': ', d.outcome, d.error)
      from jsonb_to_recordset(decided) d (queue_id bigint, outcome text, error text, response jsonb)
      join pfa_write_queue q on q.id = d.queue_id;
    update pfa_write_queue q
       set last_error = concat_ws(': ', d.outcome, d.error), retry_count = q.retry_count + (d.burns and d.verdict = 'pending')::int
      from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, outcome text, error text, burns boolean)
     where q.id = d.queue_id;
    perform return_to_pending(array_agg(d.queue_id), d.delay)
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, delay interval)
      where d.verdict = 'pending' group by d.delay;
    perform finalize_dead_letters(jsonb_agg(to_jsonb(d) || jsonb_build_object('code', upper(d.outcome), 'error', coalesce(d.error, d.outcome))))
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, outcome text, error text, http_status int, response jsonb)
      where d.verdict = 'failed' having count(*) > 0;
    perform finalize_conflicts(array_agg(judgement_of_locked(d.queue_id, 'PEMS keeps the record locked by another user')), 'pems')
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text)
      where d.verdict = 'conflict' having count(*) > 0;

    select clock_timestamp() + max(d.delay) into calm
      from jsonb_to_recordset(decided) d (outcome text, delay interval) where d.outcome = 'throttled';
    if calm is not null then
        update pems p set next_slot = greatest(p.next_slot, calm)
         where p.pems in (select s.pems from sync_organization s join pfa_write_queue q on q.organization_id = s.organization_id where q.id = any (held));
    end if;
    -- judge_read hands in what it read: PEMS answered, and has been noted.
    if relay <> '' then
        perform record_pems_health(organizations, down, (select max(i->>'error') from jsonb_array_elements(items) i));
    end if;
    return query
        select o.queue_id, o.status, case when o.status = 'pending' then 1000 * extract(epoch from d.delay) end::double precision
          from row_statuses(held) o
          join jsonb_to_recordset(decided) d (queue_id bigint, delay interval) on d.queue_id = o.queue_id;
end
$$;
comment on function pfa_sync.fail(text, jsonb) is 'Records failed tries; the database decides what follows.';

-- The organizations of queue rows, live or ended.
create function organizations_of(queue_ids bigint[]) returns text[]
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select array(select q.organization_id from pfa_write_queue q where q.id = any ($1)
                 union
                 select a.organization_id from pfa_write_queue_archive a where a.id = any ($1))
$$;

-- Where rows stand now.
create function row_statuses(queue_ids bigint[]) returns table (queue_id bigint, status text)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select q.id, q.status from pfa_write_queue q where q.id = any (queue_ids)
    union all
    select a.id, a.status from pfa_write_queue_archive a where a.id = any (queue_ids)
$$;

-- Gives back what was claimed and not sent; no try is burnt.
create function pfa_sync.release(relay text, items jsonb) returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    held bigint[] := lock_claimed(items);
begin
    perform return_to_pending(held, interval '0');
    perform wake();
    return query select unnest(held);
end
$$;
comment on function pfa_sync.release(text, jsonb) is 'Gives back what was claimed and not sent.';

-- Prolongs leases from now on; returns those that are still the caller's.
create function pfa_sync.extend_lease(relay text, items jsonb, lease interval) returns setof bigint
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    update pfa_write_queue q
       set lease_until = greatest(q.lease_until, statement_timestamp() + $3)
      from jsonb_to_recordset($2) i (queue_id bigint, attempt int)
     where q.id = i.queue_id and q.attempt = i.attempt and q.lease_until is not null and q.lease_until > statement_timestamp()
    returning q.id
$$;
comment on function pfa_sync.extend_lease(text, jsonb, interval) is 'Prolongs the leases of a slow request.';

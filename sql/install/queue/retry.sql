-- What follows a failed try.

-- The one place that decides it. decision is pending (again after delay; uses_try says whether that was one of the
-- change's tries), reconcile (its outcome is read first, after the lease), failed (dead letter) or conflict.
--
-- no_try: the failure says nothing about the change, as in an outage, which makes no dead letters. backoff counts what
-- the delay grows by. jitter, from 0 to 1, is one for all that failed together: what was one request can be one again.
create function retry_policy(organization_id text, outcome text, retry_count int, retry_after_ms double precision,
                             no_try boolean, backoff int, jitter double precision)
    returns table (decision text, uses_try boolean, delay interval)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case
             when outcome in ('throttled', 'unauthorized') then 'pending'
             when outcome = 'ambiguous' then 'reconcile'
             when outcome = 'rejected' then 'failed'
             when no_try then 'pending'
             when retry_count < setting('max_retries', organization_id)::int then 'pending'
             when outcome = 'locked' then 'conflict'
             else 'failed'
           end,
           outcome in ('unavailable', 'locked', 'blocked') and not no_try,
           case
             when outcome = 'unauthorized' then interval '0'
             when retry_after_ms is not null
                 then least(make_interval(secs => least(retry_after_ms, 1e9) / 1000),
                            setting('retry_after_max')::interval)
             when outcome = 'throttled' then slot_interval_of(pems_of(organization_id))
             else least(setting('retry_delay_max', organization_id)::interval,
                        setting('retry_delay', organization_id)::interval
                            * (2 ^ least(backoff, 20)) * (1 + 0.1 * jitter))
           end
$$;

-- Whether a gateway answers in PEMS' place to the requests of one change, and to no others: it did before, and since
-- then PEMS itself has confirmed another write at once. In an outage of all writes that is not so.
create function is_blocked(change pfa_write_queue) returns boolean
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select change.outage_at is not null and exists (
        select from sync_organization o
          join sync_organization s on s.pems = o.pems
          join pfa_write_queue_archive a on a.organization_id = s.organization_id and a.completed_at > change.outage_at
         where o.organization_id = change.organization_id and a.status = 'completed' and a.sent_at > change.outage_at
           and coalesce(a.last_error, '') !~ '^(outage|blocked|ambiguous): ')
$$;

-- How many tries of a change have failed in one way.
create function failed_tries(change pfa_write_queue, outcome text) returns bigint
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select count(*) from pfa_audit_log l
     where l.organization_id = change.organization_id and l.pfa_id = change.pfa_id and l.queue_id = change.id
       and l.event_type = 'WRITE_FAILED' and starts_with(l.error_message, outcome || ': ')
$$;

-- A failed try and what follows it.
create type failure as (
    queue_id    bigint,
    outcome     text,
    error       text,
    http_status int,
    response    jsonb,
    decision    text,
    uses_try    boolean,
    delay       interval
);

-- Decides what follows failed tries of the given queue rows; down: the report says that PEMS is down.
--
-- No try of the change is: an answer that is not PEMS' own (outage), unless the change is blocked; a request without an
-- answer; an error of PEMS (500) while no other request was answered since the last failure, the probe of the breaker
-- among them; whatever a request with other changes met: the relay sends each of them by itself in the end. A change
-- that was sent in an outage is read first.
create function decide_failures(reported report_item[], queue_ids bigint[], down boolean) returns failure[]
    language plpgsql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    jitter double precision := random();
begin
    return array(
        select row(q.id, o.outcome, i.error, i.http_status, i.response,
                   -- Tries that a lock used up do not let one lost answer end the change.
                   case when p.decision = 'failed' and o.outcome = 'unavailable'
                             and failed_tries(q, o.outcome) < setting('max_retries', q.organization_id)::int
                        then 'pending' else p.decision end,
                   p.uses_try, p.delay)::failure
          from unnest(reported) i
          join pfa_write_queue q on q.id = i.queue_id
          left join sync_organization s on s.organization_id = q.organization_id
          left join pems b on b.pems = s.pems
         cross join lateral (
             select case when i.outcome = 'outage' and i.records = 1 and is_blocked(q) then 'blocked'
                         when i.outcome = 'ambiguous' and i.records > 1 then 'outage'
                         else i.outcome end as outcome) o
         cross join lateral (
             select i.outcome = 'outage'
                    or down and (coalesce(i.http_status, 503) in (502, 503, 504) or coalesce(i.records > 1, false)
                                 or b.failures > 0 or b.open_until is not null) as no_try) n
         cross join lateral retry_policy(q.organization_id,
                  case when i.outcome = 'outage' and q.sent_at is not null then 'ambiguous' else i.outcome end,
                  q.retry_count, i.retry_after_ms, coalesce(n.no_try, false),
                  greatest(q.retry_count, case when n.no_try then b.failures end), jitter) p
         where q.id = any (queue_ids));
end
$$;

-- Does what was decided: log, last error, retry, dead letter or conflict.
create function apply_failures(failures failure[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform log_changes('WRITE_FAILED', false, array(
        select row(f.queue_id, null, f.response, concat_ws(': ', f.outcome, f.error))::log_entry
          from unnest(failures) f));
    update pfa_write_queue q
       set last_error = concat_ws(': ', f.outcome, f.error),
           outage_at = case when f.outcome in ('outage', 'blocked') and q.sent_at is not null then clock_timestamp()
                            else q.outage_at end,
           retry_count = q.retry_count + (f.uses_try and f.decision = 'pending')::int
      from unnest(failures) f
     where q.id = f.queue_id;
    perform return_to_pending(array_agg(f.queue_id), f.delay)
       from unnest(failures) f where f.decision = 'pending' group by f.delay;
    perform finalize_dead_letters(array(
        select row(f.queue_id, case f.outcome when 'rejected' then 'REJECTED' when 'blocked' then 'BLOCKED'
                                              else 'UNAVAILABLE' end,
                   coalesce(f.error, f.outcome), f.http_status, f.response)::dead_letter
          from unnest(failures) f where f.decision = 'failed'));
    perform finalize_conflicts(array(
        select judgement_of_request(f.queue_id, 'LOCKED', 'PEMS keeps the record locked by another user')
          from unnest(failures) f where f.decision = 'conflict'), 'pems');
end
$$;

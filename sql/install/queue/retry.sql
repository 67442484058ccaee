-- What follows a failed try.

-- The one place that decides it. decision is pending (again after delay; uses_try says whether that was one of the
-- change's tries), reconcile (its outcome is read first, after the lease), failed (dead letter) or conflict.
--
-- While PEMS is known to be down, a request without an answer is no try of the change: an outage makes no dead letters.
-- jitter, from 0 to 1, is one for all that failed together: what was one request can be one again.
create function retry_policy(organization_id text, outcome text, retry_count int, retry_after_ms double precision,
                             outage boolean, jitter double precision)
    returns table (decision text, uses_try boolean, delay interval)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case
             when outcome in ('throttled', 'unauthorized') then 'pending'
             when outcome = 'ambiguous' then 'reconcile'
             when outcome = 'rejected' then 'failed'
             when outage and outcome = 'unavailable' then 'pending'
             when retry_count < setting('max_retries', organization_id)::int then 'pending'
             when outcome = 'locked' then 'conflict'
             else 'failed'
           end,
           outcome in ('unavailable', 'locked') and not (outage and outcome = 'unavailable'),
           case
             when outcome = 'unauthorized' then interval '0'
             when retry_after_ms is not null
                 then least(make_interval(secs => least(retry_after_ms, 1e9) / 1000),
                            setting('retry_after_max')::interval)
             when outcome = 'throttled' then setting('slot_interval')::interval
             else least(setting('retry_delay_max', organization_id)::interval,
                        setting('retry_delay', organization_id)::interval
                            * (2 ^ least(retry_count, 20)) * (1 + 0.1 * jitter))
           end
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
create function decide_failures(reported report_item[], queue_ids bigint[], down boolean) returns failure[]
    language plpgsql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    jitter double precision := random();
begin
    return array(
        select row(q.id, i.outcome, i.error, i.http_status, i.response, p.decision, p.uses_try, p.delay)::failure
          from unnest(reported) i
          join pfa_write_queue q on q.id = i.queue_id
         cross join lateral retry_policy(q.organization_id, i.outcome, q.retry_count, i.retry_after_ms,
                  down and coalesce(i.http_status, 503) in (502, 503, 504) and in_outage(q.organization_id), jitter) p
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
           retry_count = q.retry_count + (f.uses_try and f.decision = 'pending')::int
      from unnest(failures) f
     where q.id = f.queue_id;
    perform return_to_pending(array_agg(f.queue_id), f.delay)
       from unnest(failures) f where f.decision = 'pending' group by f.delay;
    perform finalize_dead_letters(array(
        select row(f.queue_id, case f.outcome when 'rejected' then 'REJECTED' else 'UNAVAILABLE' end,
                   coalesce(f.error, f.outcome), f.http_status, f.response)::dead_letter
          from unnest(failures) f where f.decision = 'failed'));
    perform finalize_conflicts(array(
        select judgement_of_request(f.queue_id, 'LOCKED', 'PEMS keeps the record locked by another user')
          from unnest(failures) f where f.decision = 'conflict'), 'pems');
end
$$;

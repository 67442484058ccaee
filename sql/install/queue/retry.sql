-- What follows a failed try: the one place for it. verdict is pending (again after delay; burns says whether that was
-- one of its tries), settle (its outcome is read first, after the lease), failed (dead letter) or conflict.
--
-- While PEMS is known to be down, what brings no answer from it is no try of the change's: an outage makes no dead letters.
-- jitter, from 0 to 1, is one for all that failed together: what was one request can be one again.
create function retry_policy(organization_id text, outcome text, retry_count int, retry_after_ms double precision, outage boolean, jitter double precision)
    returns table (verdict text, burns boolean, delay interval)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case
             when outcome in ('throttled', 'unauthorized') then 'pending'
             when outcome = 'ambiguous' then 'settle'
             when outcome = 'rejected' then 'failed'
             when outage and outcome = 'unavailable' then 'pending'
             when retry_count < setting('max_retries', organization_id)::int then 'pending'
             when outcome = 'locked' then 'conflict'
             else 'failed'
           end,
           outcome in ('unavailable', 'locked') and not (outage and outcome = 'unavailable'),
           case
             when outcome = 'unauthorized' then interval '0'
             when retry_after_ms is not null then make_interval(secs => retry_after_ms / 1000)
             when outcome = 'throttled' then setting('slot_interval')::interval
             else least(setting('retry_delay_max', organization_id)::interval,
                        setting('retry_delay', organization_id)::interval * (2 ^ least(retry_count, 20)) * (1 + 0.1 * jitter))
           end
$$;

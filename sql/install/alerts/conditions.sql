-- What the alert rules measure, and which of their conditions hold.

create type alert_condition as (
    rule            text,
    organization_id text,
    subject         text,
    value           numeric,
    reason          text,
    -- Of the rule as it is in force.
    severity        text,
    hold_for        interval
);

-- What the rules of the fleet measure now.
create function fleet_conditions()
    returns table (rule text, organization_id text, subject text, value numeric, reason text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
begin
    return query
        select 'no_relay', null::text, '', 1::numeric,
               format('the last heartbeat of a relay was at %s', pems_stamp(max(r.seen_at)))
          from relay r having max(r.seen_at) < at - relay_silence()
        union all
        select 'listener_silent', null, r.relay, 1, format('the relay %s receives no notifications', r.relay)
          from relay r where r.seen_at >= at - relay_silence() and not r.listening
        union all
        select 'breaker_open', null, p.pems, 1,
               format('%s requests in a row to PEMS %s had no answer', p.failures, p.pems)
          from pems p where p.open_until is not null
        union all
        select 'clock_skew', null, k.pems, abs(k.seconds),
               format('the clock of PEMS %s is %s s %s', k.pems, round(abs(k.seconds), 1),
                      case when k.seconds > 0 then 'ahead' else 'behind' end)
          from clock_skews() k
        union all
        select 'log_partition_missing', null, '', 1000 - d.days, format('the log has partitions for %s days', d.days)
          from log_partition_days() d (days)
        union all
        select u.rule, null, c.credential_id::text, extract(epoch from at - c.created_at) / 86400,
               format('credentials %s of PEMS %s%s are %s days old', c.credential_id, c.pems,
                      ', organization ' || c.organization_id, floor(extract(epoch from at - c.created_at) / 86400))
          from organization_api_credentials c
         cross join (values ('credentials_age'), ('credentials_expired')) u (rule)
         where c.status = 'active';
end
$$;

-- What the rules of organizations measure now.
create function organization_conditions()
    returns table (rule text, organization_id text, subject text, value numeric, reason text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
begin
    return query
    with found as materialized (select f.* from health_findings() f),
    known as materialized (
        select s.organization_id, may_send(s) as sends, s.released_at, s.paused_until
          from listed_organizations() s)
    select v.rule, f.organization_id, '', 1::numeric, coalesce(f.reason, c.meaning)
      from found f
      join cause c on c.code = f.code
      join (values ('held', 'credentials_refused'), ('unserved', 'unserved'), ('drift', 'drift')) v (code, rule)
        on v.code = f.code
    union all
    select 'oldest_waiting', k.organization_id, '', w.seconds,
           format('the oldest change that waits was queued at %s', pems_stamp(w.oldest))
      from known k
     cross join lateral (
         select o.oldest, extract(epoch from at - greatest(o.oldest, k.released_at, k.paused_until)) as seconds
           from oldest_waiting(k.organization_id) o (oldest)) w
     where k.sends and w.oldest is not null
    union all
    select 'queue_growing', k.organization_id, '', r.per_minute_in,
           format('%s changes are queued in a minute, and %s end', r.per_minute_in, r.per_minute_out)
      from known k
     cross join lateral oldest_waiting(k.organization_id) o (oldest)
     cross join lateral queue_rates(k.organization_id, greatest(o.oldest, k.released_at, k.paused_until)) r
     where k.sends and o.oldest is not null
       and queue_trend(r.per_minute_in, r.per_minute_out, r.measured) = 'growing'
    union all
    -- Beyond the threshold is below it: both are counted down from 100.
    select 'success_rate', k.organization_id, '', 100.0 * e.failed / (e.completed + e.failed),
           format('of %s changes that ended within an hour, %s failed', e.completed + e.failed, e.failed)
      from known k
     cross join lateral ended_within_hour(k.organization_id) e
     where e.completed + e.failed >= 100
    union all
    select 'dead_letters', d.organization_id, '', count(*), format('open dead letters: %s', count(*))
      from pfa_write_queue_dlq d where d.status = 'open' group by d.organization_id
    union all
    select 'conflicts_waiting', c.organization_id, '', extract(epoch from at - min(c.created_at)),
           format('open conflicts: %s, the oldest since %s', count(*), pems_stamp(min(c.created_at)))
      from pfa_sync_conflict c where c.status = 'unresolved' group by c.organization_id
    union all
    select 'pull_overdue', d.organization_id, '', extract(epoch from at - p.completed_at - d.every),
           format('the last pull completed at %s', pems_stamp(p.completed_at))
      from (select s.organization_id, setting('pull_interval', s.organization_id)::interval as every
              from due_pulls() s where s.scheduled) d
     cross join lateral (
         select coalesce(max(p.ended_at) filter (where p.status = 'completed'), min(p.started_at)) as completed_at
           from sync_pull p where p.organization_id = d.organization_id) p
     where p.completed_at is not null;
end
$$;

-- The conditions that hold: their rule is enabled, and their value is beyond its threshold.
create function alert_conditions() returns setof alert_condition
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select c.rule, c.organization_id, c.subject, round(c.value, 3), left(c.reason, 2000), l.severity, l.hold_for
      from (select f.* from fleet_conditions() f union all select o.* from organization_conditions() o) c
     cross join lateral alert_limit_of(c.rule, c.organization_id) l
     where l.enabled
       and c.value > case c.rule when 'success_rate' then 100 - l.threshold
                                 when 'log_partition_missing' then 1000 - l.threshold else l.threshold end
$$;

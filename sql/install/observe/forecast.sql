-- When what waits will have been sent.

-- How many changes are queued and end in a minute. What ends is measured since a time, ten minutes at most: while
-- something waits, so that minutes without work do not count. What is queued is the middle one of the last three full
-- five minutes that maintain() has counted, so that one large commit is not taken for a trend.
create function queue_rates(organization_id text, busy_since timestamptz, out per_minute_in numeric,
                            out per_minute_out numeric, out measured interval)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off
as $$
declare
    at     timestamptz := clock_timestamp();
    begun  timestamptz := greatest(busy_since, at - interval '10 minutes');
    slot   timestamptz := date_bin('5 minutes', at, 'epoch');
    -- As many as are read of them, the latest first: with more, they and the time that they took say the rate.
    most   constant int := 2000;
    ended  bigint;
    oldest timestamptz;
begin
    select count(*), min(e.completed_at) into ended, oldest
      from (select a.completed_at from pfa_write_queue_archive a
             where a.organization_id = queue_rates.organization_id and a.completed_at > begun
             order by a.completed_at desc limit most) e;
    measured := greatest(at - begun, interval '0');
    per_minute_out := round(60 * ended
        / greatest(extract(epoch from case when ended = most then at - oldest else measured end), 1), 1);
    per_minute_in := (
        select round((percentile_disc(0.5) within group (order by s.committed) / 5.0)::numeric, 1)
          from (select coalesce((select sum(r.samples) from kpi_rollup r
                                  where r.organization_id = queue_rates.organization_id
                                    and r.period = slot - n * interval '5 minutes' and r.measure = 'committed'),
                                0) as committed
                  from generate_series(1, 3) n) s);
end
$$;

-- What a queue that may be sent does at these rates: it drains, grows, or is stalled: nothing has ended for two minutes
-- or longer.
create function queue_trend(per_minute_in numeric, per_minute_out numeric, measured interval) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case when per_minute_out = 0 and measured >= interval '2 minutes' then 'stalled'
                when per_minute_out > 0 and per_minute_in >= per_minute_out and measured >= interval '2 minutes'
                then 'growing' else 'draining' end
$$;

-- A time in words.
create function about(span interval) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case when span < interval '1 minute' then 'less than a minute'
                when span < interval '90 seconds' then 'about 1 minute'
                when span < interval '2 hours' then format('about %s minutes', round(extract(epoch from span) / 60))
                when span < interval '2 days' then format('about %s hours', round(extract(epoch from span) / 3600))
                else format('about %s days', round(extract(epoch from span) / 86400)) end
$$;

create function pfa_sync.drain_forecast(organization text default null)
    returns table (organization_id text, state text, waiting bigint, per_minute_in numeric, per_minute_out numeric,
                   clears_at timestamptz, sentence text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    only_organization text := organization_of(organization);
    visible           text[] := visible_organizations();
    copied            boolean := is_copy();
begin
    return query
    with stopped as materialized (
        select distinct on (f.organization_id) f.organization_id, f.code, coalesce(f.reason, c.meaning) as reason
          from health_findings() f
          join cause c on c.code = f.code and c.stops
         order by f.organization_id, c.rank),
    known as materialized (
        select s.organization_id, s.pems, p.code, p.reason,
               case when l.waiting < count_bound() then l.waiting
                    else greatest(l.waiting, n.waiting) end + l.processing as waiting,
               greatest(l.due_at, s.released_at, s.paused_until, b.closed_at) as busy_since
          from listed_organizations() s
         cross join lateral live_changes_of(s.organization_id, 'infinity') l
          left join queue_count n on n.organization_id = s.organization_id
          left join pems b on b.pems = s.pems
          left join stopped p on p.organization_id = s.organization_id
         where s.organization_id = any (visible)
           and (only_organization is null or s.organization_id = only_organization)),
    rated as materialized (
        select k.*, r.per_minute_in, r.per_minute_out,
               case when k.waiting = 0 then 'empty'
                    when copied or k.code is not null and k.code <> 'stalled' then 'stopped'
                    when k.code = 'stalled' then 'stalled'
                    else queue_trend(r.per_minute_in, r.per_minute_out, r.measured) end as state,
               r.measured
          from known k
         cross join lateral queue_rates(k.organization_id, k.busy_since) r),
    forecast as (
        select r.*,
               case when r.state <> 'draining' then null
                    -- Nothing has ended yet: as fast as PEMS' limit allows.
                    when r.per_minute_out = 0 then ceil(r.waiting / 100.0) * slot_interval_of(r.pems)
                    else least(r.waiting / greatest(r.per_minute_out - r.per_minute_in, 0.1), 5e6)
                         * interval '1 minute' end as span
          from rated r)
    select f.organization_id, f.state, f.waiting, f.per_minute_in, f.per_minute_out, clock_timestamp() + f.span,
           case f.state
               when 'empty' then 'nothing waits'
               when 'stopped' then concat_ws(': ', 'stopped', case when copied then 'not_attached' else f.code end,
                                             f.reason)
               when 'stalled' then format('stalled: nothing has ended for %s', about(f.measured))
               when 'growing' then format('growing: %s changes are queued in a minute, and %s end', f.per_minute_in,
                                          f.per_minute_out)
               else 'clears in ' || about(f.span) end
      from forecast f
     order by f.organization_id;
end
$$;
comment on function pfa_sync.drain_forecast(text) is
    'What becomes of the queue of each visible organization: state, changes that wait or are in flight (1000 stands '
    'for more until maintain() has counted them), changes that are queued and that end in a minute, when it will be '
    'empty (null: not known), and a sentence. State: empty; draining; growing: more is queued than ends; stalled: '
    'changes are due and none has ended for two minutes; stopped: nothing is sent, the sentence begins with the code '
    'of health(). What ends is measured while something waits, over ten minutes at most; what is queued is the middle '
    'of the last three full five minutes. PF008: no such organization.';

-- Key figures of each organization over time, from the rollups: what they cost depends on the time asked for, and not
-- on the number of changes.

create table kpi (
    name       text    not null,
    place      int     not null,
    unit       text    not null,
    target     numeric,
    definition text    not null,
    source     text    not null,
    constraint kpi_pkey primary key (name),
    constraint kpi_place unique (place),
    constraint kpi_unit check (unit in ('ratio', 'seconds', 'changes', 'changes per hour'))
);
comment on table kpi is 'The figures of kpis(). Replaced by upgrades.';
comment on column kpi.target is 'of a ratio, the lowest value that is good; null: none is set';

insert into kpi (place, name, unit, target, definition, source) values
    (1, 'success_rate', 'ratio', 0.99,
     'changes that PEMS confirmed, of those that it confirmed or that became dead letters',
     'log: SYNCED, DEAD_LETTER'),
    (2, 'latency_mean', 'seconds', null, 'from commit to confirmation, on average', 'archive'),
    (3, 'latency_p50', 'seconds', null,
     'from commit to confirmation: half of the changes take at most this; within 5 %, below 10 ms within 5 ms',
     'archive'),
    (4, 'latency_p95', 'seconds', null, 'the same of 95 % of the changes', 'archive'),
    (5, 'latency_p99', 'seconds', null, 'the same of 99 % of the changes', 'archive'),
    (6, 'time_to_resolve', 'seconds', null,
     'from the time that a conflict was found to the time that a user resolved it, on average', 'conflicts'),
    (7, 'time_to_resolve_p95', 'seconds', null, 'the same of 95 % of the conflicts; within 5 %', 'conflicts'),
    (8, 'queue_age', 'seconds', null,
     'how long the oldest change that waits has waited: now, or the longest that maintain() saw in a past period',
     'queue'),
    (9, 'queue_depth', 'changes', null,
     'changes that wait or are in flight: now, or on average of what maintain() counted in a past period', 'queue'),
    (10, 'throughput', 'changes per hour', null, 'changes that PEMS confirmed in an hour', 'log: SYNCED'),
    (11, 'uptime_relay', 'ratio', null,
     'share of the time, since the first heartbeat, in which a relay sent heartbeats', 'heartbeats'),
    (12, 'uptime_breaker', 'ratio', null,
     'share of the time, since the first heartbeat, in which the breaker of the organization''s PEMS was closed',
     'breaker'),
    (13, 'status_visibility', 'ratio', null,
     'committed changes that were found in queue or archive when they were counted', 'log: COMMITTED, queue, archive'),
    (14, 'consistency', 'ratio', null,
     'records that pulls and comparisons read and found as the mirror has them, of these, of those that a comparison '
     'found otherwise, and of the changes that PEMS stores otherwise than it confirmed; records that a pull found '
     'changed in PEMS are in none',
     'pulls, pfa-relay compare, log: STORED_DIFFERENTLY'),
    (15, 'audit_completeness', 'ratio', null,
     'changes that ended and whose commit and end stand in the log, of a sample: up to 50 in five minutes',
     'archive, log');

-- What is counted between two times, and what the log has got since maintain() counted, up to about 20,000 entries.
create function figures_between(visible text[], begins timestamptz, ends timestamptz)
    returns table (organization_id text, period timestamptz, measure text, bucket int, samples bigint,
                   total double precision)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    here rollup_position;
begin
    return query
        select r.organization_id, r.period, r.measure, r.bucket, r.samples, r.total from kpi_rollup r
         where r.organization_id = any (visible) and r.period >= begins and r.period < ends;
    select * into here from rollup_position;
    if here.origin = database_identity() then
        return query
            select f.organization_id, f.period, f.measure, f.bucket, f.samples, f.total
              from log_figures(here.counted, next_position(here.counted, 20000), here.after_id, here.last_id, false) f
             where f.organization_id = any (visible) and f.period >= begins and f.period < ends;
    end if;
end
$$;

-- Seconds of a period in which times overlap with it.
create function overlap_seconds(times tstzmultirange, begins timestamptz, ends timestamptz) returns numeric
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select coalesce(sum(extract(epoch from upper(t) - lower(t))), 0)
      from unnest(times * tstzmultirange(tstzrange(least(begins, ends), ends))) t
$$;

create function pfa_sync.kpis(organization text default null, since timestamptz default null,
                              until timestamptz default null, step interval default null)
    returns table (organization_id text, period_start timestamptz, period_end timestamptz, name text, value numeric,
                   unit text, target numeric, met boolean, samples bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off set jit = off
as $$
#variable_conflict use_column
declare
    only_organization text := organization_of(organization);
    visible  text[];
    at       timestamptz := now();
    ends     timestamptz := least(coalesce(until, at), at);
    begins   timestamptz := coalesce(since, ends - interval '1 day');
    grain    interval;
    length   double precision;
    periods  int;
    alive    tstzmultirange;
    observed timestamptz;
begin
    perform require_between('until', until, timestamptz '2000-01-01 00:00Z', timestamptz '3000-01-01 00:00Z');
    perform require_between('since', begins, timestamptz '2000-01-01 00:00Z', ends);
    perform require_between('step', step, interval '5 minutes', interval '3650 days');
    grain := rollup_period(begins);
    begins := date_bin(grain, begins, 'epoch');
    if ends < at then
        ends := least(at, date_bin(rollup_period(ends), ends - interval '1 microsecond', 'epoch')
                          + rollup_period(ends));
    end if;
    length := coalesce(extract(epoch from step), greatest(extract(epoch from ends - begins), 1));
    if step is not null and length::numeric % extract(epoch from grain) <> 0 then
        raise exception 'step must be a multiple of %, not %', grain, step
            using errcode = 'PF001',
                  hint = 'Figures stand by five minutes for two days, by hour for three months, then by day.';
    end if;
    periods := greatest(ceil(extract(epoch from ends - begins) / length), 1);
    if periods > 1000 then
        raise exception 'step makes % periods of the time between since and until; at most 1000', periods
            using errcode = 'PF001';
    end if;
    visible := array(select s.organization_id from listed_organizations() s
                      where s.organization_id = any (visible_organizations())
                        and (only_organization is null or s.organization_id = only_organization));
    -- The last heartbeat stands for the time until the next one.
    select range_agg(tstzrange(u.began_at, case when u.seen_at >= at - relay_silence() then at else u.seen_at end)),
           min(u.began_at)
      into alive, observed
      from relay_uptime u;
    return query
    with period as materialized (
        select n as number, begins + n * length * interval '1 second' as begins,
               least(begins + (n + 1) * length * interval '1 second', ends) as ends
          from generate_series(0, periods - 1) n),
    counted as materialized (
        select f.organization_id, floor(extract(epoch from f.period - begins) / length)::int as number, f.measure,
               f.bucket, sum(f.samples) as samples, sum(f.total) as total
          from figures_between(visible, begins, ends) f group by 1, 2, 3, 4),
    summed as (
        select c.organization_id, c.number,
               coalesce(sum(c.samples) filter (where c.measure = 'completed'), 0) as completed,
               coalesce(sum(c.samples) filter (where c.measure = 'failed'), 0) as failed,
               coalesce(sum(c.samples) filter (where c.measure = 'committed'), 0) as committed,
               coalesce(sum(c.samples) filter (where c.measure = 'located'), 0) as located,
               coalesce(sum(c.samples) filter (where c.measure = 'audited'), 0) as audited,
               coalesce(sum(c.samples) filter (where c.measure = 'audit_complete'), 0) as audit_complete,
               coalesce(sum(c.samples) filter (where c.measure = 'read_same'), 0) as read_same,
               coalesce(sum(c.samples) filter (where c.measure = 'read_different'), 0) as read_different,
               coalesce(sum(c.samples) filter (where c.measure = 'stored_differently'), 0) as different,
               coalesce(sum(c.samples) filter (where c.measure = 'completed' and c.bucket >= 0), 0) as timed,
               sum(c.total) filter (where c.measure = 'completed' and c.bucket >= 0) as seconds,
               coalesce(sum(c.samples) filter (where c.measure = 'resolved'), 0) as resolved,
               sum(c.total) filter (where c.measure = 'resolved') as resolve_seconds,
               coalesce(sum(c.samples) filter (where c.measure = 'queue_age'), 0) as ages,
               max(c.bucket) filter (where c.measure = 'queue_age') as age,
               coalesce(sum(c.samples) filter (where c.measure = 'queue_depth'), 0) as depths,
               sum(c.total) filter (where c.measure = 'queue_depth') as depth
          from counted c group by 1, 2),
    -- The first bucket up to which the share of the samples lies.
    ranked as (
        select c.organization_id, c.number, c.measure, c.bucket,
               sum(c.samples) over (w order by c.bucket) as upto, sum(c.samples) over w as everything
          from counted c where c.measure in ('completed', 'resolved') and c.bucket >= 0
        window w as (partition by c.organization_id, c.number, c.measure)),
    percentile as (
        select r.organization_id, r.number,
               bucket_seconds(min(r.bucket) filter (where r.measure = 'completed' and r.upto >= 0.50 * r.everything))
                   as p50,
               bucket_seconds(min(r.bucket) filter (where r.measure = 'completed' and r.upto >= 0.95 * r.everything))
                   as p95,
               bucket_seconds(min(r.bucket) filter (where r.measure = 'completed' and r.upto >= 0.99 * r.everything))
                   as p99,
               bucket_seconds(min(r.bucket) filter (where r.measure = 'resolved' and r.upto >= 0.95 * r.everything))
                   as resolve_p95
          from ranked r group by 1, 2),
    organization as (
        select v as organization_id, oldest_waiting(v) as oldest, queue_depth(v) as depth, o.open
          from unnest(visible) v
          join sync_organization s on s.organization_id = v
         cross join lateral (
             select coalesce(range_agg(tstzrange(least(x.opened_at, x.closed_at), x.closed_at)), '{}') as open
               from (select p.opened_at, p.closed_at from pems_outage p where p.pems = s.pems
                     union all
                     select p.opened_at, at from pems p where p.pems = s.pems and p.opened_at is not null) x) o),
    measured as (
        select o.organization_id, p.begins, p.ends, f.name, f.value, f.samples
          from organization o
         cross join period p
          left join summed s on s.organization_id = o.organization_id and s.number = p.number
          left join percentile q on q.organization_id = o.organization_id and q.number = p.number
         cross join lateral (
             select case when observed < p.ends
                         then nullif(extract(epoch from p.ends - greatest(p.begins, observed)), 0) end as seconds) w
         cross join lateral (values
             ('success_rate', s.completed::numeric / nullif(s.completed + s.failed, 0), s.completed + s.failed),
             ('latency_mean', (s.seconds / nullif(s.timed, 0)::double precision)::numeric, s.timed),
             ('latency_p50', q.p50::numeric, s.timed),
             ('latency_p95', q.p95::numeric, s.timed),
             ('latency_p99', q.p99::numeric, s.timed),
             ('time_to_resolve', (s.resolve_seconds / nullif(s.resolved, 0)::double precision)::numeric, s.resolved),
             ('time_to_resolve_p95', q.resolve_p95::numeric, s.resolved),
             ('queue_age', case when p.ends >= at then greatest(extract(epoch from at - o.oldest), 0)
                                else bucket_seconds(s.age)::numeric end,
              case when p.ends >= at then (o.oldest is not null)::int else s.ages end),
             ('queue_depth', case when p.ends >= at then o.depth
                                  else (s.depth / nullif(s.depths, 0)::double precision)::numeric end,
              case when p.ends >= at then 1 else s.depths end),
             ('throughput', 3600 * coalesce(s.completed, 0)
                                / nullif(extract(epoch from p.ends - p.begins), 0), s.completed),
             ('uptime_relay', overlap_seconds(alive, greatest(p.begins, observed), p.ends) / w.seconds,
              round(w.seconds / 60)),
             ('uptime_breaker', 1 - overlap_seconds(o.open, greatest(p.begins, observed), p.ends) / w.seconds,
              round(w.seconds / 60)),
             ('status_visibility', s.located::numeric / nullif(s.committed, 0), s.committed),
             ('consistency', s.read_same::numeric / nullif(s.read_same + s.read_different + s.different, 0),
              s.read_same + s.read_different + s.different),
             ('audit_completeness', s.audit_complete::numeric / nullif(s.audited, 0), s.audited))
             f (name, value, samples))
    select m.organization_id, m.begins, m.ends, k.name, round(m.value, 6), k.unit, k.target,
           case when k.target is not null then round(m.value, 6) >= k.target end, coalesce(m.samples, 0)::bigint
      from measured m
      join kpi k on k.name = m.name
     order by m.organization_id, m.begins, k.place;
end
$$;
comment on function pfa_sync.kpis(text, timestamptz, timestamptz, interval) is
    'Key figures of each visible organization: name, value (null: nothing was measured), unit, target (null: none), '
    'whether it is met, and the number of samples; of uptimes, the minutes observed. since: by default a day before '
    'until; until: now; step: length of the periods, by default one. Periods begin at full five minutes, at full hours '
    'where they are older than two days, at full days where older than 92. docs/reference/kpis.md defines each figure. '
    'PF001: a time or step beyond its bounds, a step that is no multiple of these, or more than 1000 periods; PF008: '
    'no such organization.';

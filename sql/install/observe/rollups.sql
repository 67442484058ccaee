-- Rollups: what the log says, counted by organization and period, so that figures over months cost as little as figures
-- over an hour. maintain() counts; a commit writes nothing for it.
--
-- Each entry of the log is counted once. The position is a snapshot, as of events(): what it shows is counted. An entry
-- of a transaction that commits late, whatever its time, is not shown by it yet, and is counted by the next call.
--
-- Counts stand by five minutes for two days, by hour for three months, then by day.

create table kpi_rollup (
    organization_id text             not null,
    period          timestamptz      not null,
    measure         text             not null,
    bucket          int              not null default 0,
    samples         bigint           not null,
    total           double precision not null default 0,
    constraint kpi_rollup_pkey primary key (organization_id, period, measure, bucket)
);
comment on table kpi_rollup is 'What happened in a period, counted by measure: see log_figures() and roll_up().';
comment on column kpi_rollup.period is 'when the five minutes, the hour or the day begins, in UTC';
comment on column kpi_rollup.measure is
    'what is counted; in capitals: a cause, of which attempts and dead letters are counted';
comment on column kpi_rollup.bucket is 'of a duration: see duration_bucket(); -1: its duration is not known';
comment on column kpi_rollup.total is 'sum of the durations in seconds';
create index kpi_rollup_fine on kpi_rollup (period) where date_bin('1 hour', period, 'epoch') <> period;
create index kpi_rollup_hours on kpi_rollup (period) where date_bin('1 day', period, 'epoch') <> period;
create index kpi_rollup_period on kpi_rollup (period);
select pg_catalog.pg_extension_config_dump('kpi_rollup', '');

create table failure_seen (
    organization_id text        not null,
    code            text        not null,
    first_at        timestamptz not null,
    last_at         timestamptz not null,
    constraint failure_seen_pkey primary key (organization_id, code)
);
comment on table failure_seen is 'When a failure of a cause was first and last seen in an organization.';
select pg_catalog.pg_extension_config_dump('failure_seen', '');

create table rollup_position (
    only_row      boolean     not null default true,
    origin        text        not null default '',
    counted       pg_snapshot not null default '1:1:',
    after_id      bigint      not null default 0,
    last_id       bigint      not null default 0,
    audited_until timestamptz,
    constraint rollup_position_pkey primary key (only_row),
    constraint rollup_position_only_row check (only_row)
);
comment on table rollup_position is 'How far the log is counted. Locked by the session that counts.';
comment on column rollup_position.origin is 'the database whose transaction ids counted has';
comment on column rollup_position.counted is 'entries that this snapshot shows are counted';
comment on column rollup_position.after_id is
    'the last entry of the log when the data came into this database: up to it, transaction ids are of another one';
comment on column rollup_position.last_id is 'the highest id of a counted entry';
comment on column rollup_position.audited_until is 'changes that ended before are sampled, see audit_samples()';
select pg_catalog.pg_extension_config_dump('rollup_position', '');

-- Buckets of durations: each is a tenth longer than the one before; 0 ends at 10 ms. A duration that is read from its
-- bucket is off by 4.9 % at most, below 10 ms by 5 ms; what is longer than a year counts as a year.
create function duration_bucket(seconds double precision) returns int
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select case when seconds > 0.01 then least(ceil(ln(seconds / 0.01) / ln(1.1)), 230)::int else 0 end $$;

-- The duration in seconds that stands for a bucket.
create function bucket_seconds(bucket int) returns double precision
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select case when bucket > 0 then 0.01 * 1.1 ^ (bucket - 0.5) else 0.005 end $$;

-- The length of the periods that counts of a time stand by.
create function rollup_period(at timestamptz) returns interval
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case when at >= now() - interval '2 days' then interval '5 minutes'
                when at >= now() - interval '92 days' then interval '1 hour' else interval '1 day' end
$$;

-- The snapshot up to which a call counts, from one: what is committed now, of about max_rows entries.
create function next_position(counted pg_snapshot, max_rows int) returns pg_snapshot
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off
as $$
declare
    current pg_snapshot := pg_current_snapshot();
    last    xid8;
    upper   xid8;
begin
    last := (select e.xid from pfa_audit_log e
              where e.xid >= pg_snapshot_xmax(counted) and e.xid < pg_snapshot_xmax(current)
              order by e.xid offset max_rows limit 1);
    if last is null then
        return current;
    end if;
    -- All entries of a transaction are counted together.
    upper := least(pg_snapshot_xmax(current), ((last::text)::bigint + 1)::text::xid8);
    return (select format('%s:%s:%s', coalesce(min(x), upper), upper, string_agg(x::text, ',' order by x))::pg_snapshot
              from pg_snapshot_xip(current) x where x < upper);
end
$$;

-- The entries of the log from an id on that one snapshot shows and another does not.
create function log_between(shown pg_snapshot, upto pg_snapshot, after_id bigint) returns setof pfa_audit_log
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off
as $$
begin
    return query
        select l.* from pfa_audit_log l
         where l.xid >= pg_snapshot_xmax(shown) and l.xid < pg_snapshot_xmax(upto)
           and l.id > after_id and pg_visible_in_snapshot(l.xid, upto)
        union all
        select l.* from pfa_audit_log l
         where l.xid = any (array(select pg_snapshot_xip(shown)))
           and l.id > after_id and pg_visible_in_snapshot(l.xid, upto);
end
$$;

-- Counts the entries that one snapshot shows and another does not, from an id on. moved: the data came from another
-- database; then entries up to that id are old ones, and of them those are counted that were not there.
create function log_figures(counted pg_snapshot, upto pg_snapshot, after_id bigint, last_id bigint, moved boolean)
    returns table (organization_id text, period timestamptz, measure text, bucket int, samples bigint,
                   total double precision, first_at timestamptz, last_at timestamptz, last_entry bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with entries as materialized (
        select e.id, e.at, e.event_type, e.organization_id, e.user_id, e.queue_id, e.modification_id,
               e.error_message
          from (select l.* from log_between(counted, upto, after_id) l where not moved
                union all
                select l.* from pfa_audit_log l
                 where moved and (l.id <= after_id or pg_visible_in_snapshot(l.xid, upto))
                   and (l.id > last_id or not pg_visible_in_snapshot(l.xid, counted))) e
         where e.organization_id is not null),
    measured as (
        select e.*, 'committed' as measure, 0 as bucket, 0::double precision as seconds
          from entries e where e.event_type = 'COMMITTED'
        union all
        -- A committed change can be found: it waits or is archived.
        select e.*, 'located', 0, 0 from entries e
         where e.event_type = 'COMMITTED'
           and (exists (select from pfa_write_queue q where q.id = e.queue_id)
                or exists (select from pfa_write_queue_archive a where a.id = e.queue_id))
        union all
        select e.*, 'completed', coalesce(duration_bucket(d.seconds), -1), coalesce(d.seconds, 0)
          from entries e
          left join pfa_write_queue_archive a on a.id = e.queue_id
         cross join lateral (
             select extract(epoch from a.completed_at - a.created_at)::double precision as seconds) d
         where e.event_type = 'SYNCED'
        union all
        select e.*, 'failed', 0, 0 from entries e where e.event_type = 'DEAD_LETTER'
        union all
        select e.*, 'stored_differently', 0, 0 from entries e where e.event_type = 'STORED_DIFFERENTLY'
        union all
        -- Conflicts that a user resolved.
        select e.*, 'resolved', duration_bucket(d.seconds), d.seconds
          from entries e
         cross join lateral (
             select extract(epoch from c.resolved_at - c.created_at)::double precision as seconds
               from pfa_sync_conflict c
              where c.modification_id = e.modification_id and c.status = 'resolved_manual' and c.resolved_at <= e.at
                and c.resolution is not null
              order by c.resolved_at desc limit 1) d
         where e.event_type = 'CONFLICT_RESOLVED' and e.user_id not like 'rule: %'
        union all
        select e.*, c.code, 0, 0
          from entries e
          join cause c on c.outcome = split_part(e.error_message, ': ', 1)
         where e.event_type = 'WRITE_FAILED'
        union all
        -- Where the last attempt has the cause, it is counted by that attempt.
        select e.*, c.code, 0, 0
          from entries e
          join pfa_write_queue_dlq d on d.queue_id = e.queue_id
          join cause c on c.code = d.code and c.outcome is null
         where e.event_type = 'DEAD_LETTER')
    select m.organization_id, date_bin('5 minutes', m.at, 'epoch'), m.measure, m.bucket, count(*), sum(m.seconds),
           min(m.at), max(m.at), max(m.id)
      from measured m
     group by 1, 2, 3, 4;
end
$$;

-- Adds to the counts.
create function add_figure(organization_id text, at timestamptz, measure text, samples bigint, bucket int default 0,
                           total double precision default 0)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    insert into kpi_rollup as r (organization_id, period, measure, bucket, samples, total)
        values (organization_id, date_bin('5 minutes', at, 'epoch'), measure, bucket, samples, total)
        on conflict on constraint kpi_rollup_pkey
        do update set samples = r.samples + excluded.samples, total = r.total + excluded.total;
end
$$;

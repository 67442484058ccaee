-- What fills the rollups, called by maintain().

-- Counts what the log has got since the last call, in portions; whether this session was the one that counted. A second
-- session that calls it meanwhile counts nothing.
create function roll_up(portions int default 10, max_rows int default 20000) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here    rollup_position;
    database text := database_identity();
    epoch   bigint := (select i.log_epoch from installation i);
    upto    pg_snapshot;
    moved   boolean;
begin
    -- A copy counts nothing before it is adopted.
    if epoch is null or is_copy() then
        return false;
    end if;
    if not exists (select from rollup_position) then
        insert into rollup_position default values on conflict do nothing;
    end if;
    select * into here from rollup_position for update skip locked;
    if not found then
        return false;
    end if;
    for portion in 1 .. portions loop
        moved := here.origin <> database;
        if moved then
            here.after_id := epoch;
            upto := pg_current_snapshot();
        else
            upto := next_position(here.counted, max_rows);
        end if;
        with figures as materialized (
            select * from log_figures(here.counted, upto, here.after_id, here.last_id, moved)),
        rolled as (
            insert into kpi_rollup as r (organization_id, period, measure, bucket, samples, total)
            select f.organization_id, f.period, f.measure, f.bucket, f.samples, f.total from figures f
            on conflict on constraint kpi_rollup_pkey
            do update set samples = r.samples + excluded.samples, total = r.total + excluded.total),
        seen as (
            insert into failure_seen as s (organization_id, code, first_at, last_at)
            select f.organization_id, f.measure, min(f.first_at), max(f.last_at)
              from figures f join cause c on c.code = f.measure group by 1, 2
            on conflict on constraint failure_seen_pkey
            do update set first_at = least(s.first_at, excluded.first_at),
                          last_at = greatest(s.last_at, excluded.last_at))
        select greatest(max(f.last_entry), here.last_id) into here.last_id from figures f;
        here.counted := upto;
        here.origin := database;
        exit when not moved and pg_snapshot_xmax(upto) >= pg_snapshot_xmax(pg_current_snapshot());
    end loop;
    update rollup_position p
       set origin = here.origin, counted = here.counted, after_id = here.after_id, last_id = here.last_id;
    perform roll_up_pulls();
    perform audit_samples();
    perform sample_queue();
    perform coarsen_rollups();
    return true;
end
$$;

-- Counts pulls that have ended: each once, since each is marked.
create function roll_up_pulls() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    with ended as (
        update sync_pull p set rolled_up = true
         where p.pull_id in (select u.pull_id from sync_pull u
                              where u.ended_at is not null and not u.rolled_up order by u.pull_id limit 1000
                                for update skip locked)
        returning p.organization_id, p.ended_at, p.records_unchanged)
    insert into kpi_rollup as r (organization_id, period, measure, samples)
    select e.organization_id, date_bin('5 minutes', e.ended_at, 'epoch'), 'read_same', sum(e.records_unchanged)
      from ended e where e.records_unchanged > 0 group by 1, 2
    on conflict on constraint kpi_rollup_pkey do update set samples = r.samples + excluded.samples;
end
$$;

-- Looks for the log entries of changes that have ended: up to 50 of each organization and five minutes, ten minutes
-- later. A change needs the entry of its commit and that of its end.
create function audit_samples(slots int default 50) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off
as $$
declare
    slot    timestamptz;
    settled timestamptz := date_bin('5 minutes', now() - interval '10 minutes', 'epoch');
    sampled record;
begin
    slot := coalesce((select p.audited_until from rollup_position p),
                     date_bin('5 minutes', (select i.attached_at from installation i), 'epoch'));
    -- What was not looked at for days is not looked at any more.
    slot := greatest(slot, settled - interval '2 days');
    while slot < settled and slots > 0 loop
        for sampled in
            select s.organization_id, count(*) as audited, count(*) filter (where c.complete) as complete
              from sync_organization s
             cross join lateral (
                 select a.* from pfa_write_queue_archive a
                  where a.organization_id = s.organization_id
                    and a.completed_at >= slot and a.completed_at < slot + interval '5 minutes'
                  order by a.completed_at limit 50) a
             cross join lateral (
                 select count(distinct l.event_type) = 2 as complete
                   from pfa_audit_log l
                  where l.organization_id = a.organization_id and l.pfa_id = a.pfa_id and l.queue_id = a.id
                    and l.at >= a.created_at
                    and l.event_type in ('COMMITTED', case a.status when 'completed' then 'SYNCED'
                                                                    when 'conflict' then 'CONFLICT_DETECTED'
                                                                    when 'failed' then 'DEAD_LETTER'
                                                                    else 'WITHDRAWN' end)) c
             group by 1
        loop
            perform add_figure(sampled.organization_id, slot, 'audited', sampled.audited),
                    add_figure(sampled.organization_id, slot, 'audit_complete', sampled.complete);
        end loop;
        slot := slot + interval '5 minutes';
        slots := slots - 1;
    end loop;
    update rollup_position p set audited_until = slot;
end
$$;

-- Writes down how many changes wait, and how long the oldest of them has waited.
create function sample_queue() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform add_figure(s.organization_id, now(), 'queue_depth', 1, 0, queue_depth(s.organization_id))
       from sync_organization s;
    perform add_figure(s.organization_id, now(), 'queue_age', 1, duration_bucket(a.seconds), a.seconds)
       from sync_organization s
      cross join lateral (
          select extract(epoch from now() - oldest_waiting(s.organization_id))::double precision as seconds) a
      where a.seconds > 0;
end
$$;

-- Adds counts that are old enough to those of their hour, and of their day, and deletes those past kpi_retention.
create function coarsen_rollups() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    kept   timestamptz := now() - setting('kpi_retention')::interval;
    grain  interval;
    before timestamptz;
begin
    for grain, before in
        values (interval '1 hour', now() - interval '2 days'), ('1 day', now() - interval '92 days')
    loop
        before := date_bin(grain, before, 'epoch');
        with fine as (
            delete from kpi_rollup r where r.period < before and date_bin(grain, r.period, 'epoch') <> r.period
            returning r.*)
        insert into kpi_rollup as r (organization_id, period, measure, bucket, samples, total)
        select f.organization_id, date_bin(grain, f.period, 'epoch'), f.measure, f.bucket, sum(f.samples), sum(f.total)
          from fine f group by 1, 2, 3, 4
        on conflict on constraint kpi_rollup_pkey
        do update set samples = r.samples + excluded.samples, total = r.total + excluded.total;
    end loop;
    delete from kpi_rollup r where r.period < kept;
    delete from relay_uptime u where u.seen_at < kept;
    delete from pems_outage o where o.closed_at < kept;
    delete from failure_seen s where s.last_at < kept;
end
$$;

-- Watermarks: where claim() begins to look in each organization's heads and leases.
--
-- As long as a session holds an old snapshot, the indexes keep entries of rows that have ended, and every claim would
-- read them again. So each organization remembers the place of its first live row. Places are clock times, and a
-- watermark stays 5 s behind the clock, since a row becomes visible only when its transaction commits. A row of a
-- longer transaction lies behind the watermark: a watermark is a hint, which a claim that finds nothing compares with
-- the queue, and a busy queue once a minute.
--
-- The functions that relays call switch off the plans that read whole tables (and JIT compilation, which their penalty
-- would trigger), whatever the statistics say.

-- The priority levels of an organization's heads, highest first, each with its watermark.
create function priority_levels(of_organization sync_organization)
    returns table (level int, priority int, watermark timestamptz)
    language sql immutable security invoker
begin atomic
    select * from (values (1, 10, (of_organization).watermarks[1]),
                          (2, 0, (of_organization).watermarks[2]),
                          (3, -10, (of_organization).watermarks[3])) l;
end;

-- Where a watermark may be, when the first live row found is due at first (null = there is none) and the clock shows
-- at.
create function watermark(first timestamptz, at timestamptz) returns timestamptz
    language sql stable security invoker
    return least(first, at - interval '5 s');

-- Moves watermarks back to live rows behind them; whether there were any. An organization that is being claimed from
-- at the moment is left out.
create function restore_watermarks() returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    with live as materialized (
        select s.organization_id, h.first_due, l.lease_until
          from sync_organization s
         cross join lateral (
             select array_agg(q.scheduled_at order by p.level) as first_due,
                    bool_or(q.scheduled_at < p.watermark) as behind
               from priority_levels(s) p
               left join lateral (
                   select q.scheduled_at from pfa_write_queue q
                    where q.organization_id = s.organization_id and q.priority = p.priority
                      and q.status = 'pending' and q.head
                    order by q.scheduled_at limit 1) q on true) h
          left join lateral (
              select q.lease_until from pfa_write_queue q
               where q.organization_id = s.organization_id and q.status = 'processing'
               order by q.lease_until limit 1) l on true
         where h.behind or l.lease_until < s.lease_watermark),
    behind as materialized (
        select s.organization_id from sync_organization s
         where s.organization_id in (select l.organization_id from live l)
         order by s.organization_id for no key update skip locked)
    update sync_organization s
       set watermarks = array(select least(w.watermark, w.first_due)
                                from unnest(s.watermarks, l.first_due) with ordinality w (watermark, first_due, level)
                               order by w.level),
           lease_watermark = least(s.lease_watermark, l.lease_until)
      from live l
      join behind b on b.organization_id = l.organization_id
     where s.organization_id = l.organization_id;
    return found;
end
$$;

-- Discards a session's plans when the queue's size is no longer close to the size that they were made for: a session
-- keeps its plans, and reading a whole index is right only as long as it holds a few rows. Planning looks at the size
-- of the table as it is, so this depends on no statistics. Called at the start of every call of a relay.
create function refresh_plans() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    size    bigint := pg_relation_size('pfa_write_queue');
    planned bigint := nullif(current_setting('pfa_sync.planned_size', true), '')::bigint;
begin
    if size between planned / 4 and planned * 4 + 65536 then
        return;
    end if;
    discard plans;
    perform set_config('pfa_sync.planned_size', size::text, false);
end
$$;

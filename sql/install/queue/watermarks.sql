-- Fronts: where claim begins to look in each organization's heads and leases.
--
-- As long as somebody holds an old snapshot, the indexes keep what has ended, and every claim would read it again. So
-- each organization remembers where its first live row was. Places are times of the clock, and a front stays 5 s behind
-- it, since a row shows only when its transaction commits. A row of a longer transaction lies behind the front: a front
-- is a hint, which a claim that finds nothing compares with the truth, and a busy queue once a minute.
--
-- The functions on the relay's road switch off the plans that read whole tables (and compiling, which their penalty
-- would set off), whatever the statistics say.

-- The priorities of an organization's heads, each with its front.
create function priority_levels(of_organization sync_organization) returns table (priority int, watermark timestamptz)
    language sql immutable security invoker
begin atomic
    select * from (values (10, (of_organization).high_watermark), (0, (of_organization).normal_watermark), (-10, (of_organization).low_watermark)) l;
end;

-- Where a front may be, when the first live row found is due at first (null = there is none) and the clock shows at.
create function watermark(first timestamptz, at timestamptz) returns timestamptz
    language sql stable security invoker
    return least(first, at - interval '5 s');

-- Moves fronts back to live rows behind them; whether there were any. An organization that is being claimed from just
-- now is left out.
create function restore_watermarks() returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    with truth as materialized (
        select s.organization_id, h.high, h.normal, h.low, l.lease_until
          from sync_organization s
         cross join lateral (
             select min(f.scheduled_at) filter (where f.priority = 10) as high, min(f.scheduled_at) filter (where f.priority = 0) as normal,
                    min(f.scheduled_at) filter (where f.priority = -10) as low
               from priority_levels(s) n
              cross join lateral (select q.priority, q.scheduled_at from pfa_write_queue q
                                   where q.organization_id = s.organization_id and q.priority = n.priority and q.status = 'pending' and q.head
                                   order by q.scheduled_at limit 1) f) h
          left join lateral (select q.lease_until from pfa_write_queue q
                              where q.organization_id = s.organization_id and q.status = 'processing'
                              order by q.lease_until limit 1) l on true
         where h.high < s.high_watermark or h.normal < s.normal_watermark or h.low < s.low_watermark or l.lease_until < s.lease_watermark),
    behind as materialized (
        select s.organization_id from sync_organization s
         where s.organization_id in (select t.organization_id from truth t)
         order by s.organization_id for no key update skip locked)
    update sync_organization s
       set high_watermark = least(s.high_watermark, t.high), normal_watermark = least(s.normal_watermark, t.normal), low_watermark = least(s.low_watermark, t.low),
           lease_watermark = least(s.lease_watermark, t.lease_until)
      from truth t
      join behind b on b.organization_id = t.organization_id
     where s.organization_id = t.organization_id;
    return found;
end
$$;

-- Makes a session plan anew when the queue's size is no longer about the one that its plans were made for: a session keeps
-- its plans, and reading a whole index is right only as long as that holds a few rows. Planning looks at the size of the
-- table as it is, so this depends on no statistics. Called wherever a relay begins.
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

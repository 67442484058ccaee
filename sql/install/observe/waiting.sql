-- How much waits. status() and health() read the ends of indexes, and count up to a bound: a longer queue is counted
-- whole by maintain() only.

create table queue_count (
    organization_id text        not null,
    waiting         bigint      not null,
    counted_at      timestamptz not null,
    constraint queue_count_pkey primary key (organization_id)
);
comment on table queue_count is
    'Changes of an organization that waited when they were counted last; only where there are count_bound() or more.';
select pg_catalog.pg_extension_config_dump('queue_count', '');

-- Up to this number, the changes that wait are counted whenever they are asked for.
create function count_bound() returns int
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select 1000 $$;

-- A count that ends at count_bound(), in words.
create function bounded_count(counted bigint) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select case when counted < count_bound() then counted::text else format('at least %s', count_bound()) end $$;

-- What is live of an organization. waiting and delayed end at count_bound().
create type live_changes as (
    waiting       bigint,
    processing    bigint,
    -- When the oldest that waits was queued, and the oldest of all.
    oldest_at     timestamptz,
    oldest_of_all timestamptz,
    -- When the first head that waits is due, and the first of all: a head, or the end of a lease.
    next_at       timestamptz,
    due_at        timestamptz,
    -- Heads that are due after the time asked for, and the last of them.
    delayed       bigint,
    delayed_until timestamptz
);

-- Each figure reads the beginning or the end of an index, however long the queue is. Changes in flight are counted
-- whole: relays hold a few batches each.
create function live_changes_of(organization_id text, after timestamptz) returns live_changes
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_generic_plan set jit = off set enable_bitmapscan = off
as $$
declare
    live         live_changes;
    oldest_lease timestamptz;
    oldest_sent  timestamptz;
begin
    live.waiting := (
        select count(*)
          from (select from pfa_write_queue q
                 where q.organization_id || '' = live_changes_of.organization_id and q.status = 'pending'
                 limit count_bound()) w);
    live.oldest_at := oldest_waiting(live_changes_of.organization_id);
    select count(*), min(q.created_at), min(q.lease_until) into live.processing, oldest_sent, oldest_lease
      from pfa_write_queue q
     where q.organization_id = live_changes_of.organization_id and q.status = 'processing';
    live.oldest_of_all := least(live.oldest_at, oldest_sent);
    select min(f.scheduled_at) into live.next_at
      from priority_levels(null) p
     cross join lateral (
         select q.scheduled_at from pfa_write_queue q
          where q.organization_id = live_changes_of.organization_id and q.priority = p.priority
            and q.status = 'pending' and q.head
          order by q.scheduled_at limit 1) f;
    live.due_at := least(live.next_at, oldest_lease);
    select max(l.scheduled_at) into live.delayed_until
      from priority_levels(null) p
     cross join lateral (
         select q.scheduled_at from pfa_write_queue q
          where q.organization_id = live_changes_of.organization_id and q.priority = p.priority
            and q.status = 'pending' and q.head and q.scheduled_at > after
          order by q.scheduled_at desc limit 1) l;
    live.delayed := 0;
    if live.delayed_until is not null then
        live.delayed := (
            select count(*)
              from (select from priority_levels(null) p
                     cross join lateral (
                         select from pfa_write_queue q
                          where q.organization_id = live_changes_of.organization_id and q.priority = p.priority
                            and q.status = 'pending' and q.head and q.scheduled_at > after
                          order by q.scheduled_at limit count_bound()) d
                     limit count_bound()) d);
    end if;
    return live;
end
$$;

-- When the oldest change that waits was queued; null = none waits.
create function oldest_waiting(organization_id text) returns timestamptz
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_bitmapscan = off
as $$
begin
    return (select q.created_at from pfa_write_queue q
             where q.organization_id || '' = oldest_waiting.organization_id and q.status = 'pending'
             order by q.created_at limit 1);
end
$$;

-- How many changes of an organization wait or are in flight; of a long queue, as it was counted last.
create function queue_depth(organization_id text) returns bigint
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    live live_changes := live_changes_of(queue_depth.organization_id, 'infinity');
begin
    return live.processing
        + case when live.waiting < count_bound() then live.waiting
               else greatest(live.waiting, (select c.waiting from queue_count c
                                             where c.organization_id = queue_depth.organization_id)) end;
end
$$;

-- Counts the changes that wait where there are count_bound() or more of an organization, unless another session has
-- just done so.
create function count_waiting() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    long text[] := array(
        select s.organization_id from sync_organization s
         where (live_changes_of(s.organization_id, 'infinity')).waiting = count_bound());
begin
    delete from queue_count c where c.organization_id <> all (long);
    if exists (select from unnest(long) l
                where not exists (select from queue_count c
                                   where c.organization_id = l and c.counted_at > now() - interval '20 s')) then
        insert into queue_count as c (organization_id, waiting, counted_at)
        select q.organization_id, count(*), statement_timestamp() from pfa_write_queue q
         where q.organization_id = any (long) and q.status = 'pending'
         group by 1
            on conflict on constraint queue_count_pkey
            do update set waiting = excluded.waiting, counted_at = excluded.counted_at
             where c.counted_at < excluded.counted_at;
    end if;
end
$$;

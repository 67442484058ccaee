-- How relays are woken: by the doorbell where the library is preloaded, else by NOTIFY. The table decides what there is
-- to do; both only wake.

create function wake() returns void
    language c volatile security invoker as 'MODULE_PATHNAME', 'wake_wrapper';
comment on function wake() is 'Wakes the relays when this transaction commits, once.';

create function wake_in_force() returns text
    language c stable security invoker as 'MODULE_PATHNAME', 'wake_in_force_wrapper';
comment on function wake_in_force() is
    'How a commit would wake the relays now: doorbell, notify or off. After a start of the server the doorbell begins '
    'with the first commit.';

-- Whether relays have something to claim. The doorbell's worker asks every few seconds, since a prepared transaction
-- does not ring. One row of each priority level is enough to know; rows behind the watermarks count too.
create function has_due_work() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
    set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return is_bound() and exists (
        select from sync_organization s
          left join lateral (
              select true as due
                from priority_levels(s) p
               cross join lateral (
                   select from pfa_write_queue q
                    where q.organization_id = s.organization_id and q.priority = p.priority
                      and q.status = 'pending' and q.head and q.scheduled_at <= now()
                    order by q.scheduled_at limit 1) q
               limit 1) w on true
         where case when w.due then may_send(s) end);
end
$$;

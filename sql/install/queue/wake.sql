-- How relays hear of work: by the doorbell where the library is preloaded, else by NOTIFY. The table decides, both only wake.

create function wake() returns void
    language c volatile security invoker as 'MODULE_PATHNAME', 'wake_wrapper';
comment on function wake() is 'Wakes the relays when this transaction commits, once.';

create function wake_in_force() returns text
    language c stable security invoker as 'MODULE_PATHNAME', 'wake_in_force_wrapper';
comment on function wake_in_force() is
    'How a commit would wake the relays now: doorbell, notify or off. After the server''s start the doorbell comes with the first commit.';

-- Whether relays have something to take up: the doorbell's worker asks now and then, since a prepared transaction rings nothing.
-- One row of each lane is enough to tell, and behind the fronts lies just what was committed late.
create function has_due_work() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return exists (
        select from sync_organization s
          left join lateral (
              select true as due
                from priority_levels(s) n
               cross join lateral (select from pfa_write_queue q
                                    where q.organization_id = s.organization_id and q.priority = n.priority and q.status = 'pending' and q.head
                                      and q.scheduled_at <= now()
                                    order by q.scheduled_at limit 1) q
               limit 1) w on true
         -- Only where there is something: without attach() nobody can tell whether an organization may send.
         where case when w.due then may_send(s) end);
end
$$;

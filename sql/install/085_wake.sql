-- How relays hear of work: by the doorbell where the library is preloaded, else by NOTIFY. The table decides, both only wake.

create function wake() returns void
    language c volatile security invoker as 'MODULE_PATHNAME', 'wake_wrapper';
comment on function wake() is 'Wakes the relays when this transaction commits, once.';

create function wake_in_force() returns text
    language c stable security invoker as 'MODULE_PATHNAME', 'wake_in_force_wrapper';
comment on function wake_in_force() is
    'How a commit would wake the relays now: doorbell, notify or off. The doorbell comes with the first commit after the server''s start.';

-- Whether relays have something to take up: the doorbell asks now and then, since a prepared transaction rings nothing.
create function work_waits() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    -- From the organizations to one row of each: a long queue of a paused one costs nothing.
    return exists (
        with sending as materialized (select s.organization_id from sync_organization s where may_send(s))
        select from sending s
         cross join lateral (select from pfa_write_queue q
                              where q.organization_id = s.organization_id and q.status = 'pending' and q.head and q.scheduled_at <= now()
                              limit 1) waiting);
end
$$;

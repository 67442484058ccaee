-- Request slots: the limit of one PEMS, shared by all relays, reads included.

-- Takes the next n request slots of a PEMS; how long to wait for each, in milliseconds, ascending.
-- The slot row is locked last in every transaction. clock_timestamp(), because now() is the transaction's start and
-- would bunch requests.
create function pfa_sync.take_slots(pems text, n int) returns setof double precision
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    pace  interval := setting('slot_interval')::interval;
    first timestamptz;
begin
    perform require_between('n', n, 1, 1000);
    perform from pems p where p.pems = take_slots.pems for update;
    if not found then
        raise exception 'there is no PEMS %', take_slots.pems
            using errcode = 'PF008', hint = 'attach() creates the one called default.';
    end if;
    update pems p set next_slot = greatest(p.next_slot, clock_timestamp()) + n * pace
     where p.pems = take_slots.pems
    returning p.next_slot - n * pace into first;
    return query
        select greatest(0, 1000 * extract(epoch from first + i * pace - c.at))::double precision
          from clock_timestamp() c (at), generate_series(0, n - 1) i
         order by i;
end
$$;
comment on function pfa_sync.take_slots(text, int) is
    'Relay: takes the next n request slots of a PEMS. Returns the milliseconds to wait for each, ascending. '
    'n: 1 to 1000. PF001: another n; PF008: no such PEMS.';

-- Keeps a PEMS from being asked before a time, after it answered that requests came too fast.
create function delay_slots(organization_ids text[], until timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pems p set next_slot = greatest(p.next_slot, until)
     where p.pems in (select s.pems from sync_organization s where s.organization_id = any (organization_ids));
end
$$;

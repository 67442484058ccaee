-- Request slots: the limit of one PEMS, shared by all relays, reads included.

-- Takes the next n request slots of a PEMS; how long to wait for each, in milliseconds, ascending.
-- The slot row is locked last in every transaction. clock_timestamp(), because now() is the transaction's start and
-- would bunch requests.
-- claimed: with a claim.
create function grant_slots(pems text, n int, claimed boolean) returns setof double precision
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    pace  interval := slot_interval_of(pems);
    first timestamptz;
begin
    perform from pems p where p.pems = grant_slots.pems for update;
    if not found then
        raise exception 'there is no PEMS %', grant_slots.pems
            using errcode = 'PF008', hint = 'attach() creates the one called default, define_pems() others.';
    end if;
    update pems p
       set slot_claimed = claimed,
           next_slot = case when p.next_slot > clock_timestamp() + setting('retry_after_max')::interval
                            then clock_timestamp()
                            else greatest(p.next_slot, clock_timestamp()) end + n * pace
     where p.pems = grant_slots.pems
    returning p.next_slot - n * pace into first;
    return query
        select greatest(0, 1000 * extract(epoch from first + i * pace - c.at))::double precision
          from clock_timestamp() c (at), generate_series(0, n - 1) i
         order by i;
end
$$;

create function pfa_sync.take_slots(pems text, n int) returns setof double precision
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform require_between('n', n, 1, 1000);
    return query select * from grant_slots(pems, n, false);
end
$$;
comment on function pfa_sync.take_slots(text, int) is
    'Relay: takes the next n request slots of a PEMS. Returns the milliseconds to wait for each, ascending. '
    'n: 1 to 1000. PF001: another n; PF008: no such PEMS.';

-- Whether a claim may be made for the next slot of a PEMS: it is due within a time (ahead null = any), or a request
-- that took its slot by itself was the last one. A slot further ahead than any wait that PEMS may ask for comes from a
-- clock that was corrected: take_slots() resets it.
create function slot_is_near(pems text, at timestamptz, ahead interval) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return ahead is null
        or exists (select from pems p
                    where p.pems = slot_is_near.pems
                      and (not p.slot_claimed or p.next_slot <= at + ahead
                           or p.next_slot > at + setting('retry_after_max')::interval));
end
$$;

-- Keeps a PEMS from being asked before a time, after it answered that requests came too fast.
create function delay_slots(organization_ids text[], until timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pems p
       set next_slot = greatest(p.next_slot, least(until, clock_timestamp() + setting('retry_after_max')::interval))
     where p.pems in (select s.pems from sync_organization s where s.organization_id = any (organization_ids));
end
$$;

-- Ends the waits of organizations that are longer than a minute: of their PEMS for its next request, of their changes
-- for another try.
create function end_waits(organization_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    soon timestamptz := clock_timestamp() + interval '1 minute';
begin
    perform hasten(organization_ids, soon);
    update pems p set next_slot = clock_timestamp()
     where p.next_slot > soon
       and p.pems in (select s.pems from sync_organization s where s.organization_id = any (organization_ids));
end
$$;

-- Makes the heads that are due after a time due now. Those that another session has locked are left.
create function hasten(organization_ids text[], after timestamptz) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off
as $$
declare
    hastened bigint;
begin
    update pfa_write_queue q
       set scheduled_at = clock_timestamp()
     where q.id = any (array(
               select w.id from pfa_write_queue w
                where w.organization_id = any (organization_ids) and w.status = 'pending' and w.head
                  and w.priority in (10, 0, -10) and w.scheduled_at > after
                order by w.id for update skip locked));
    get diagnostics hastened = row_count;
    return hastened;
end
$$;

-- Resets times that lie further ahead than any wait that we know: the server's clock was corrected since they were
-- written. How many.
create function reset_future_times() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    hastened bigint;
    slots    bigint;
begin
    -- Retries wait for retry_delay_max and a tenth more, which an organization may set to a day.
    hastened := hasten(array(select s.organization_id from sync_organization s),
                       clock_timestamp() + greatest(setting('retry_after_max')::interval, interval '27 hours'));
    update sync_organization s set served_at = clock_timestamp(), watermarks_checked_at = '-infinity'
     where s.served_at > clock_timestamp() + interval '1 minute'
        or s.watermarks_checked_at > clock_timestamp() + interval '1 minute';
    update pems p
       set next_slot = case when p.next_slot > clock_timestamp() + setting('retry_after_max')::interval
                            then clock_timestamp() else p.next_slot end,
           open_until = least(p.open_until, clock_timestamp() + setting('breaker_delay_max')::interval)
     where p.next_slot > clock_timestamp() + setting('retry_after_max')::interval
        or p.open_until > clock_timestamp() + greatest(setting('breaker_delay_max')::interval, interval '1 hour');
    get diagnostics slots = row_count;
    return hastened + slots;
end
$$;

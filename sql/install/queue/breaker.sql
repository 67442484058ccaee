-- The circuit breaker: one per PEMS, shared by all relays in its row of table pems.
--
--   closed     failures counts requests in a row that brought no answer or a 5xx
--   open       until open_until nothing is claimed
--   half-open  then one relay claims one record at a time, until an answer closes it or a failure opens it for longer

create table pems (
    pems         text        not null,
    next_slot    timestamptz not null default '-infinity',
    slot_claimed boolean     not null default true,
    failures     int         not null default 0,
    opened_at    timestamptz,
    closed_at    timestamptz,
    open_until   timestamptz,
    probe_at     timestamptz,
    constraint pems_pkey primary key (pems),
    constraint pems_open check ((opened_at is null) = (open_until is null))
);
comment on table pems is
    'One row per PEMS: its next free request slot, and its circuit breaker. Locked last in every transaction.';
comment on column pems.slot_claimed is
    'whether the last slot was granted with a claim; no: a request took it by itself, and a claim may be made early, '
    'so that reads do not keep writes from their turn';
comment on column pems.failures is 'requests in a row that brought no answer or a 5xx';
comment on column pems.closed_at is 'when it closed last: what waited before is not overdue';
comment on column pems.open_until is 'nothing is claimed before; null = the breaker is closed';
comment on column pems.probe_at is
    'the probe of a half-open breaker was claimed then, and has until open_until to report';
select pg_catalog.pg_extension_config_dump('pems', '');

create table pems_outage (
    pems      text        not null,
    opened_at timestamptz not null,
    closed_at timestamptz not null,
    constraint pems_outage_pkey primary key (pems, opened_at)
);
comment on table pems_outage is 'Times in which a breaker was open, once it has closed: for kpis().';
select pg_catalog.pg_extension_config_dump('pems_outage', '');

create function breaker_state(breaker pems) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return case when breaker.open_until is null then 'closed'
                when breaker.probe_at is not null or breaker.open_until <= clock_timestamp() then 'half-open'
                else 'open' end;
end
$$;

-- Whether anything may be claimed for a PEMS.
create function breaker_allows(pems text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return not exists (select from pems p where p.pems = breaker_allows.pems and p.open_until > clock_timestamp());
end
$$;

-- How many records may be claimed for a PEMS: max_records, or one for the probe. The row is locked before its place in
-- the lock order, but without waiting: a session that finds it locked claims nothing.
create function breaker_claim_limit(pems text, max_records int) returns int
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if exists (select from pems p where p.pems = breaker_claim_limit.pems and p.open_until is null) then
        return max_records;
    end if;
    perform from pems p
      where p.pems = breaker_claim_limit.pems and (p.open_until is null or p.open_until <= clock_timestamp())
        for update skip locked;
    return case when found then least(max_records, 1) else 0 end;
end
$$;

-- A claim was made: no other relay probes a half-open breaker until this one's request has ended.
create function breaker_begin_probe(pems text, probe interval) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pems p set open_until = clock_timestamp() + probe, probe_at = clock_timestamp()
     where p.pems = breaker_begin_probe.pems and p.open_until is not null;
end
$$;

-- Whether the breaker of an organization's PEMS is open or being probed.
create function in_outage(organization_id text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return exists (select from sync_organization s join pems p on p.pems = s.pems
                    where s.organization_id = in_outage.organization_id and p.open_until is not null);
end
$$;

-- Records what a request showed of its PEMS. An answer closes the breaker. A failure counts; the last of
-- breaker_threshold in a row opens it, and one of a probe opens it again for twice as long. Called last: it locks the
-- row of the slot.
create function record_pems_health(organization_ids text[], down boolean, error text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    breaker pems;
    pause   interval;
begin
    -- The usual case writes nothing and locks nothing.
    for breaker in
        select p.* from pems p
         where p.pems in (select s.pems from sync_organization s where s.organization_id = any (organization_ids))
           and (down or p.failures > 0)
         order by p.pems
    loop
        select p.* into breaker from pems p where p.pems = breaker.pems for update;
        if not down then
            update pems p set failures = 0, open_until = null, opened_at = null, closed_at = case
                       when breaker.opened_at is not null then clock_timestamp() else p.closed_at end
             where p.pems = breaker.pems;
            if breaker.opened_at is not null then
                insert into pems_outage (pems, opened_at, closed_at)
                    values (breaker.pems, breaker.opened_at, clock_timestamp()) on conflict do nothing;
                perform log_event('BREAKER_CLOSED',
                    changes => jsonb_build_object('pems', breaker.pems, 'opened_at', breaker.opened_at));
                perform wake();
            end if;
            continue;
        end if;
        -- Requests that were in flight when it opened say nothing new.
        continue when breaker_state(breaker) = 'open';
        breaker.failures := breaker.failures + 1;
        pause := case when breaker.failures >= setting('breaker_threshold')::int then
            least(setting('breaker_delay_max')::interval,
                  setting('breaker_delay')::interval
                      * 2 ^ least(breaker.failures - setting('breaker_threshold')::int, 20)) end;
        update pems p
           set failures = breaker.failures, open_until = clock_timestamp() + pause, probe_at = null,
               opened_at = case when pause is not null then coalesce(p.opened_at, clock_timestamp()) end
         where p.pems = breaker.pems;
        if pause is not null and breaker.opened_at is null then
            perform log_event('BREAKER_OPENED', error => error, success => false,
                changes => jsonb_build_object('pems', breaker.pems, 'failures', breaker.failures));
        end if;
    end loop;
end
$$;

create view pfa_sync.breakers with (security_barrier) as
    select p.pems, breaker_state(p) as state, p.failures, p.opened_at, p.open_until
      from pems p;
comment on view pfa_sync.breakers is 'The circuit breaker of each PEMS.';
comment on column pfa_sync.breakers.pems is 'name of the PEMS';
comment on column pfa_sync.breakers.state is
    'closed: requests are sent; open: nothing is claimed before open_until; half-open: one record at a time is '
    'claimed as a probe';
comment on column pfa_sync.breakers.failures is
    'failed requests in a row: without an answer, or with a status of 500 or above';
comment on column pfa_sync.breakers.opened_at is 'when it opened; null: it is closed';
comment on column pfa_sync.breakers.open_until is 'when the next probe may be claimed; null: it is closed';

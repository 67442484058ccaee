-- When pulls are due, and which organizations are pulled.

-- When each active organization is to be pulled next; scheduled = by relays. One whose credentials PEMS refused waits
-- for resume(). A paused one is read: pausing stops sending only.
create function due_pulls() returns table (organization_id text, due_at timestamptz, scheduled boolean)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select o.organization_id,
               coalesce(greatest(r.lease_until, r.due_at),
                        (select max(p.ended_at) from sync_pull p where p.organization_id = o.organization_id)
                            + setting('pull_interval', o.organization_id)::interval,
                        '-infinity'),
               setting('inbound', o.organization_id) = 'relay' and s.held_since is null
                   and not coalesce(s.draining, false)
          from organization o
          left join sync_organization s on s.organization_id = o.organization_id
          left join sync_pull r on r.organization_id = o.organization_id and r.status = 'running'
         where o.may_sync;
end
$$;

-- Milliseconds until a pull is due; null = none will be.
create function pfa_sync.next_pull_ms(organizations text[] default null) returns double precision
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if not is_bound() then
        return null;
    end if;
    -- greatest() ignores a null, which means that no organization is pulled.
    return (select case when min(d.due_at) is not null
                        then greatest(0, 1000 * extract(epoch from greatest(min(d.due_at), now())
                                                                   - clock_timestamp())) end
              from due_pulls() d
             where d.scheduled and (organizations is null or d.organization_id = any (organizations)));
end
$$;
comment on function pfa_sync.next_pull_ms(text[]) is
    'Relay: milliseconds until a pull is due, of these organizations (ids; null: all); null: none will be.';

-- The active organizations, whose records may be pulled; with an id or code given, only that one.
create function pfa_sync.inbound_organizations(organization text default null)
    returns table (organization_id text, organization_code text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    only_organization text;
begin
    -- A copy of the database must not use up the limit of its original either.
    perform ensure_sending();
    only_organization := organization_of(organization);
    return query
        select o.organization_id, o.code from organization o
         where o.may_sync and (only_organization is null or o.organization_id = only_organization)
         order by 2;
end
$$;
comment on function pfa_sync.inbound_organizations(text) is
    'Relay: the active organizations, whose records may be pulled; with an id or code, only that one.';

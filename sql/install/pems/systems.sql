-- What a relay needs to know of each PEMS: where it is, how it is spoken to, and its limits. The row of table pems,
-- which every request writes, has its slot and its breaker.

create table pems_system (
    pems            text        not null,
    dialect         text        not null default 'pems',
    url             text,
    tenant          text,
    slot_interval   interval,
    batch_size      int,
    request_timeout interval,
    options         jsonb       not null default '{}',
    revision        bigint      not null default 1,
    defined_at      timestamptz not null default now(),
    defined_by      text        not null default session_user,
    retired_at      timestamptz,
    constraint pems_system_pkey primary key (pems),
    constraint pems_system_dialect check (dialect in ('pems')),
    constraint pems_system_url check ((url is null) = (tenant is null))
);
comment on table pems_system is
    'What a relay needs to know of each PEMS. The row default is that of the relays'' settings.';
comment on column pems_system.url is 'base address; null: the relays'' settings name it';
comment on column pems_system.revision is
    'grows with each change of the row, of its credentials, and of the organizations assigned: a relay that knows a '
    'lower one reads all of it again before it sends';
select pg_catalog.pg_extension_config_dump('pems_system', '');

-- How far apart the requests to a PEMS are. This and pems_of() are in PL/pgSQL since every claim calls them: a function
-- in SQL that is not inlined is planned at each call.
create function slot_interval_of(pems text) returns interval
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return coalesce((select y.slot_interval from pems_system y where y.pems = slot_interval_of.pems),
                    setting('slot_interval')::interval);
end
$$;

-- The PEMS of an organization.
create function pems_of(organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return coalesce((select s.pems from sync_organization s where s.organization_id = pems_of.organization_id),
                    'default');
end
$$;

-- Tells relays that something about a PEMS has changed.
create function revise_pems(pems text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pems_system y set revision = y.revision + 1 where y.pems = revise_pems.pems;
    perform wake();
end
$$;

-- The row of a PEMS that is in use, locked. Raises PF008 when there is none.
create function lock_pems_system(pems text) returns pems_system
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    found_system pems_system;
begin
    perform require_given('pems', pems);
    select y.* into found_system from pems_system y
     where y.pems = lock_pems_system.pems and y.retired_at is null for no key update;
    if not found then
        raise exception 'there is no PEMS %', pems
            using errcode = 'PF008', hint = 'pfa_sync.pems_systems lists them; define_pems() adds one.';
    end if;
    return found_system;
end
$$;

-- Defines a PEMS, or replaces its definition. What is null has its default.
create function pfa_sync.define_pems(name text, url text, tenant text, dialect text default 'pems',
                                     slot_interval interval default null, batch_size int default null,
                                     request_timeout interval default null, options jsonb default '{}',
                                     user_id text default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor  text := acting_user(user_id);
    before pems_system;
begin
    perform ensure_bound();
    perform require_permission(actor, null, 'perm_ManageSettings');
    perform require_given('name', name);
    if name !~ '^[a-z0-9][a-z0-9_-]{0,39}$' then
        raise exception 'the name of a PEMS has at most 40 small letters, digits, - and _, not %', left(name, 60)
            using errcode = 'PF001';
    end if;
    perform require_word('dialect', dialect, array['pems']);
    perform require_text('url', url, 255), require_text('tenant', tenant, 255);
    perform require_between('slot_interval', slot_interval, '1 ms', '1 minute');
    perform require_between('batch_size', batch_size, 1, 100);
    perform require_between('request_timeout', request_timeout, '1 s', '10 minutes');
    if (url is null or tenant is null) and name <> 'default' or (url is null) <> (tenant is null) then
        raise exception 'a PEMS has a url and a tenant' using errcode = 'PF001',
            hint = 'Only the PEMS called default may have neither: those of the relays'' settings apply.';
    end if;
    -- No name or password, no query: an address is shown and logged.
    if url !~ '^https?://[^/?#@[:space:]]+(/[^?#@[:space:]]*)?$' then
        raise exception 'the url of a PEMS is https://host or https://host/path, without user, query and fragment'
            using errcode = 'PF001';
    end if;
    if jsonb_typeof(options) is distinct from 'object' or pg_column_size(options) > 65536 then
        raise exception 'options is a JSON object of at most 64 kB' using errcode = 'PF001';
    end if;
    select y.* into before from pems_system y where y.pems = name for no key update;
    insert into pems_system as y (pems, dialect, url, tenant, slot_interval, batch_size, request_timeout, options,
                                  defined_by)
        values (name, define_pems.dialect, define_pems.url, define_pems.tenant, define_pems.slot_interval,
                define_pems.batch_size, define_pems.request_timeout, define_pems.options, actor)
        on conflict on constraint pems_system_pkey
        do update set dialect = excluded.dialect, url = excluded.url, tenant = excluded.tenant,
                      slot_interval = excluded.slot_interval, batch_size = excluded.batch_size,
                      request_timeout = excluded.request_timeout, options = excluded.options,
                      defined_by = excluded.defined_by, defined_at = now(), retired_at = null;
    insert into pems (pems) values (name) on conflict do nothing;
    perform revise_pems(name);
    perform log_event('PEMS_DEFINED', null, actor, jsonb_strip_nulls(jsonb_build_object(
        'pems', name, 'url', define_pems.url, 'tenant', define_pems.tenant, 'dialect', define_pems.dialect,
        'slot_interval', define_pems.slot_interval, 'batch_size', define_pems.batch_size,
        'request_timeout', define_pems.request_timeout, 'url_before', before.url, 'tenant_before', before.tenant)));
end
$$;
comment on function pfa_sync.define_pems(text, text, text, text, interval, int, interval, jsonb, text) is
    'Defines a PEMS, or replaces its definition: address without /api/pems, tenant, dialect (pems), time between two '
    'requests (null: setting slot_interval), largest batch (null: 100), longest request (null: the relay''s setting), '
    'options of the dialect. A secret that was sealed for another address is not sent to this one: set it again with '
    'pfa-relay credentials. Needs perm_ManageSettings in the whole fleet. PF001: a value that cannot be used.';

-- Gives an organization another PEMS. What is known of its records' versions is that of the old one: the next pull
-- reads all of them.
create function pfa_sync.assign_pems(organization text, pems text, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    before text;
begin
    perform require_given('organization', scope);
    perform require_permission(actor, null, 'perm_ManageSettings');
    perform know_organizations();
    select s.pems into before from sync_organization s where s.organization_id = scope for no key update;
    perform lock_pems_system(pems);
    if before = assign_pems.pems then
        return;
    end if;
    -- A request whose outcome is unknown is reconciled by the PEMS that it was sent to.
    if exists (select from pfa_write_queue q where q.organization_id = scope and q.status = 'processing') then
        raise exception 'changes of the organization are being sent to PEMS %', before
            using errcode = 'PF006', hint = 'Call drain(), and repeat this once is_drained() is true.';
    end if;
    if exists (select from sync_pull p
                where p.organization_id = scope and p.status = 'running' and p.lease_until > clock_timestamp()) then
        raise exception 'the organization is being pulled from PEMS %', before
            using errcode = 'PF006', hint = 'Call drain(), and repeat this once is_drained() is true.';
    end if;
    update sync_pull p
       set status = 'failed', ended_at = now(), last_error = 'given up: the organization has another PEMS'
     where p.organization_id = scope and p.status = 'running';
    update sync_organization s
       set pems = assign_pems.pems, versions_accepted_at = clock_timestamp(),
           held_since = null, hold_reason = null, held_credentials = null
     where s.organization_id = scope;
    perform revise_pems(before), revise_pems(pems);
    perform log_event('PEMS_ASSIGNED', scope, actor,
                      jsonb_build_object('pems', assign_pems.pems, 'pems_before', before));
end
$$;
comment on function pfa_sync.assign_pems(text, text, text) is
    'Gives an organization another PEMS. Its edits that wait go there; the next pull reads all of its records and '
    'takes their versions as they are: pause the organization before, and resume it when that pull has completed. '
    'Needs perm_ManageSettings in the whole fleet. PF006: changes or a pull of it are in flight, call drain() before; '
    'PF008: no such organization or PEMS.';

-- Ends the use of a PEMS, and erases its secrets.
create function pfa_sync.retire_pems(name text, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor    text := acting_user(user_id);
    assigned text;
begin
    perform ensure_bound();
    perform require_permission(actor, null, 'perm_ManageSettings');
    perform lock_pems_system(name);
    if name = 'default' then
        raise exception 'the PEMS called default can''t be retired: new organizations have it' using errcode = 'PF001';
    end if;
    select string_agg(coalesce(s.code, s.organization_id), ', ' order by s.code) into assigned
      from sync_organization s where s.pems = name;
    if assigned is not null then
        raise exception 'organizations have the PEMS %: %', name, left(assigned, 200)
            using errcode = 'PF006', hint = 'assign_pems() gives them another one.';
    end if;
    update pems_system y set retired_at = now() where y.pems = name;
    perform erase_credentials(array(select c.credential_id from organization_api_credentials c
                                     where c.pems = name and c.status <> 'retired'), 'retired');
    delete from pems p where p.pems = name;
    perform revise_pems(name);
    perform log_event('PEMS_RETIRED', null, actor, jsonb_build_object('pems', name));
end
$$;
comment on function pfa_sync.retire_pems(text, text) is
    'Ends the use of a PEMS that no organization has, and erases its secrets; define_pems() brings it back. Needs '
    'perm_ManageSettings in the whole fleet. PF006: organizations have it; PF008: no such PEMS.';

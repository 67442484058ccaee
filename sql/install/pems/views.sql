-- PEMS and their credentials, as DBAs and front ends see them.

create view pfa_sync.credentials with (security_barrier) as
    select c.credential_id, c.pems, c.organization_id, c.kind, c.user_name, c.version, c.status, c.key_id,
           c.fingerprint, c.address, c.created_at, c.created_by, c.verified_at, c.activated_at, c.retired_at,
           case when c.status = 'active' then (extract(epoch from now() - c.created_at) / 86400)::int end as age_days
      from organization_api_credentials c
     where case when c.organization_id is not null
                then c.organization_id = any ((select visible_organizations())::text[])
                else exists (select from sync_organization s
                              where s.pems = c.pems
                                and s.organization_id = any ((select visible_organizations())::text[]))
                     or can_see(null) end;
comment on view pfa_sync.credentials is 'Credentials for PEMS, without their secrets. Retired ones have been erased.';
comment on column pfa_sync.credentials.credential_id is 'id of the credentials';
comment on column pfa_sync.credentials.pems is 'name of the PEMS';
comment on column pfa_sync.credentials.organization_id is
    'the organization that they are for; null: every organization of the PEMS that has none of its own';
comment on column pfa_sync.credentials.kind is 'basic (user and password), bearer or api_key';
comment on column pfa_sync.credentials.user_name is 'the user of basic; null: another kind';
comment on column pfa_sync.credentials.version is 'grows with each secret of the same PEMS and organization';
comment on column pfa_sync.credentials.status is 'next: stored, not in use yet; active: in use; retired: erased';
comment on column pfa_sync.credentials.key_id is 'the key that it is sealed with; null: erased';
comment on column pfa_sync.credentials.fingerprint is 'differs for other credentials';
comment on column pfa_sync.credentials.address is 'the address that they are sent to, and no other';
comment on column pfa_sync.credentials.created_at is 'when the secret was stored: its age counts from then';
comment on column pfa_sync.credentials.created_by is 'the login that stored it';
comment on column pfa_sync.credentials.verified_at is 'when PEMS accepted them last; null: not tried';
comment on column pfa_sync.credentials.activated_at is 'when they were taken into use';
comment on column pfa_sync.credentials.retired_at is 'when they were erased';
comment on column pfa_sync.credentials.age_days is 'age of credentials in use, in days; 90 is the limit';

create view pfa_sync.pems_systems with (security_barrier) as
    select y.pems, y.dialect, y.url, y.tenant, slot_interval_of(y.pems) as slot_interval,
           coalesce(y.batch_size, 100) as batch_size, y.request_timeout, y.options,
           array(select s.organization_id from sync_organization s
                  where s.pems = y.pems and s.organization_id = any ((select visible_organizations())::text[])
                  order by 1) as organizations,
           breaker_state(p) as breaker, y.defined_at, y.defined_by, y.retired_at
      from pems_system y
      left join pems p on p.pems = y.pems
     where can_see(null)
        or exists (select from sync_organization s
                    where s.pems = y.pems and s.organization_id = any ((select visible_organizations())::text[]));
comment on view pfa_sync.pems_systems is 'Every PEMS: where it is, its limits, and the organizations that have it.';
comment on column pfa_sync.pems_systems.pems is 'name of the PEMS';
comment on column pfa_sync.pems_systems.dialect is 'how it is spoken to: pems';
comment on column pfa_sync.pems_systems.url is 'base address; null: the relays'' settings name it';
comment on column pfa_sync.pems_systems.tenant is 'tenant; null: the relays'' settings name it';
comment on column pfa_sync.pems_systems.slot_interval is 'time between two requests';
comment on column pfa_sync.pems_systems.batch_size is 'most records in a request';
comment on column pfa_sync.pems_systems.request_timeout is 'longest time of a request; null: the relay''s setting';
comment on column pfa_sync.pems_systems.options is 'options of the dialect';
comment on column pfa_sync.pems_systems.organizations is 'ids of the visible organizations that have it';
comment on column pfa_sync.pems_systems.breaker is 'closed, open or half-open, see breakers; null: retired';
comment on column pfa_sync.pems_systems.defined_at is 'when it was defined last';
comment on column pfa_sync.pems_systems.defined_by is 'the user or login that did';
comment on column pfa_sync.pems_systems.retired_at is 'when its use ended; null: in use';

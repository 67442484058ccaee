-- What pfa-sync knows of each organization.

create table sync_organization (
    organization_id       text          not null,
    code                  text,
    pems                  text          not null default 'default',
    paused                boolean       not null default false,
    paused_until          timestamptz,
    pause_reason          text,
    paused_by             text,
    paused_since          timestamptz,
    draining              boolean       not null default false,
    held_since            timestamptz,
    hold_reason           text,
    held_credentials      text,
    released_at           timestamptz,
    versions_accepted_at  timestamptz,
    sweep_due             boolean       not null default false,
    served_at             timestamptz   not null default '-infinity',
    watermarks            timestamptz[] not null default '{-infinity,-infinity,-infinity}',
    lease_watermark       timestamptz   not null default '-infinity',
    watermarks_checked_at timestamptz   not null default '-infinity',
    constraint sync_organization_pkey primary key (organization_id),
    constraint sync_organization_watermarks check (cardinality(watermarks) = 3)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table sync_organization is
    'What we know of an organization: whether it may send, and when it was last served.';
comment on column sync_organization.code is
    'its code in the application when it was last looked at: tells it where its id changes';
comment on column sync_organization.draining is 'while it is paused: it is not pulled either';
comment on column sync_organization.held_since is
    'PEMS refused its credentials then; nothing is sent until resume(), or until a relay has others';
comment on column sync_organization.held_credentials is 'fingerprint of the refused credentials';
comment on column sync_organization.released_at is
    'a pause or a hold ended then: what waited before is not overdue';
comment on column sync_organization.versions_accepted_at is
    'a user accepted then that PEMS'' versions have gone back; null again after the next full pull';
comment on column sync_organization.sweep_due is 'resume() let it send: sweep() has committed work of it to queue';
comment on column sync_organization.watermarks is
    'one for each priority level, see priority_levels(): claim() looks for heads that are due from there on';
comment on column sync_organization.lease_watermark is 'claim() looks for expired leases from there on';
select pg_catalog.pg_extension_config_dump('sync_organization', '');

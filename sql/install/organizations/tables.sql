create table sync_organization (
    organization_id text        not null,
    pems            text        not null default 'default',
    paused          boolean     not null default false,
    paused_until    timestamptz,
    pause_reason    text,
    paused_by       text,
    held_since      timestamptz,
    hold_reason     text,
    held_credentials text,
    served_at       timestamptz not null default '-infinity',
    high_watermark       timestamptz not null default '-infinity',
    normal_watermark     timestamptz not null default '-infinity',
    low_watermark        timestamptz not null default '-infinity',
    lease_watermark     timestamptz not null default '-infinity',
    watermarks_checked_at timestamptz not null default '-infinity',
    constraint sync_organization_pkey primary key (organization_id)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table sync_organization is 'What we know of an organization: whether it may send, and when it was last served.';
comment on column sync_organization.held_since is 'PEMS refused its credentials then; nothing is sent until resume(), or until a relay has others';
comment on column sync_organization.held_credentials is 'the fingerprint of the refused ones';
comment on column sync_organization.normal_watermark is
    'where claim begins to look among the heads of normal priority; high_watermark, low_watermark and lease_watermark alike, see 109_fronts.sql';
select pg_catalog.pg_extension_config_dump('sync_organization', '');

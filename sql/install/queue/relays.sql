-- Relays, as the database knows them.

create table relay (
    relay       text        not null,
    version     text        not null,
    credentials text,
    organizations text[],
    faults      jsonb,
    listening   boolean,
    started_at  timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    constraint relay_pkey primary key (relay)
);
comment on table relay is 'Relays and when each last sent its heartbeat.';
comment on column relay.credentials is
    'fingerprint of the credentials of its settings: it differs for other credentials, and is too short to test a '
    'guess by';
comment on column relay.organizations is 'ids of the organizations that it serves; null: all';
comment on column relay.faults is
    'why it does not serve the others: an array of objects with organization_id and reason; null: it serves all';
comment on column relay.listening is
    'whether its listening connection receives what it sends to itself; null: not known';
select pg_catalog.pg_extension_config_dump('relay', '');

create table relay_uptime (
    began_at timestamptz not null,
    seen_at  timestamptz not null,
    constraint relay_uptime_pkey primary key (began_at)
) with (fillfactor = 50);
comment on table relay_uptime is
    'Times in which relays sent heartbeats without a longer silence than relay_silence(): for kpis(). Of all relays '
    'together.';
select pg_catalog.pg_extension_config_dump('relay_uptime', '');

-- How long no heartbeat may come before relays count as gone.
create function relay_silence() returns interval
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$ select greatest(3 * setting('poll')::interval, setting('health_relay_silence')::interval) $$;

-- Extends the latest of these times to now, or begins another one after a silence.
create function record_uptime() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update relay_uptime u
       set seen_at = greatest(u.seen_at, now())
     where u.began_at = (select max(l.began_at) from relay_uptime l) and u.seen_at >= now() - relay_silence();
    if not found then
        insert into relay_uptime values (now(), now()) on conflict do nothing;
    end if;
end
$$;

-- Forgets relays that have not been seen for a day, except the one seen last; their names.
create function forget_relays() returns setof text
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    delete from relay r
     where r.seen_at < now() - interval '1 day' and r.seen_at < (select max(n.seen_at) from relay n)
    returning r.relay
$$;

-- Records that a relay is alive, and the fingerprint of its credentials. The answer names the organizations that are
-- paused or held and the PEMS that are down, and holds the settings for relays.
create function pfa_sync.heartbeat(relay text, version text, credentials text default null,
                                   organizations text[] default null, faults jsonb default null,
                                   listening boolean default null) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform require_given('relay', relay), require_given('version', version);
    perform require_text('relay', relay, 200), require_text('version', version, 200),
            require_text('credentials', credentials, 200);
    perform ensure_bound();
    insert into relay as r (relay, version, credentials, organizations, faults, listening)
        values (heartbeat.relay, heartbeat.version, heartbeat.credentials, heartbeat.organizations, heartbeat.faults,
                heartbeat.listening)
        on conflict on constraint relay_pkey
        do update set version = excluded.version, credentials = excluded.credentials,
                      organizations = excluded.organizations, faults = excluded.faults, listening = excluded.listening,
                      seen_at = now();
    perform record_uptime();
    perform release_held_organizations(array(
        select s.organization_id from sync_organization s
         where s.held_since is not null and (credentials_of(s.organization_id)).credential_id is null),
        heartbeat.credentials);
    return jsonb_build_object(
        'paused', coalesce((select jsonb_agg(s.organization_id order by s.organization_id)
                              from sync_organization s where not may_send(s)), '[]'),
        'down', coalesce((select jsonb_agg(b.pems order by b.pems) from breakers b where b.state <> 'closed'), '[]'),
        'lease_ms', 1000 * extract(epoch from setting('lease')::interval),
        'poll_ms', 1000 * extract(epoch from setting('poll')::interval));
end
$$;
comment on function pfa_sync.heartbeat(text, text, text, text[], jsonb, boolean) is
    'Relay: records that a relay is alive, with its version, the fingerprint of the credentials of its settings, the '
    'organizations that it serves (ids; null: all) and why not the others, whether notifications reach it, and '
    'releases organizations that are held because of other credentials. Returns JSON: paused (ids of organizations '
    'that may not send), down (PEMS whose breaker is not closed), lease_ms, poll_ms.';

create view pfa_sync.relays with (security_barrier) as
    select r.relay, r.version, r.started_at, r.seen_at, r.seen_at >= clock_timestamp() - relay_silence() as alive,
           r.listening,
           array(select o.organization_id from sync_organization o
                  where (r.organizations is null or o.organization_id = any (r.organizations))
                    and o.organization_id = any ((select visible_organizations())::text[]) order by 1) as organizations,
           (select jsonb_agg(f) from jsonb_array_elements(r.faults) f
             where f->>'organization_id' = any ((select visible_organizations())::text[])) as faults
      from relay r
     where cardinality((select visible_organizations())::text[]) > 0;
comment on view pfa_sync.relays is 'Relays that were seen within a day, and the last one before.';
comment on column pfa_sync.relays.relay is 'name of the relay';
comment on column pfa_sync.relays.version is 'its version';
comment on column pfa_sync.relays.started_at is 'when it was first seen under this name';
comment on column pfa_sync.relays.seen_at is 'when it sent its last heartbeat';
comment on column pfa_sync.relays.alive is 'whether that is less than health_relay_silence ago';
comment on column pfa_sync.relays.listening is
    'whether its listening connection receives what it sends to itself; null: not known';
comment on column pfa_sync.relays.organizations is 'ids of the visible organizations that it serves';
comment on column pfa_sync.relays.faults is
    'why it does not serve others: organization_id and reason of each; null: it serves all';

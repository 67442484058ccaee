-- What stops sending for an organization and lets it send again: a user's pause, and refused credentials.

-- Stops sending for an organization (null = all); its edits are queued all the same.
create function pfa_sync.pause(organization text, reason text, until timestamptz default null,
                               user_id text default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    perform require_text('reason', reason, 2000);
    perform know_organizations();
    update sync_organization s
       set paused = true, pause_reason = pause.reason, paused_until = until, paused_by = actor, paused_since = now(),
           draining = false
      from organization o
     where o.organization_id = s.organization_id and (scope is null or s.organization_id = scope);
    perform log_event('PAUSED', o.organization_id, actor, error => reason)
       from organization o
      where scope is null or o.organization_id = scope;
end
$$;
comment on function pfa_sync.pause(text, text, timestamptz, text) is
    'Stops sending for an organization (id or code; null: all), until a time or until resume(). Commits are still '
    'judged and queued, and pulls go on. Needs perm_ManageSettings.';

-- Stops sending and reading for an organization (null = all) until resume(); what is in flight comes to its end. A pull
-- that is running ends with its page and continues after resume().
create function pfa_sync.drain(organization text, reason text, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
begin
    perform pause(organization, reason, null, user_id);
    update sync_organization s set draining = true where s.paused and (scope is null or s.organization_id = scope);
end
$$;
comment on function pfa_sync.drain(text, text, text) is
    'Stops sending and pulling for an organization (id or code; null: all) until resume(): before an upgrade, or '
    'before the organization is given another PEMS. Commits are still judged and queued. is_drained() says when '
    'nothing is in flight any more. Needs perm_ManageSettings.';

-- Whether nothing of an organization (null = of any) is in flight: no request whose outcome is not known, no pull.
create function pfa_sync.is_drained(organization text default null) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
begin
    perform ensure_bound();
    return not exists (select from pfa_write_queue q
                        where q.status = 'processing' and q.lease_until is not null
                          and (scope is null or q.organization_id = scope))
       and not exists (select from sync_pull p
                        where p.status = 'running' and p.lease_until > clock_timestamp()
                          and (scope is null or p.organization_id = scope));
end
$$;
comment on function pfa_sync.is_drained(text) is
    'Whether nothing of an organization (id or code; null: of all) is in flight: no request whose outcome is not '
    'known, and no pull that is running. After drain() it stays so.';

-- Lets an organization send (null = all), ends waits of more than a minute, and wakes the relay, whose sweep queues
-- what no trigger saw, such as what was committed before attach().
create function pfa_sync.resume(organization text default null, user_id text default null)
    returns table (organization_id text, waiting bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    resumed text[];
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    perform know_organizations();
    with resumed_now as (
        update sync_organization s
           set paused = false, pause_reason = null, paused_until = null, paused_by = null, paused_since = null,
               draining = false, sweep_due = true, held_since = null, hold_reason = null, held_credentials = null,
               released_at = now()
         where (scope is null or s.organization_id = scope) and (s.paused or s.held_since is not null)
        returning s.organization_id)
    select array_agg(r.organization_id) into resumed from resumed_now r;
    perform log_event('RESUMED', o.organization_id, actor) from unnest(resumed) o (organization_id);
    perform wake();
    return query
        select o.organization_id,
               (select count(*) from modification m
                 where m.organization_id = o.organization_id and m.sync_state = 'committed')
          from organization o
         where scope is null or o.organization_id = scope
         order by 1;
    perform end_waits(array(select o.organization_id from organization o
                             where scope is null or o.organization_id = scope));
end
$$;
comment on function pfa_sync.resume(text, text) is
    'Lets an organization (id or code; null: all) send again, and ends a hold after refused credentials and waits of '
    'more than a minute. Returns for each organization how many committed changes wait; those that no trigger saw are '
    'queued by the relay''s next sweep(), in portions. Needs perm_ManageSettings.';

-- PEMS refused the credentials with which a relay wrote or read for an organization. Nothing is sent or pulled for it
-- until resume(), or until there are other credentials: trying on might lock them. credentials: their fingerprint;
-- null = that of the relay's last heartbeat. everywhere: PEMS refused the login, and not the organization alone: all
-- organizations with the same credentials are held. No try is used up.
create function hold_organization(organization_id text, relay text, reason text, credentials text, everywhere boolean)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    used   text := coalesce(credentials, (select r.credentials from relay r where r.relay = hold_organization.relay));
    sealed organization_api_credentials := credentials_of(organization_id);
    held   text;
begin
    -- Others were taken into use since the request: it is made again with them.
    if sealed.fingerprint <> used then
        return;
    end if;
    for held in
        update sync_organization s
           set held_since = now(), hold_reason = reason, held_credentials = used
         where s.held_since is null
           and (s.organization_id = hold_organization.organization_id
                or everywhere and s.pems = pems_of(hold_organization.organization_id)
                   and (credentials_of(s.organization_id)).credential_id is not distinct from sealed.credential_id)
        returning s.organization_id
    loop
        perform log_event('CREDENTIALS_REFUSED', held, error => reason, success => false);
    end loop;
end
$$;

-- These organizations have credentials with this fingerprint now: those that were held because of others may send
-- again.
create function release_held_organizations(organization_ids text[], fingerprint text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    released text[];
begin
    with released_now as (
        update sync_organization s
           set held_since = null, hold_reason = null, held_credentials = null, released_at = now()
         where s.organization_id = any (organization_ids) and s.held_since is not null
           and s.held_credentials <> fingerprint
        returning s.organization_id)
    select array_agg(r.organization_id) into released from released_now r;
    if released is not null then
        perform log_event('CREDENTIALS_CHANGED', o.organization_id) from unnest(released) o (organization_id);
        perform wake();
    end if;
end
$$;

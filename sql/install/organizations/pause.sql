-- Stops sending for an organization; its edits are queued all the same.
create function pfa_sync.pause(organization text, reason text, until timestamptz default null, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    insert into sync_organization (organization_id, paused, pause_reason, paused_until, paused_by)
        values (scope, true, reason, until, actor)
        on conflict on constraint sync_organization_pkey
        do update set paused = true, pause_reason = excluded.pause_reason, paused_until = excluded.paused_until, paused_by = excluded.paused_by;
    insert into pfa_audit_log (event_type, organization_id, user_id, success, error_message) values ('PAUSED', scope, actor, true, reason);
end
$$;
comment on function pfa_sync.pause(text, text, timestamptz, text) is 'Stops sending for an organization (id or code), for good or until a time; edits are still queued.';

-- A relay comes with these credentials: organizations that were held because of others may send again.
create function release_held_organizations(fingerprint text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    with freed as (
        update sync_organization s
           set held_since = null, hold_reason = null, held_credentials = null
         where s.held_since is not null and s.held_credentials <> fingerprint
        returning s.organization_id)
    insert into pfa_audit_log (event_type, organization_id, success) select 'CREDENTIALS_CHANGED', f.organization_id, true from freed f;
    if found then
        perform wake();
    end if;
end
$$;

-- Lets an organization send (null = all), queues what was committed before attach(), and wakes the relay.
create function pfa_sync.resume(organization text default null, user_id text default null)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    insert into sync_organization (organization_id)
        select o.organization_id from organization o where scope is null or o.organization_id = scope
        on conflict do nothing;
    with resumed as (
        update sync_organization s
           set paused = false, pause_reason = null, paused_until = null, paused_by = null, held_since = null, hold_reason = null,
               held_credentials = null
         where (scope is null or s.organization_id = scope) and (s.paused or s.held_since is not null)
        returning s.organization_id)
    insert into pfa_audit_log (event_type, organization_id, user_id, success)
        select 'RESUMED', r.organization_id, actor, true from resumed r;
    perform wake();
    return query
        select o.organization_id, coalesce(s.queued, 0), coalesce(s.failed, 0)
          from organization o
          left join sweep() s on s.organization_id = o.organization_id
         where scope is null or o.organization_id = scope
         order by 1;
end
$$;
comment on function pfa_sync.resume(text, text) is 'Lets an organization (id or code; null = all) send again, and queues what was committed before attach().';

-- PEMS refused the credentials of an organization: it is held until resume() or until a relay comes with others; no try
-- is burnt, no other organization is concerned.
create function hold_organizations(relay text, items jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    with held as (
        update sync_organization s
           set held_since = now(), hold_reason = i.error,
               held_credentials = (select r.credentials from relay r where r.relay = hold_organizations.relay)
          from (select q.organization_id, max(i.error) as error
                  from jsonb_to_recordset(items) i (queue_id bigint, attempt int, outcome text, http_status int, error text)
                  join pfa_write_queue q on q.id = i.queue_id and q.attempt = i.attempt and q.lease_until is not null
                 where i.outcome = 'unauthorized' or i.http_status = 401 group by 1) i
         where s.organization_id = i.organization_id and s.held_since is null
        returning s.organization_id, i.error)
    insert into pfa_audit_log (event_type, organization_id, success, error_message)
    select 'CREDENTIALS_REFUSED', h.organization_id, false, h.error from held h;
end
$$;

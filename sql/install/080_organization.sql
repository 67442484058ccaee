-- Organizations: which one is meant, who may do what in it, and whether it may send.

-- The id of the organization of that id or code; null for null. Raises on an unknown one, and in the same words on one
-- that the session may not see.
create function organization_of(organization text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    found_id text;
begin
    if organization is null then
        return null;
    end if;
    select o.organization_id into found_id from organization o
     where o.organization_id = organization_of.organization or o.code = organization_of.organization
     order by o.organization_id = organization_of.organization desc limit 1;
    if found_id is null or not sees(found_id) then
        raise exception 'there is no organization with id or code %', organization using errcode = 'PF008';
    end if;
    return found_id;
end
$$;
comment on function organization_of(text) is 'The id of the organization of that id or code, if this session may see it.';

-- What a user may do in an organization: all for an administrator, nothing for one who is inactive or suspended.
create function permissions_of(user_id text, organization_id text) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    granted text[];
begin
    select case when not u.active then '{}'
                when u.role = 'admin' then
                    array['perm_Sync', 'perm_Delete', 'perm_SaveDraft', 'perm_ManageSettings', 'perm_Read', 'perm_ViewFinancials', 'perm_Export']
                    || array(select distinct f.permission from field_rules f where f.permission is not null)
                else coalesce((select m.permissions from member m
                                where m.user_id = permissions_of.user_id and m.organization_id = permissions_of.organization_id), '{}')
           end
      into granted
      from users u
     where u.user_id = permissions_of.user_id;
    return coalesce(granted, '{}');
end
$$;

-- Whether an organization's changes may go to PEMS now. One that the application has deleted may: what was under way
-- for it is still settled, and nothing else of it is left.
create function may_send(candidate sync_organization) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return candidate.held_since is null
       and (not candidate.paused or coalesce(candidate.paused_until <= now(), false))
       and not exists (select from organization o where o.organization_id = candidate.organization_id and not o.may_sync);
end
$$;

-- Stops sending for an organization; its edits are queued all the same.
create function pause(organization text, reason text, until timestamptz default null, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
comment on function pause(text, text, timestamptz, text) is 'Stops sending for an organization (id or code), for good or until a time; edits are still queued.';

-- A relay comes with these credentials: organizations that were held because of others may send again.
create function take_credentials(fingerprint text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
create function resume(organization text default null, user_id text default null)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
comment on function resume(text, text) is 'Lets an organization (id or code; null = all) send again, and queues what was committed before attach().';

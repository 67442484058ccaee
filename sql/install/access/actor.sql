-- The acting user: on whose behalf a function is called, and what that user may do.

-- The user in whose name a function acts. The application passes its user; the API's is pfa_sync.user_id, which any
-- session can set, so that it counts for the API's role alone; a superuser who passes none acts as itself.
create function acting_user(user_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    set_user text := nullif(current_setting('pfa_sync.user_id', true), '');
begin
    if is_dba() then
        return coalesce(user_id, session_user);
    end if;
    if pg_has_role(session_user, 'pfa_sync_api', 'member') then
        if set_user is null or set_user <> coalesce(user_id, set_user) then
            raise exception 'user_id is not the user that this session acts for'
                using errcode = 'PF002', hint = 'set local pfa_sync.user_id to the authenticated user.';
        end if;
        return set_user;
    end if;
    if user_id is null then
        raise exception 'the acting user is missing' using errcode = 'PF002', hint = 'Pass user_id.';
    end if;
    return user_id;
end
$$;

-- Whether the session is a database superuser's: a DBA may do all that any user may.
create function is_dba() returns boolean
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select r.rolsuper from pg_roles r where r.rolname = session_user $$;

-- Whether the acting user is a DBA who is no user of the application, and may do everything.
create function acts_as_dba(actor text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform ensure_bound();
    return is_dba() and not exists (select from users u where u.user_id = actor);
end
$$;

-- What the acting user may do in an organization; null = everything: a DBA who is not a user of the application.
create function acting_permissions(actor text, organization_id text) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return case when not acts_as_dba(actor) then permissions_of(actor, organization_id) end;
end
$$;

-- Raises PF002 unless the acting user has a permission; in the whole fleet (null), administrators have it.
create function require_permission(actor text, organization_id text, permission text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if not permission = any (acting_permissions(actor, organization_id)) then
        raise exception 'user % lacks % in %', actor, permission,
                        coalesce('organization ' || organization_id, 'the whole fleet') using errcode = 'PF002';
    end if;
end
$$;

-- What a user may do in an organization: all for an administrator, nothing for one who is inactive or suspended.
create function permissions_of(user_id text, organization_id text) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    user_role text;
    granted   text[];
begin
    select u.role,
           (select m.permissions from member m
             where m.user_id = u.user_id and m.organization_id = permissions_of.organization_id)
      into user_role, granted
      from users u
     where u.user_id = permissions_of.user_id and u.active;
    if user_role = 'admin' then
        return all_permissions() || array(select distinct f.permission from field_rules f
                                           where f.permission <> all (all_permissions()));
    end if;
    return coalesce(granted, '{}');
end
$$;

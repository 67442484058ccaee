-- Visibility: which rows and prices a session is shown.

create table reader (
    login   name not null,
    user_id text not null,
    constraint reader_pkey primary key (login)
);
comment on table reader is
    'The user whose permissions a login of the role pfa_sync_reader has. A login without a row sees nothing.';
select pg_catalog.pg_extension_config_dump('reader', '');

-- Lets a reader's login see what a user of the application may see, by the permissions that the user has at each
-- moment; user_id null = nothing any more. For a DBA.
create function pfa_sync.set_reader(login name, user_id text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform require_given('login', login);
    perform ensure_bound();
    if user_id is null then
        delete from reader r where r.login = set_reader.login;
    else
        if not exists (select from pg_roles
                        where rolname = login and pg_has_role(rolname, 'pfa_sync_reader', 'member')) then
            raise exception 'there is no login % in the role pfa_sync_reader', login
                using errcode = 'PF008', hint = format('grant pfa_sync_reader to %I;', login);
        end if;
        if not exists (select from users u where u.user_id = set_reader.user_id) then
            raise exception 'there is no user %', user_id using errcode = 'PF008';
        end if;
        insert into reader values (set_reader.login, set_reader.user_id)
            on conflict on constraint reader_pkey do update set user_id = excluded.user_id;
    end if;
    perform log_event('READER_SET', user_id => session_user,
                      changes => jsonb_build_object('login', login, 'user', user_id));
end
$$;
comment on function pfa_sync.set_reader(name, text) is
    'Gives a login of the role pfa_sync_reader the visibility of a user of the application, by the permissions '
    'that the user has at each moment. user_id null: the login sees nothing. PF008: no such login in the role, or '
    'no such user.';

-- Whether the session sees everything: a DBA, the application and the relay. A login that is the API's as well sees by
-- its user's permissions all the same.
create function can_see_all() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return is_dba()
        or not pg_has_role(session_user, 'pfa_sync_api', 'member')
           and (pg_has_role(session_user, 'pfa_sync_application', 'member')
                or pg_has_role(session_user, 'pfa_sync_relay', 'member'));
end
$$;

-- The user by whose permissions the session sees, where it does not see everything: the API's for the transaction, a
-- reader's by its login; null: no user; nothing is visible.
create function visibility_user() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if pg_has_role(session_user, 'pfa_sync_api', 'member') then
        return nullif(current_setting('pfa_sync.user_id', true), '');
    end if;
    return (select r.user_id from reader r
             where r.login = session_user and pg_has_role(session_user, 'pfa_sync_reader', 'member'));
end
$$;

-- Whether the session may see an organization's rows, or with perm_ViewFinancials its prices; null = what belongs to
-- the whole fleet, which administrators see. By the permissions of this moment.
create function can_see(organization_id text, permission text default 'perm_Read') returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return can_see_all() or permission = any (permissions_of(visibility_user(), organization_id));
end
$$;

-- The organizations whose rows the session may see, those that the application has deleted included.
create function pfa_sync.visible_organizations() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_bound();
    if can_see(null) then
        return array(select o.organization_id from organization o
                     union
                     select s.organization_id from sync_organization s);
    end if;
    return array(select m.organization_id from member m
                  where m.user_id = visibility_user() and can_see(m.organization_id));
end
$$;
comment on function pfa_sync.visible_organizations() is 'The ids of the organizations that this session may see.';

-- The organizations whose prices the session may see; an empty text stands for what belongs to the whole fleet.
create function priced_organizations() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return array(select o from unnest(visible_organizations()) o where can_see(o, 'perm_ViewFinancials')
                 union all
                 select '' where can_see(null, 'perm_ViewFinancials'));
end
$$;
comment on function priced_organizations() is
    'The ids of the organizations whose prices this session may see, and an empty text where it may see those of the '
    'whole fleet.';

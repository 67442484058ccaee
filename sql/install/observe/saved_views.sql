-- Saved views: how a user has set up a page of a front end, kept so that it is there on any machine, and shared.

create table saved_view (
    user_id    text        not null,
    page       text        not null,
    name       text        not null,
    state      jsonb       not null,
    shared     boolean     not null default false,
    updated_at timestamptz not null default now(),
    constraint saved_view_pkey primary key (user_id, page, name)
);
comment on table saved_view is 'Set-ups of pages that users have saved.';
comment on column saved_view.state is 'of the page, in the words of the front end';
select pg_catalog.pg_extension_config_dump('saved_view', '');

-- The users whose saved views the session is shown: all of them (shared false), or those that they share. A user shares
-- with users of the same organizations.
create function saved_view_users(shared boolean) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if can_see_all() then
        return array(select distinct v.user_id from saved_view v);
    end if;
    if not shared then
        return array(select u.user_id from users u where u.user_id = visibility_user() and u.active);
    end if;
    return array(select distinct v.user_id from saved_view v
                  join users u on u.user_id = v.user_id
                 where u.role = 'admin'
                    or exists (select from member m
                                where m.user_id = v.user_id and m.organization_id = any (visible_organizations())));
end
$$;

create view pfa_sync.saved_views with (security_barrier) as
    select v.user_id, coalesce((select user_names())->>v.user_id, v.user_id) as user_name, v.page, v.name, v.state,
           v.shared, v.user_id = any ((select saved_view_users(false))::text[]) as own, v.updated_at
      from saved_view v
     where v.user_id = any ((select saved_view_users(false))::text[])
        or v.shared and v.user_id = any ((select saved_view_users(true))::text[])
           and (select cardinality(visible_organizations())) > 0;
comment on view pfa_sync.saved_views is
    'Set-ups of pages: the user''s own, and those that users of the same organizations share. save_view() and '
    'delete_view() change them.';
comment on column pfa_sync.saved_views.user_id is 'id of the user whose view it is';
comment on column pfa_sync.saved_views.user_name is 'name of that user';
comment on column pfa_sync.saved_views.page is 'the page that it is for';
comment on column pfa_sync.saved_views.name is 'its name';
comment on column pfa_sync.saved_views.state is 'how the page is set up, as the front end saved it';
comment on column pfa_sync.saved_views.shared is 'whether other users are shown it';
comment on column pfa_sync.saved_views.own is 'whether it is the user''s own; for a session that sees all, always';
comment on column pfa_sync.saved_views.updated_at is 'when it was saved last';

-- The user whose saved views are changed. Raises PF002 for one whom the application does not know, or not any more.
create function saved_view_user(user_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    actor text := acting_user(user_id);
begin
    if not acts_as_dba(actor) and not exists (select from users u where u.user_id = actor and u.active) then
        raise exception 'there is no active user %', left(actor, 100) using errcode = 'PF002';
    end if;
    return actor;
end
$$;

create function pfa_sync.save_view(page text, name text, state jsonb, shared boolean default false,
                                   user_id text default null) returns timestamptz
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor text := saved_view_user(user_id);
    saved timestamptz;
begin
    perform require_given('page', page), require_given('name', nullif(btrim(name), '')),
            require_given('state', state::text), require_given('shared', shared::text);
    perform require_text('page', page, 40), require_text('name', name, 100);
    if jsonb_typeof(state) <> 'object' then
        raise exception 'state is a JSON object, not %', jsonb_typeof(state) using errcode = 'PF001';
    end if;
    perform require_between('the size of state in bytes', greatest(octet_length(state::text), pg_column_size(state)),
                            0, 16384);
    if bound_fault(state) is not null then
        raise exception 'state %', bound_fault(state) using errcode = 'PF001';
    end if;
    insert into saved_view as v (user_id, page, name, state, shared)
        values (actor, save_view.page, save_view.name, save_view.state, save_view.shared)
        on conflict on constraint saved_view_pkey
        do update set state = excluded.state, shared = excluded.shared, updated_at = now()
        returning v.updated_at into saved;
    if (select count(*) from saved_view v where v.user_id = actor) > 100 then
        raise exception 'user % has 100 saved views', actor using errcode = 'PF001', hint = 'Delete some.';
    end if;
    return saved;
end
$$;
comment on function pfa_sync.save_view(text, text, jsonb, boolean, text) is
    'Saves how a page is set up, under a name of the user''s; one of that name is replaced. state: a JSON object of 16 '
    'kB at most; shared: users of the same organizations are shown it. Returns when it was saved. PF001: missing, too '
    'long, or more than 100 views; PF002: no such user.';

create function pfa_sync.delete_view(page text, name text, user_id text default null) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor text := saved_view_user(user_id);
begin
    delete from saved_view v where v.user_id = actor and v.page = delete_view.page and v.name = delete_view.name;
    return found;
end
$$;
comment on function pfa_sync.delete_view(text, text, text) is
    'Deletes a saved view of the user''s. Returns whether there was one. PF002: no such user.';

-- The user of a session, and what a front end needs to know before it shows anything.

-- The user by whose permissions the session acts, for me(). The application names its user.
create function current_user_id(user_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    actor text;
begin
    if pg_has_role(session_user, 'pfa_sync_reader', 'member') and not can_see_all()
       and not pg_has_role(session_user, 'pfa_sync_api', 'member') then
        actor := visibility_user();
        if user_id <> actor then
            raise exception 'user_id is not the user of this login' using errcode = 'PF002';
        end if;
    else
        actor := acting_user(user_id);
    end if;
    if actor is null then
        raise exception 'this login has no user'
            using errcode = 'PF002', hint = 'A DBA gives it one: pfa_sync.set_reader().';
    end if;
    return actor;
end
$$;

-- Other installations, by name and address, in the order of the setting.
create function instance_links() returns jsonb
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object('name', p.part[1], 'address', p.part[2]) order by l.place), '[]')
      from string_to_table(setting('instance_links'), ',') with ordinality l (link, place)
     cross join lateral regexp_match(trim(l.link), '^(.*[^ ]) +(https?://[^ ]+)$') p (part)
     where p.part is not null
$$;

-- The user of the session, the organizations that it sees, and which instance this is. A DBA who is no user of the
-- application may do everything.
create function pfa_sync.me(user_id text default null) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor         text;
    by_dba        boolean;
    organizations jsonb;
    edits         boolean;
    reason        text;
begin
    perform ensure_bound();
    actor := current_user_id(me.user_id);
    by_dba := acts_as_dba(actor);
    select coalesce(jsonb_agg(jsonb_build_object('organization_id', o.organization_id, 'code', o.code,
                        'permissions', to_jsonb(p.granted), 'may_send', coalesce(may_send(s), false),
                        'paused', coalesce(s.paused and coalesce(s.paused_until > now(), true), false),
                        'pause_reason', s.pause_reason, 'paused_until', s.paused_until,
                        'held', s.held_since is not null) order by o.code), '[]'),
           coalesce(bool_or('perm_SaveDraft' = any (p.granted)
                            and p.granted && array(select f.permission from field_rules f
                                                    where f.permission is not null)), false)
      into organizations, edits
      from organization o
      left join sync_organization s on s.organization_id = o.organization_id
     cross join lateral (
         select array(select x from unnest(case when by_dba then all_permissions()
                                                else permissions_of(actor, o.organization_id) end) x order by x))
         p (granted)
     where 'perm_Read' = any (p.granted);
    reason := case when pg_is_in_recovery() then 'the database is a standby and takes no edits'
                   when not edits and not by_dba then 'the user may edit in no organization' end;
    return (
        select jsonb_build_object('user_id', actor, 'user_name', coalesce(u.name, actor), 'email', u.email,
                   'role', case when by_dba then 'dba' else u.role end, 'organizations', organizations,
                   'instance', jsonb_build_object('name', fleet_setting('instance_name'),
                                                  'colour', fleet_setting('instance_colour'),
                                                  'production', fleet_setting('production') = 'on',
                                                  'links', instance_links()),
                   'read_only', reason is not null, 'read_only_reason', reason)
          from (select) one left join users u on u.user_id = actor);
end
$$;
comment on function pfa_sync.me(text) is
    'The user that the session acts for, as JSON: user_id, user_name, email, role (of the application; dba: a DBA, who '
    'may do everything), organizations (those that the user may read, each with organization_id, code, permissions, '
    'may_send, paused, pause_reason, paused_until, held), instance (name, colour, production, links: the '
    'settings instance_name, instance_colour, production and instance_links), read_only with read_only_reason (null: '
    'the user may edit). user_id is passed by the application alone. PF002: the session has no user.';

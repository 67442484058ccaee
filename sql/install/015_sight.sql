-- Who sees what: the one place that decides which rows and prices a session is shown.

create table reader (
    login   name not null,
    user_id text not null,
    constraint reader_pkey primary key (login)
);
comment on table reader is 'The user whose rights a login of the role pfa_sync_reader has. A login without a row sees nothing.';
select pg_catalog.pg_extension_config_dump('reader', '');

-- Lets a reader's login see what a user of the application may see, by the rights that user has at each moment; user_id
-- null = nothing any more. For a DBA.
create function set_reader(login name, user_id text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    if user_id is null then
        delete from reader r where r.login = set_reader.login;
    else
        if not exists (select from pg_roles where rolname = login and pg_has_role(rolname, 'pfa_sync_reader', 'member')) then
            raise exception 'there is no login % in the role pfa_sync_reader', login
                using errcode = 'PF008', hint = format('grant pfa_sync_reader to %I;', login);
        end if;
        if not exists (select from users u where u.user_id = set_reader.user_id) then
            raise exception 'there is no user %', user_id using errcode = 'PF008';
        end if;
        insert into reader values (set_reader.login, set_reader.user_id)
            on conflict on constraint reader_pkey do update set user_id = excluded.user_id;
    end if;
    insert into pfa_audit_log (event_type, user_id, success, changes)
        values ('READER_SET', session_user, true, jsonb_build_object('login', login, 'user', user_id));
end
$$;
comment on function set_reader(name, text) is 'Lets a reader''s login see what a user of the application may see; user_id null = nothing.';

-- Whether the session sees everything: a DBA; the application and the relay, who own it or carry it. A login that is the
-- API's as well sees by its user's rights all the same.
create function sees_all() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return is_dba()
        or not pg_has_role(session_user, 'pfa_sync_api', 'member')
           and (pg_has_role(session_user, 'pfa_sync_application', 'member') or pg_has_role(session_user, 'pfa_sync_relay', 'member'));
end
$$;

-- The user by whose rights the session sees, where it does not see everything: the API's for the transaction, a reader's
-- by its login; null = nobody, who sees nothing.
create function viewer() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    if pg_has_role(session_user, 'pfa_sync_api', 'member') then
        return nullif(current_setting('pfa_sync.user_id', true), '');
    end if;
    return (select r.user_id from reader r where r.login = session_user and pg_has_role(session_user, 'pfa_sync_reader', 'member'));
end
$$;

-- Whether the session may see an organization's rows, or with perm_ViewFinancials its prices; null = what is the whole
-- fleet's, which administrators see. By the rights of this moment.
create function sees(organization_id text, permission text default 'perm_Read') returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return sees_all() or permission = any (permissions_of(viewer(), organization_id));
end
$$;
comment on function sees(text, text) is 'Whether this session may see an organization''s rows, or its prices (perm_ViewFinancials).';

-- The organizations whose rows the session may see, those that the application has deleted included.
create function visible_organizations() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    if sees(null) then
        return array(select o.organization_id from organization o union select s.organization_id from sync_organization s);
    end if;
    return array(select m.organization_id from member m where m.user_id = viewer() and sees(m.organization_id));
end
$$;
comment on function visible_organizations() is 'The organizations whose rows this session may see.';

-- JSON as whoever may see prices, or may not, is shown it: whole, or without the prices anywhere in it.
create function shown(data jsonb, priced boolean) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return case when priced or data is null then data else without_fields(data, array(select f.name from field_rules f where f.price)) end;
end
$$;

create function shown(data jsonb, organization_id text) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return shown(data, sees(organization_id, 'perm_ViewFinancials'));
end
$$;

-- JSON without fields of these names at any depth. Of an object about such a field (its key "field" says so) the values
-- go and "hidden" says that there are some.
create function without_fields(data jsonb, names text[]) returns jsonb
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return case jsonb_typeof(data)
        when 'array' then (select coalesce(jsonb_agg(without_fields(e.value, names) order by e.ordinality), '[]')
                             from jsonb_array_elements(data) with ordinality e)
        when 'object' then (select coalesce(jsonb_object_agg(e.key, without_fields(e.value, names)), '{}')
                              from jsonb_each(data) e
                             where e.key <> all (names) and not (data->>'field' = any (names) and e.key in ('base', 'ours', 'theirs')))
                           || case when data->>'field' = any (names) and data ?| array['base', 'ours', 'theirs'] then '{"hidden": true}' else '{}' end::jsonb
        else data
    end;
end
$$;

-- A text of PEMS' or about a change. It may quote a price in any words: to whoever may not see prices each number in it
-- is a #.
create function shown(told text, priced boolean) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$ select case when priced then told else regexp_replace(told, '[0-9]([0-9.,'']*[0-9])?', '#', 'g') end $$;

create function shown(told text, organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return shown(told, sees(organization_id, 'perm_ViewFinancials'));
end
$$;

-- The columns that may hold prices, of one row each: the views show them by these functions, since nobody who reads
-- the views may read the columns themselves.
create function shown_change(queue_id bigint, out changes jsonb, out last_error text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(q.payload, q.organization_id), shown(q.last_error, q.organization_id) into changes, last_error
      from (select id, organization_id, payload, w.last_error from pfa_write_queue w
            union all
            select id, organization_id, payload, a.last_error from pfa_write_queue_archive a) q
     where q.id = queue_id and sees(q.organization_id);
end
$$;
comment on function shown_change(bigint) is 'What a row of the queue changes and why it was not done, as this session may see it.';

create function shown_dead_letter(queue_id bigint, out error text, out pems_response jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(d.error, d.organization_id), case when sees(d.organization_id, 'perm_ViewFinancials') then d.pems_response end
      into error, pems_response
      from pfa_write_queue_dlq d
     where d.queue_id = shown_dead_letter.queue_id and sees(d.organization_id);
end
$$;
comment on function shown_dead_letter(bigint) is 'Why a change is a dead letter, as this session may see it.';

create function shown_sides(conflict_id bigint, out base jsonb, out ours jsonb, out theirs jsonb, out message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(c.base_data, p.priced), shown(c.local_data, p.priced), shown(c.pems_data, p.priced), shown(c.message, p.priced)
      into base, ours, theirs, message
      from pfa_sync_conflict c
     cross join lateral sees(c.organization_id, 'perm_ViewFinancials') p (priced)
     where c.id = conflict_id and sees(c.organization_id);
end
$$;
comment on function shown_sides(bigint) is 'The three sides of a conflict, as this session may see them.';

create function shown_event(event_id bigint, event_at timestamptz, organization text, out changes jsonb, out pems_response jsonb, out error_message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(l.changes, p.priced), case when p.priced then l.pems_response end, shown(l.error_message, p.priced)
      into changes, pems_response, error_message
      from pfa_audit_log l
     cross join lateral sees(l.organization_id, 'perm_ViewFinancials') p (priced)
     where l.at = event_at and l.id = event_id and (l.organization_id = organization or organization is null and l.organization_id is null)
       and sees(l.organization_id);
end
$$;
comment on function shown_event(bigint, timestamptz, text) is 'What an entry of the log holds, as this session may see it.';

create function shown_pull(pull_id bigint, out last_error text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(p.last_error, p.organization_id) into last_error
      from sync_pull p
     where p.pull_id = shown_pull.pull_id and sees(p.organization_id);
end
$$;
comment on function shown_pull(bigint) is 'Why a pull failed, as this session may see it.';

-- Views that translate the names of the application's tables.
--
-- A view over a table keeps the table's columns from being altered or dropped. So each view stands over a function
-- whose body is text, which depends on nothing: the planner inlines it, and the plans are those of a view over the
-- table. A lock clause on such a view would lock nothing and not say so: see locks.sql.

-- Makes one function of rows, which the view of the same name selects from: columns are its names and types, selected
-- the expressions in their order. Inlined, since it states neither SET nor SECURITY DEFINER: its body has to name the
-- schema of all that it uses.
create function create_row_function(view_name name, columns text, selected text, relation text) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    made text := format('pfa_sync_private.%I()', 'rows_of_' || view_name);
begin
    execute format('create or replace function %s returns table (%s) language sql stable security invoker '
                   'as $body$ select %s from %s $body$', made, columns, selected, relation);
    execute format('alter function %s owner to pfa_sync_owner', made);
    perform revoke_grants(made::regprocedure);
end
$$;

-- Makes the functions of rows, by the tables' columns as they are now; the names of the views over them.
create function create_row_functions(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    permissions text;
    full_name   text;
    translated  record;
begin
    perform create_row_function('organization', 'organization_id text, code text, may_sync boolean',
        'id::pg_catalog.text, code::pg_catalog.text, '
        '"isActive" and "serviceStatus" operator(pg_catalog.<>) ''suspended'' and "enableSync"',
        format('%I.organizations', app_schema));
    return next 'organization';

    -- First and last name, else the username, else the id. The columns of names may be missing.
    select format('pg_catalog.btrim(pg_catalog.concat_ws('' '', %s))',
                  coalesce(string_agg(format('%I::pg_catalog.text', a.attname), ', ' order by a.attname), 'null'))
      into full_name
      from pg_attribute a
     where a.attrelid = to_regclass(format('%I.users', app_schema)) and a.attname in ('firstName', 'lastName')
       and not a.attisdropped and format_type(a.atttypid, null) in ('text', 'character varying');
    perform create_row_function('users',
        'user_id text, username text, email text, role text, active boolean, name text',
        'id::pg_catalog.text, username::pg_catalog.text, email::pg_catalog.text, role::pg_catalog.text, '
        '"isActive" and "serviceStatus" operator(pg_catalog.<>) ''suspended'', '
        || format('case when %1$s operator(pg_catalog.<>) '''' then %1$s '
                  'when username::pg_catalog.text operator(pg_catalog.<>) '''' then username::pg_catalog.text '
                  'else id::pg_catalog.text end', full_name),
        format('%I.users', app_schema));
    return next 'users';

    select string_agg(format('case when %1$I then %1$L end', p), ', ') into permissions
      from unnest(all_permissions()) p;
    perform create_row_function('member', 'user_id text, organization_id text, permissions text[]',
        format('"userId"::pg_catalog.text, "organizationId"::pg_catalog.text, '
               'pg_catalog.array_remove(array[%s]::pg_catalog.text[], null)', permissions),
        format('%I.user_organizations', app_schema));
    return next 'member';

    for translated in
        select v.view_name, v.table_name, t.columns, t.selected
          from (values ('mirror'::name, 'pfa_mirror'::name), ('mirror_history', 'pfa_mirror_history'),
                       ('modification', 'pfa_modification')) v (view_name, table_name)
         cross join lateral translated_columns(app_schema, v.table_name) t
    loop
        perform create_row_function(translated.view_name, translated.columns, translated.selected,
                                    format('%I.%I', app_schema, translated.table_name));
        return next translated.view_name;
    end loop;
end
$$;

-- Makes the views and the functions under them. Called by attach() with the schema that holds the tables. Where an
-- earlier version made them with other columns, they are made anew.
create function create_application_views(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    view_name name;
begin
    begin
        perform create_row_functions(app_schema);
    exception when invalid_function_definition then
        perform drop_application_views();
        perform create_row_functions(app_schema);
    end;
    foreach view_name in array application_views() loop
        execute format('create or replace view pfa_sync_private.%1$I with (security_invoker = true) as '
                       'select * from pfa_sync_private.%2$I()', view_name, 'rows_of_' || view_name);
        execute format('alter view pfa_sync_private.%I owner to pfa_sync_owner', view_name);
        perform revoke_grants(format('pfa_sync_private.%I', view_name)::regclass);
        return next view_name;
    end loop;
end
$$;

create function application_views() returns name[]
    language sql immutable security invoker
    return '{organization,users,member,mirror,mirror_history,modification}'::name[];

-- Locks the views, all of them or none: a session that reads one and then another would deadlock with a session that
-- drops them one by one. What it has locked is given back before each further try.
create function lock_application_views() returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    give_up   timestamptz := clock_timestamp() + interval '10 s';
    view_name name;
begin
    loop
        begin
            foreach view_name in array application_views() loop
                continue when to_regclass(format('pfa_sync_private.%I', view_name)) is null;
                execute format('lock table pfa_sync_private.%I in access exclusive mode nowait', view_name);
            end loop;
            return;
        exception when lock_not_available then
            if clock_timestamp() > give_up then
                raise exception 'other sessions read the application''s tables all the time'
                    using errcode = 'serialization_failure', hint = 'Stop relays and services, then try again.';
            end if;
        end;
        perform pg_sleep(0.01);
    end loop;
end
$$;

-- Drops the views and the functions under them; their names.
create function drop_application_views() returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    view_name name;
begin
    perform lock_application_views();
    foreach view_name in array application_views() loop
        execute format('drop view if exists pfa_sync_private.%I', view_name);
        execute format('drop function if exists pfa_sync_private.%I()', 'rows_of_' || view_name);
        return next view_name;
    end loop;
end
$$;

-- Views that translate the names of the application's tables.

-- Makes the views. Called by attach() with the schema that holds the tables.
create function create_application_views(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    translated      record;
    translated_view text;
    columns         text;
begin
    execute format($view$
        create or replace view pfa_sync_private.organization with (security_invoker = true) as
        select id::text as organization_id, code::text,
               "isActive" and "serviceStatus" <> 'suspended' and "enableSync" as may_sync
          from %I.organizations $view$, app_schema);
    return next 'organization';

    execute format($view$
        create or replace view pfa_sync_private.users with (security_invoker = true) as
        select id::text as user_id, username::text, email::text, role::text,
               "isActive" and "serviceStatus" <> 'suspended' as active
          from %I.users $view$, app_schema);
    return next 'users';

    select string_agg(format('case when %1$I then %1$L end', p), ', ') into columns from unnest(all_permissions()) p;
    execute format($view$
        create or replace view pfa_sync_private.member with (security_invoker = true) as
        select "userId"::text as user_id, "organizationId"::text as organization_id,
               array_remove(array[%s], null) as permissions
          from %I.user_organizations $view$, columns, app_schema);
    return next 'member';

    for translated in values ('mirror', 'pfa_mirror'), ('mirror_history', 'pfa_mirror_history'),
                             ('modification', 'pfa_modification') loop
        execute format('create or replace view pfa_sync_private.%I with (security_invoker = true) as
                        select %s from %I.%I',
                       translated.column1, translated_columns(app_schema, translated.column2), app_schema,
                       translated.column2);
        return next translated.column1;
    end loop;
    foreach translated_view in array array['organization', 'users', 'member', 'mirror', 'mirror_history',
                                           'modification'] loop
        execute format('alter view pfa_sync_private.%I owner to pfa_sync_owner', translated_view);
    end loop;
end
$$;

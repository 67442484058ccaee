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
        select id as organization_id, code, name,
               "isActive" and "serviceStatus" <> 'suspended' and "enableSync" as may_sync
          from %I.organizations $view$, app_schema);
    return next 'organization';

    execute format($view$
        create or replace view pfa_sync_private.users with (security_invoker = true) as
        select id as user_id, username, email, role, "isActive" and "serviceStatus" <> 'suspended' as active
          from %I.users $view$, app_schema);
    return next 'users';

    select string_agg(format('case when %1$I then %1$L end', p), ', ') into columns from unnest(all_permissions()) p;
    execute format($view$
        create or replace view pfa_sync_private.member with (security_invoker = true) as
        select "userId" as user_id, "organizationId" as organization_id, role,
               array_remove(array[%s], null) as permissions
          from %I.user_organizations $view$, columns, app_schema);
    return next 'member';

    for translated in values ('mirror', 'pfa_mirror'), ('mirror_history', 'pfa_mirror_history') loop
        select string_agg(format('%I as %I', c.column_name, c.view_column), ', ') into columns
          from application_columns() c where c.table_name = translated.column2;
        execute format('create or replace view pfa_sync_private.%I with (security_invoker = true) as
                        select %s from %I.%I',
                       translated.column1, columns, app_schema, translated.column2);
        return next translated.column1;
    end loop;

    -- With the columns of phase 4, which attach() adds where they are missing.
    select string_agg(format('%I as %I', c.column_name, c.view_column), ', ') into columns
      from application_columns() c where c.table_name = 'pfa_modification';
    execute format($view$
        create or replace view pfa_sync_private.modification with (security_invoker = true) as
        select %s, "syncStatus" as sync_status, "syncedAt" as synced_at, "syncError" as sync_error,
               "pemsVersion" as pems_version
          from %I.pfa_modification $view$, columns, app_schema);
    return next 'modification';
    foreach translated_view in array array['organization', 'users', 'member', 'mirror', 'mirror_history',
                                           'modification'] loop
        execute format('alter view pfa_sync_private.%I owner to pfa_sync_owner', translated_view);
        perform revoke_grants(format('pfa_sync_private.%I', translated_view)::regclass);
    end loop;
end
$$;

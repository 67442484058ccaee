-- Makes the views. Called by attach() with the schema that holds the tables.
create function create_application_views(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
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

    execute format($view$
        create or replace view pfa_sync_private.member with (security_invoker = true) as
        select "userId" as user_id, "organizationId" as organization_id, role,
               array_remove(array[
                   case when "perm_Read" then 'perm_Read' end,
                   case when "perm_EditForecast" then 'perm_EditForecast' end,
                   case when "perm_EditActuals" then 'perm_EditActuals' end,
                   case when "perm_Delete" then 'perm_Delete' end,
                   case when "perm_Import" then 'perm_Import' end,
                   case when "perm_RefreshData" then 'perm_RefreshData' end,
                   case when "perm_Export" then 'perm_Export' end,
                   case when "perm_ViewFinancials" then 'perm_ViewFinancials' end,
                   case when "perm_SaveDraft" then 'perm_SaveDraft' end,
                   case when "perm_Sync" then 'perm_Sync' end,
                   case when "perm_ManageUsers" then 'perm_ManageUsers' end,
                   case when "perm_ManageSettings" then 'perm_ManageSettings' end,
                   case when "perm_ConfigureAlerts" then 'perm_ConfigureAlerts' end,
                   case when "perm_Impersonate" then 'perm_Impersonate' end,
                   case when "perm_UseAiFeatures" then 'perm_UseAiFeatures' end,
                   case when "perm_ViewAllOrgs" then 'perm_ViewAllOrgs' end], null) as permissions
          from %I.user_organizations $view$, app_schema);
    return next 'member';

    execute format($view$
        create or replace view pfa_sync_private.mirror with (security_invoker = true) as
        select id as mirror_id, "organizationId" as organization_id, "pfaId" as pfa_id, data, version,
               category, class, source, dor, "areaSilo" as area_silo, manufacturer, model,
               "monthlyRate" as monthly_rate, "purchasePrice" as purchase_price,
               "forecastStart" as forecast_start, "forecastEnd" as forecast_end,
               "originalStart" as original_start, "originalEnd" as original_end,
               "actualStart" as actual_start, "actualEnd" as actual_end,
               "isActualized" as is_actualized, "isDiscontinued" as is_discontinued,
               "isFundsTransferable" as is_funds_transferable, "hasPlan" as has_plan, "hasActuals" as has_actuals,
               "pemsVersion" as pems_version, "lastSyncedAt" as last_synced_at, "syncBatchId" as sync_batch_id,
               "createdAt" as created_at, "updatedAt" as updated_at
          from %I.pfa_mirror $view$, app_schema);
    return next 'mirror';

    execute format($view$
        create or replace view pfa_sync_private.mirror_history with (security_invoker = true) as
        select id as history_id, "mirrorId" as mirror_id, "organizationId" as organization_id, "pfaId" as pfa_id, data, version,
               category, class, source, dor, "areaSilo" as area_silo, manufacturer, model,
               "monthlyRate" as monthly_rate, "purchasePrice" as purchase_price,
               "forecastStart" as forecast_start, "forecastEnd" as forecast_end,
               "originalStart" as original_start, "originalEnd" as original_end,
               "actualStart" as actual_start, "actualEnd" as actual_end,
               "isActualized" as is_actualized, "isDiscontinued" as is_discontinued,
               "isFundsTransferable" as is_funds_transferable, "hasPlan" as has_plan, "hasActuals" as has_actuals,
               "pemsVersion" as pems_version, "lastSyncedAt" as last_synced_at, "syncBatchId" as sync_batch_id,
               "createdAt" as created_at, "updatedAt" as updated_at,
               "changedBy" as changed_by, "changeReason" as change_reason, "archivedAt" as archived_at
          from %I.pfa_mirror_history $view$, app_schema);
    return next 'mirror_history';

    execute format($view$
        create or replace view pfa_sync_private.modification with (security_invoker = true) as
        select id as modification_id, "mirrorId" as mirror_id, "organizationId" as organization_id, "userId" as user_id,
               delta, "sessionId" as session_id, "syncState" as sync_state, "syncStatus" as sync_status,
               "baseVersion" as base_version, "changeReason" as change_reason, "committedAt" as committed_at,
               "syncedAt" as synced_at, "syncError" as sync_error, "pemsVersion" as pems_version,
               "createdAt" as created_at, "updatedAt" as updated_at
          from %I.pfa_modification $view$, app_schema);
    return next 'modification';
end
$$;

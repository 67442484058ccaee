-- The application's own tables: the only file that knows their quoted names. attach() reads what is listed here,
-- makes views that translate the names, and creates the triggers; everything else works on the views.

-- Every table and column this extension relies on.
create function application_columns() returns table (table_name name, column_name name, type text)
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    with listed (table_name, columns) as (values
        ('organizations', 'id text, code text, name text, isActive boolean, serviceStatus text, enableSync boolean'),
        ('users', 'id text, username text, email text, role text, isActive boolean, serviceStatus text'),
        ('user_organizations', 'userId text, organizationId text, role text, perm_Read boolean, perm_EditForecast boolean, '
            'perm_EditActuals boolean, perm_Delete boolean, perm_Import boolean, perm_RefreshData boolean, perm_Export boolean, '
            'perm_ViewFinancials boolean, perm_SaveDraft boolean, perm_Sync boolean, perm_ManageUsers boolean, '
            'perm_ManageSettings boolean, perm_ConfigureAlerts boolean, perm_Impersonate boolean, perm_UseAiFeatures boolean, '
            'perm_ViewAllOrgs boolean'),
        ('pfa_mirror_history', 'mirrorId text, changedBy text, changeReason text, archivedAt timestamp'),
        ('pfa_modification', 'id text, mirrorId text, organizationId text, userId text, delta jsonb, sessionId text, syncState text, '
            'baseVersion integer, changeReason text, committedAt timestamp, createdAt timestamp, updatedAt timestamp')),
    shared (columns) as (values
        ('id text, organizationId text, pfaId text, data jsonb, version integer, category text, class text, source text, dor text, '
         'areaSilo text, manufacturer text, model text, monthlyRate double, purchasePrice double, forecastStart timestamp, '
         'forecastEnd timestamp, originalStart timestamp, originalEnd timestamp, actualStart timestamp, actualEnd timestamp, '
         'isActualized boolean, isDiscontinued boolean, isFundsTransferable boolean, hasPlan boolean, hasActuals boolean, '
         'pemsVersion text, lastSyncedAt timestamp, syncBatchId text, createdAt timestamp, updatedAt timestamp')),
    whole as (
        select table_name, columns from listed
        union all
        select t, columns from shared, unnest(array['pfa_mirror', 'pfa_mirror_history']) t)
    select w.table_name, split_part(c, ' ', 1), split_part(c, ' ', 2)
      from whole w, regexp_split_to_table(w.columns, ', ') c
$$;

-- What the application's schema lacks of it, in words; no row = fit.
create function application_faults(app_schema name) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    select distinct case
             when t.oid is null then format('table %I.%I is missing', app_schema, c.table_name)
             when a.attname is null then format('column %I.%I.%I is missing', app_schema, c.table_name, c.column_name)
             else format('column %I.%I.%I is %s, not %s', app_schema, c.table_name, c.column_name, format_type(a.atttypid, null), c.type)
           end
      from application_columns() c
      left join pg_namespace n on n.nspname = app_schema
      left join pg_class t on t.relnamespace = n.oid and t.relname = c.table_name and t.relkind in ('r', 'p')
      left join pg_attribute a on a.attrelid = t.oid and a.attname = c.column_name and not a.attisdropped
     where a.attname is null or not format_type(a.atttypid, null) like c.type || '%'
     order by 1
$$;

-- Adds the four phase-4 columns of pfa_modification where they are missing, and fills what is empty from syncState.
-- A row left 'syncing' by an earlier program was never confirmed: it counts as committed.
create function add_application_columns(app_schema name) returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    relation regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted   record;
    filled   bigint;
begin
    for wanted in values ('syncStatus', 'text'), ('syncedAt', 'timestamp(3)'), ('syncError', 'text'), ('pemsVersion', 'integer') loop
        continue when exists (select from pg_attribute where attrelid = relation and attname = wanted.column1 and not attisdropped);
        execute format('alter table %s add column %I %s', relation, wanted.column1, wanted.column2);
        return next format('column %I added to %s', wanted.column1, relation);
    end loop;
    execute format($fill$
        update %s set "syncState" = case "syncState" when 'syncing' then 'committed' else "syncState" end,
                      "syncStatus" = case "syncState" when 'syncing' then 'committed' when 'sync_error' then 'failed' else "syncState" end
         where "syncStatus" is null or ("syncStatus" = 'draft' and "syncState" <> 'draft') $fill$, relation);
    get diagnostics filled = row_count;
    execute format($default$ alter table %s alter column "syncStatus" set default 'draft' $default$, relation);
    if filled > 0 then
        return next format('"syncStatus" filled in %s rows of %s', filled, relation);
    end if;
end
$$;

-- Makes the views. Called by attach() with the schema that holds the tables.
create function create_application_views(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    execute format($view$
        create or replace view pfa_sync.organization with (security_invoker = true) as
        select id as organization_id, code, name,
               "isActive" and "serviceStatus" <> 'suspended' and "enableSync" as may_sync
          from %I.organizations $view$, app_schema);
    return next 'organization';

    execute format($view$
        create or replace view pfa_sync.users with (security_invoker = true) as
        select id as user_id, username, email, role, "isActive" and "serviceStatus" <> 'suspended' as active
          from %I.users $view$, app_schema);
    return next 'users';

    execute format($view$
        create or replace view pfa_sync.member with (security_invoker = true) as
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
        create or replace view pfa_sync.mirror with (security_invoker = true) as
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
        create or replace view pfa_sync.mirror_history with (security_invoker = true) as
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
        create or replace view pfa_sync.modification with (security_invoker = true) as
        select id as modification_id, "mirrorId" as mirror_id, "organizationId" as organization_id, "userId" as user_id,
               delta, "sessionId" as session_id, "syncState" as sync_state, "syncStatus" as sync_status,
               "baseVersion" as base_version, "changeReason" as change_reason, "committedAt" as committed_at,
               "syncedAt" as synced_at, "syncError" as sync_error, "pemsVersion" as pems_version,
               "createdAt" as created_at, "updatedAt" as updated_at
          from %I.pfa_modification $view$, app_schema);
    return next 'modification';
end
$$;

-- The typed copies of a record's fields, as the mirror has them beside data.
create type mirror_columns as (
    category text, class text, source text, dor text, area_silo text, manufacturer text, model text,
    monthly_rate double precision, purchase_price double precision,
    forecast_start timestamp, forecast_end timestamp, original_start timestamp, original_end timestamp,
    actual_start timestamp, actual_end timestamp,
    is_actualized boolean, is_discontinued boolean, is_funds_transferable boolean, has_plan boolean, has_actuals boolean
);

-- The typed columns of a record; null where its value can't be read as the type.
create function typed_columns(record jsonb) returns mirror_columns
    language sql stable security invoker set search_path = pg_catalog, pfa_sync, pg_temp set timezone = 'UTC'
as $$
    select row(
        data->>'category', data->>'class', data->>'source', data->>'dor', data->>'areaSilo', data->>'manufacturer', data->>'model',
        (data->>'monthlyRate')::double precision, (data->>'purchasePrice')::double precision,
        (data->>'forecastStart')::timestamptz::timestamp(3), (data->>'forecastEnd')::timestamptz::timestamp(3),
        (data->>'originalStart')::timestamptz::timestamp(3), (data->>'originalEnd')::timestamptz::timestamp(3),
        (data->>'actualStart')::timestamptz::timestamp(3), (data->>'actualEnd')::timestamptz::timestamp(3),
        (data->>'isActualized')::boolean, (data->>'isDiscontinued')::boolean, (data->>'isFundsTransferable')::boolean,
        (data->>'hasPlan')::boolean, (data->>'hasActuals')::boolean)::mirror_columns
      from typed(record) t
$$;

-- Trigger, before a row of pfa_modification changes state: syncStatus always tells the same story as syncState.
create function modification_stamped() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    new."syncStatus" := case new."syncState" when 'committed' then 'queued' when 'sync_error' then 'failed' else new."syncState" end;
    if new."syncState" = 'committed' then
        new."committedAt" := coalesce(new."committedAt", now() at time zone 'utc');
    elsif new."syncState" = 'draft' then
        new."committedAt" := null;
        new."syncError" := null;
    end if;
    return new;
end
$$;

-- Trigger, before the content of a committed modification would change: what is queued is what was judged.
create function modification_locked() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    raise exception 'modification % is committed and can''t be edited', old.id
        using errcode = 'PF003',
              hint = 'Set it back to draft first ("syncState" = ''draft''), as long as it has not been sent; or commit a further modification.';
end
$$;

-- Triggers, after each statement: rows that came into committed are judged and queued, rows that left it are withdrawn.
create function modifications_inserted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    perform commit_modifications(array(select id from new_rows where "syncState" = 'committed'));
    return null;
end
$$;

create function modifications_updated() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    came     text[];
    went     text[];
    given_up text[];
begin
    select array_agg(n.id) filter (where n."syncState" = 'committed'),
           array_agg(o.id) filter (where o."syncState" in ('committed', 'syncing', 'conflict')
                                     and coalesce(n."syncState", '') not in ('committed', 'syncing', 'conflict')),
           array_agg(o.id) filter (where o."syncState" = 'sync_error' and coalesce(n."syncState", '') <> 'committed')
      into came, went, given_up
      from new_rows n
      full join old_rows o on o.id = n.id
     where n."syncState" is distinct from o."syncState";
    perform withdraw_modifications(went);
    perform close_dead_letters(given_up, 'withdrawn', null, null);
    perform commit_modifications(came);
    return null;
end
$$;

create function modifications_deleted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    perform forget_modifications(array(select id from old_rows where "syncState" in ('committed', 'syncing', 'conflict')));
    perform close_dead_letters(array(select id from old_rows where "syncState" = 'sync_error'), 'withdrawn', null, null);
    return null;
end
$$;

-- Creates the triggers that are missing.
create function create_application_triggers(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    relation regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted   record;
begin
    for wanted in values
        ('pfa_sync_stamped_on_insert', 'before insert', 'for each row when (new."syncState" <> ''draft'')', 'modification_stamped'),
        ('pfa_sync_stamped', 'before update', 'for each row when (new."syncState" is distinct from old."syncState")', 'modification_stamped'),
        ('pfa_sync_locked', 'before update', 'for each row when (old."syncState" in (''committed'', ''syncing'', ''conflict'') and new."syncState" <> ''draft''
            and (new.id, new."mirrorId", new."organizationId", new."userId", new.delta)
                is distinct from (old.id, old."mirrorId", old."organizationId", old."userId", old.delta))', 'modification_locked'),
        ('pfa_sync_inserted', 'after insert', 'referencing new table as new_rows for each statement', 'modifications_inserted'),
        ('pfa_sync_updated', 'after update', 'referencing old table as old_rows new table as new_rows for each statement', 'modifications_updated'),
        ('pfa_sync_deleted', 'after delete', 'referencing old table as old_rows for each statement', 'modifications_deleted')
    loop
        continue when exists (select from pg_trigger where tgrelid = relation and tgname = wanted.column1);
        execute format('create trigger %I %s on %s %s execute function pfa_sync.%I()',
                       wanted.column1, wanted.column2, relation, wanted.column3, wanted.column4);
        return next wanted.column1;
    end loop;
end
$$;

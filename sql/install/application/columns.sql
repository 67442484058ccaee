-- The application's own tables: only this folder knows their quoted names. attach() compares them with what is listed
-- here, makes views that translate the names, and creates the triggers; everything else works on the views.

-- Every permission that the application's table user_organizations has a column for; an administrator has them all.
create function all_permissions() returns text[]
    language sql immutable security invoker
    return '{perm_Read,perm_EditForecast,perm_EditActuals,perm_Delete,perm_Import,perm_RefreshData,perm_Export,'
           'perm_ViewFinancials,perm_SaveDraft,perm_Sync,perm_ManageUsers,perm_ManageSettings,perm_ConfigureAlerts,'
           'perm_Impersonate,perm_UseAiFeatures,perm_ViewAllOrgs}'::text[];

-- syncStatus as it follows from syncState.
create function sync_status_of(sync_state text) returns text
    language sql immutable security invoker
    return case sync_state when 'committed' then 'queued' when 'sync_error' then 'failed' else sync_state end;

-- The typed copies of a record's fields that the mirror has beside data: names and types. The names are those of the
-- fields.
create function typed_field_columns() returns text
    language sql immutable security invoker
    return 'category text, class text, source text, dor text, areaSilo text, manufacturer text, model text, '
           'monthlyRate double precision, purchasePrice double precision, forecastStart timestamp, '
           'forecastEnd timestamp, originalStart timestamp, originalEnd timestamp, actualStart timestamp, '
           'actualEnd timestamp, isActualized boolean, isDiscontinued boolean, isFundsTransferable boolean, '
           'hasPlan boolean, hasActuals boolean';

-- Every table and column that this extension relies on, with the column's name in our view of the table. A column is
-- listed as: name, type, and the name in the view where that is not the name in snake_case.
create function application_columns() returns table (table_name name, column_name name, type text, view_column name)
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with record (columns) as (values
        ('organizationId text, pfaId text, data jsonb, version integer, pemsVersion text, lastSyncedAt timestamp, '
         'syncBatchId text, createdAt timestamp, updatedAt timestamp, '
         || replace(typed_field_columns(), ' precision', ''))),
    listed (table_name, columns) as (
        values
        ('organizations', 'id text, code text, name text, isActive boolean, serviceStatus text, enableSync boolean'),
        ('users', 'id text, username text, email text, role text, isActive boolean, serviceStatus text'),
        ('user_organizations', 'userId text, organizationId text, role text'),
        ('pfa_modification',
         'id text modification_id, mirrorId text, organizationId text, userId text, delta jsonb, sessionId text, '
         'syncState text, baseVersion integer, changeReason text, committedAt timestamp, createdAt timestamp, '
         'updatedAt timestamp')
        union all
        select 'user_organizations', p || ' boolean' from unnest(all_permissions()) p
        union all
        select 'pfa_mirror', 'id text mirror_id, ' || columns from record
        union all
        select 'pfa_mirror_history',
               'id text history_id, mirrorId text, changedBy text, changeReason text, archivedAt timestamp, ' || columns
          from record)
    select l.table_name, split_part(c, ' ', 1), split_part(c, ' ', 2),
           coalesce(nullif(split_part(c, ' ', 3), ''),
                    lower(regexp_replace(split_part(c, ' ', 1), '([A-Z])', '_\1', 'g')))
      from listed l, regexp_split_to_table(l.columns, ', ') c
$$;

-- What the application's schema lacks of it, in words; no row = it fits.
create function application_faults(app_schema name) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select distinct case
             when t.oid is null then format('table %I.%I is missing', app_schema, c.table_name)
             when a.attname is null
                 then format('column %I.%I.%I is missing', app_schema, c.table_name, c.column_name)
             else format('column %I.%I.%I is %s, not %s', app_schema, c.table_name, c.column_name,
                         format_type(a.atttypid, null), c.type)
           end
      from application_columns() c
      left join pg_namespace n on n.nspname = app_schema
      left join pg_class t on t.relnamespace = n.oid and t.relname = c.table_name and t.relkind in ('r', 'p')
      left join pg_attribute a on a.attrelid = t.oid and a.attname = c.column_name and not a.attisdropped
     where a.attname is null or not format_type(a.atttypid, null) like c.type || '%'
     union all
    -- A history row is copied from the mirror by a statement that runs as the history's owner.
    select format('%I.pfa_mirror and %I.pfa_mirror_history have different owners', app_schema, app_schema)
      from pg_class m join pg_class h on h.relnamespace = m.relnamespace and h.relname = 'pfa_mirror_history'
     where m.relnamespace = (select oid from pg_namespace where nspname = app_schema) and m.relname = 'pfa_mirror'
       and m.relowner <> h.relowner
     order by 1
$$;

-- Adds the four phase-4 columns of pfa_modification where they are missing, and fills what is empty from syncState.
-- A row that an earlier program left 'syncing' was never confirmed: it counts as committed.
create function add_application_columns(app_schema name) returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    relation regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted   record;
    filled   bigint;
begin
    for wanted in values ('syncStatus', 'text'), ('syncedAt', 'timestamp(3)'), ('syncError', 'text'),
                         ('pemsVersion', 'integer') loop
        continue when exists (select from pg_attribute
                               where attrelid = relation and attname = wanted.column1 and not attisdropped);
        execute format('alter table %s add column %I %s', relation, wanted.column1, wanted.column2);
        return next format('column %I added to %s', wanted.column1, relation);
    end loop;
    execute format($fill$
        update %s
           set "syncState" = case "syncState" when 'syncing' then 'committed' else "syncState" end,
               "syncStatus" = case when "syncState" in ('committed', 'syncing') then 'committed'
                                   else sync_status_of("syncState") end
         where "syncStatus" is null or ("syncStatus" = 'draft' and "syncState" <> 'draft') $fill$, relation);
    get diagnostics filled = row_count;
    execute format($default$ alter table %s alter column "syncStatus" set default 'draft' $default$, relation);
    if filled > 0 then
        return next format('"syncStatus" filled in %s rows of %s', filled, relation);
    end if;
end
$$;

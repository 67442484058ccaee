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
    language c immutable strict security invoker parallel safe as 'MODULE_PATHNAME', 'sync_status_of_wrapper';

-- The typed copies of a record's fields that the mirror has beside data: names and types. The names are those of the
-- fields.
create function typed_field_columns() returns text
    language sql immutable security invoker
    return 'category text, class text, source text, dor text, areaSilo text, manufacturer text, model text, '
           'monthlyRate double precision, purchasePrice double precision, forecastStart timestamp, '
           'forecastEnd timestamp, originalStart timestamp, originalEnd timestamp, actualStart timestamp, '
           'actualEnd timestamp, isActualized boolean, isDiscontinued boolean, isFundsTransferable boolean, '
           'hasPlan boolean, hasActuals boolean';

-- Every table and column that this extension reads or writes, with the column's name in our view of the table. A column
-- is listed as: name, type, and the name in the view where that is not the name in snake_case. optional: attach() adds
-- the column where it is missing.
create function application_columns()
    returns table (table_name name, column_name name, type text, view_column name, optional boolean)
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with record (columns) as (values
        ('organizationId text, pfaId text, data jsonb, version integer, pemsVersion text, syncBatchId text, '
         || replace(typed_field_columns(), ' precision', ''))),
    listed (table_name, optional, columns) as (
        values
        ('organizations', false, 'id text, code text, isActive boolean, serviceStatus text, enableSync boolean'),
        ('users', false, 'id text, username text, email text, role text, isActive boolean, serviceStatus text'),
        ('user_organizations', false, 'userId text, organizationId text'),
        ('pfa_modification', false,
         'id text modification_id, mirrorId text, organizationId text, userId text, delta jsonb, sessionId text, '
         'syncState text, baseVersion integer, changeReason text, committedAt timestamp, createdAt timestamp, '
         'updatedAt timestamp'),
        ('pfa_modification', true, 'syncStatus text, syncedAt timestamp, syncError text, pemsVersion integer')
        union all
        select 'user_organizations', false, p || ' boolean' from unnest(all_permissions()) p
        union all
        select 'pfa_mirror', false,
               'id text mirror_id, lastSyncedAt timestamp, createdAt timestamp, updatedAt timestamp, ' || columns
          from record
        union all
        select 'pfa_mirror_history', false,
               'id text history_id, mirrorId text, changedBy text, changeReason text, archivedAt timestamp, ' || columns
          from record)
    select l.table_name, split_part(c, ' ', 1), split_part(c, ' ', 2),
           coalesce(nullif(split_part(c, ' ', 3), ''),
                    lower(regexp_replace(split_part(c, ' ', 1), '([A-Z])', '_' || chr(92) || '1', 'g'))),
           l.optional
      from listed l, regexp_split_to_table(l.columns, ', ') c
$$;

-- The types of PostgreSQL that serve as a type of the list, without precision or length. What only looks alike does
-- not: timestamptz shifts every value by the session's time zone, char pads with blanks, json has no operators.
create function fitting_types(listed text) returns text[]
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case listed when 'text' then array['text', 'character varying']
                       when 'timestamp' then array['timestamp without time zone']
                       when 'double' then array['double precision', 'real', 'numeric']
                       when 'integer' then array['integer', 'bigint']
                       else array[listed] end
$$;

-- The columns of a table for our view of it: names and types in the view, and the expressions that it selects, in the
-- same order. A column of another fitting type is selected as the first of them.
create function translated_columns(app_schema name, table_name name, out columns text, out selected text)
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select string_agg(format('%I %s', c.view_column, f.type), ', ' order by c.optional, c.view_column),
           string_agg(format('%I', c.column_name)
                      || case when format_type(a.atttypid, null) = f.type then ''
                              when f.type = 'text' then '::pg_catalog.text'
                              else '::' || f.type end, ', ' order by c.optional, c.view_column)
      from application_columns() c
      join pg_namespace n on n.nspname = app_schema
      join pg_class t on t.relnamespace = n.oid and t.relname = c.table_name and t.relkind in ('r', 'p')
      join pg_attribute a on a.attrelid = t.oid and a.attname = c.column_name and not a.attisdropped
     cross join lateral (select (fitting_types(c.type))[1]) f (type)
     where c.table_name = translated_columns.table_name
$$;

-- What the application's schema lacks of it, in words; no row = it fits. attached: the optional columns have to be
-- there.
create function application_faults(app_schema name, attached boolean default false) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with listed as materialized (
        select c.*, t.oid as relation, a.attname is not null as present, a.attgenerated <> '' as generated,
               format_type(a.atttypid, null) as found, fitting_types(c.type) as fitting, w.written,
               w.written and a.attnotnull and c.column_name <> all (
                   '{id,organizationId,mirrorId,userId,pfaId,data,delta,version,baseVersion,syncState,syncStatus,'
                   'createdAt,updatedAt,archivedAt,lastSyncedAt}'::name[])
                   and not (a.atthasdef and c.column_name = 'syncBatchId') as required,
               -- Ids of ours are UUIDs; the longest state is sync_error.
               w.written and a.atttypid = 'varchar'::regtype and a.atttypmod > 0
                   and a.atttypmod - 4 < case when c.column_name = 'id' then 36
                                              when c.column_name in ('syncState', 'syncStatus') then 10
                                              else 0 end as short
          from application_columns() c
         cross join lateral (
             select c.table_name in ('pfa_mirror', 'pfa_mirror_history', 'pfa_modification')) w (written)
          left join pg_namespace n on n.nspname = app_schema
          left join pg_class t on t.relnamespace = n.oid and t.relname = c.table_name and t.relkind in ('r', 'p')
          left join pg_attribute a on a.attrelid = t.oid and a.attname = c.column_name and not a.attisdropped)
    select distinct case
             when l.relation is null then format('table %I.%I is missing', app_schema, l.table_name)
             when not l.present then format('column %I.%I.%I is missing', app_schema, l.table_name, l.column_name)
             when l.found <> all (l.fitting) then
                 format('column %I.%I.%I is %s, not %s', app_schema, l.table_name, l.column_name, l.found,
                        array_to_string(l.fitting, ' or '))
             else format('column %I.%I.%I %s', app_schema, l.table_name, l.column_name,
                         case when l.generated then 'is generated and can''t be written'
                              when l.short then 'is too short'
                              else 'is not null, and a record may have no value for it' end)
           end
      from listed l
     where l.relation is null or (not l.present and (attached or not l.optional)) or l.found <> all (l.fitting)
        or (l.written and l.generated) or l.required or l.short
     union all
    -- A row of ours would be refused.
    select format('column %I.%I.%I is not null and has no default, and pfa_sync doesn''t write it', app_schema,
                  t.relname, a.attname)
      from pg_class t
      join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
     where t.relnamespace = (select oid from pg_namespace where nspname = app_schema)
       and t.relname in ('pfa_mirror', 'pfa_mirror_history', 'pfa_modification') and t.relkind in ('r', 'p')
       and a.attnotnull and not a.atthasdef and a.attidentity = ''
       and not exists (select from listed l where l.relation = t.oid and l.column_name = a.attname)
     order by 1
$$;

-- A history row is copied from the mirror by a statement that runs as the history's owner.
create function owner_faults(app_schema name) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select format('%I.pfa_mirror and %I.pfa_mirror_history have different owners', app_schema, app_schema)
      from pg_class m join pg_class h on h.relnamespace = m.relnamespace and h.relname = 'pfa_mirror_history'
     where m.relnamespace = (select oid from pg_namespace where nspname = app_schema) and m.relname = 'pfa_mirror'
       and m.relowner <> h.relowner
$$;

-- Adds the four phase-4 columns of pfa_modification where they are missing.
create function add_application_columns(app_schema name) returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    relation regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted   record;
begin
    for wanted in values ('syncStatus', 'text'), ('syncedAt', 'timestamp(3)'), ('syncError', 'text'),
                         ('pemsVersion', 'integer') loop
        continue when exists (select from pg_attribute
                               where attrelid = relation and attname = wanted.column1 and not attisdropped);
        execute format('alter table %s add column %I %s', relation, wanted.column1, wanted.column2);
        execute format('comment on column %s.%I is %L', relation, wanted.column1, added_column_comment());
        return next format('column %I added to %s', wanted.column1, relation);
    end loop;
    execute format($default$ alter table %s alter column "syncStatus" set default 'draft' $default$, relation);
end
$$;

-- By this comment detach() knows a column that attach() added; a dump keeps it.
create function added_column_comment() returns text
    language sql immutable security invoker
    return 'added by pfa_sync.attach(); detach(drop_columns => true) drops it';

-- Drops the columns that attach() added to the table that was bound, or that has its name now; what was dropped.
create function drop_added_columns() returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    added record;
begin
    for added in
        select a.attrelid::regclass as relation, a.attname
          from pg_attribute a
          join pg_class c on c.oid = a.attrelid
         where a.attname in (select c.column_name from application_columns() c where c.optional)
           and not a.attisdropped and c.relkind in ('r', 'p')
           and col_description(a.attrelid, a.attnum) = added_column_comment()
           and (c.oid in (select b.relation from bound_table b)
                or c.oid in (select to_regclass(format('%I.pfa_modification', i.app_schema)) from installation i))
         order by a.attrelid, a.attnum
    loop
        execute format('alter table %s drop column %I', added.relation, added.attname);
        return next format('column %I of %s', added.attname, added.relation);
    end loop;
end
$$;

-- Writes to the application's tables. Each runs as the owner of its table, with the one privilege that a trigger, default
-- or constraint of that table cannot use: those are code of the table's owner, and must not run with the rights of the
-- extension.

-- Executes a statement with one parameter as the owner of a relation, as a security-restricted operation; the number of
-- rows that it processed.
create function run_as_table_owner(relation regclass, statement text, argument jsonb) returns bigint
    language c volatile strict security invoker as 'MODULE_PATHNAME', 'run_as_table_owner_wrapper';
comment on function run_as_table_owner(regclass, text, jsonb) is
    'Executes a statement as the owner of a relation; $1 is the argument.';

create table application_statement (
    name      text not null,
    relation  text not null,
    statement text not null,
    constraint application_statement_pkey primary key (name)
);
comment on table application_statement is
    'The statements by which the extension writes to the application''s tables, as attach() made them of their columns.';
select pg_catalog.pg_extension_config_dump('application_statement', '');

-- Makes the statements. Called by attach() with the schema that holds the tables.
create function create_application_statements(app_schema name) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    mirror       text := format('%I.pfa_mirror', app_schema);
    history      text := format('%I.pfa_mirror_history', app_schema);
    modification text := format('%I.pfa_modification', app_schema);
    names        text := (select string_agg(format('%I', split_part(c, ' ', 1)), ', ')
                            from regexp_split_to_table(typed_field_columns(), ', ') c);
    definitions  text := (select string_agg(format('%I %s', split_part(c, ' ', 1), substr(c, strpos(c, ' ') + 1)), ', ')
                            from regexp_split_to_table(typed_field_columns(), ', ') c);
    values       text := (select string_agg(format('t.%I', split_part(c, ' ', 1)), ', ')
                            from regexp_split_to_table(typed_field_columns(), ', ') c);
    copied       text := (select string_agg(format('%I', c.column_name), ', ')
                            from application_columns() c
                           where c.table_name = 'pfa_mirror' and c.column_name not in ('id', 'createdAt'));
begin
    delete from application_statement;
    insert into application_statement (name, relation, statement) values
        -- [{id, organization, pfaId, data, typed, stamp}]
        ('insert_mirror', mirror, format($insert$
            insert into %s (id, "organizationId", "pfaId", data, version, "pemsVersion", "lastSyncedAt", "createdAt",
                            "updatedAt", %s)
            select r.id, r.organization, r."pfaId", r.data, 1, r.stamp, n.now, n.now, n.now, %s
              from jsonb_to_recordset($1) r (id text, organization text, "pfaId" text, data jsonb, typed jsonb, stamp text)
             cross join lateral jsonb_to_record(r.typed) t (%s)
             cross join (select now() at time zone 'utc') n (now)
            on conflict do nothing $insert$, mirror, names, values, definitions)),
        -- [{id, data, typed, stamp, step}]
        ('change_mirror', mirror, format($update$
            update %s m
               set data = r.data, version = m.version + r.step, "pemsVersion" = coalesce(r.stamp, m."pemsVersion"),
                   "lastSyncedAt" = now() at time zone 'utc', "updatedAt" = now() at time zone 'utc',
                   (%s) = (select t.* from jsonb_to_record(r.typed) t (%s))
              from jsonb_to_recordset($1) r (id text, data jsonb, typed jsonb, stamp text, step int)
             where m.id = r.id $update$, mirror, names, definitions)),
        -- [{id, changedBy, reason}]
        ('insert_history', history, format($insert$
            insert into %1$s (id, "mirrorId", "changedBy", "changeReason", %2$s)
            select gen_random_uuid()::text, m.id, r."changedBy", r.reason, %3$s
              from jsonb_to_recordset($1) r (id text, "changedBy" text, reason text)
              join %4$s m on m.id = r.id $insert$, history, copied,
            (select string_agg('m.' || c, ', ') from regexp_split_to_table(copied, ', ') c), mirror)),
        -- {id, mirrorId, organizationId, userId, delta, sessionId, baseVersion, changeReason}
        ('insert_draft', modification, format($insert$
            insert into %s (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "syncState", "baseVersion",
                            "changeReason", "updatedAt")
            select r.id, r."mirrorId", r."organizationId", r."userId", r.delta, r."sessionId", 'draft', r."baseVersion",
                   r."changeReason", now() at time zone 'utc'
              from jsonb_to_record($1) r (id text, "mirrorId" text, "organizationId" text, "userId" text, delta jsonb,
                                          "sessionId" text, "baseVersion" int, "changeReason" text) $insert$, modification)),
        -- [{id, and the columns to set}]
        ('change_modification', modification, format($update$
            update %s m
               set "syncState" = case when r ? 'syncState' then r->>'syncState' else m."syncState" end,
                   "syncStatus" = case when r ? 'syncStatus' then r->>'syncStatus' else m."syncStatus" end,
                   "syncError" = case when r ? 'syncError' then r->>'syncError' else m."syncError" end,
                   "syncedAt" = case when r ? 'syncedAt' then (r->>'syncedAt')::timestamp else m."syncedAt" end,
                   "pemsVersion" = case when r ? 'pemsVersion' then (r->>'pemsVersion')::int else m."pemsVersion" end,
                   "changeReason" = case when r ? 'changeReason' then r->>'changeReason' else m."changeReason" end,
                   "baseVersion" = case when r ? 'baseVersion' then (r->>'baseVersion')::int else m."baseVersion" end,
                   delta = case when r ? 'delta' then r->'delta' else m.delta end,
                   "updatedAt" = now() at time zone 'utc'
              from jsonb_array_elements($1) r
             where m.id = r->>'id' $update$, modification));
end
$$;

-- Executes one of the statements; the number of rows that it wrote.
create function write_application(name text, argument jsonb) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
declare
    chosen application_statement;
begin
    select * into chosen from application_statement s where s.name = write_application.name;
    return run_as_table_owner(chosen.relation::regclass, chosen.statement, argument);
end
$$;

-- Sets columns of modifications: [{id, syncState, syncError, …}]; null = nothing to do. The trigger modification_stamped
-- derives syncStatus from syncState.
create function change_modifications(changes jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if changes is not null then
        perform write_application('change_modification', changes);
    end if;
end
$$;

-- Sets the state of modifications that are in another one.
create function set_sync_state(modification_ids text[], sync_state text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', m.modification_id, 'syncState', set_sync_state.sync_state))
          from modification m
         where m.modification_id = any (modification_ids) and m.sync_state <> set_sync_state.sync_state));
end
$$;

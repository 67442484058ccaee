-- Writes to the application's tables. A trigger, default or constraint of a table is code of the table's owner, which
-- must not run with the rights of the extension: each write runs as the owner of its table, in a function that
-- attach() makes of the table's columns and that does nothing else.

-- Makes the owner of a relation the current user, in a security-restricted operation, until the calling SECURITY
-- DEFINER function returns.
create function become_table_owner(relation regclass) returns void
    language c volatile strict security invoker as 'MODULE_PATHNAME', 'become_table_owner_wrapper';
comment on function become_table_owner(regclass) is
    'Makes the owner of a relation the current user until the calling SECURITY DEFINER function returns.';

-- Makes one of the functions: it executes a statement on a table as the table's owner, and returns the number of rows
-- that it wrote. The statement names its parameters, by default one, argument.
create function create_write_function(name text, relation text, statement text,
                                      parameters text default 'argument jsonb')
    returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    execute format($function$
        create or replace function pfa_sync_private.%1$I(%4$s) returns bigint
            language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
            set jit = off set enable_seqscan = off
        as $body$
        declare
            written bigint;
        begin
            perform become_table_owner(%2$L);
            %3$s;
            get diagnostics written = row_count;
            return written;
        end
        $body$;
        alter function pfa_sync_private.%1$I(%4$s) owner to pfa_sync_owner $function$, name, relation, statement,
        parameters);
    perform revoke_grants(p.oid::regprocedure)
       from pg_proc p where p.pronamespace = 'pfa_sync_private'::regnamespace and p.proname = name;
end
$$;

-- Makes the functions. Called by attach() with the schema that holds the tables; the names of what was made.
create function create_write_functions(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    mirror       text := format('%I.pfa_mirror', app_schema);
    history      text := format('%I.pfa_mirror_history', app_schema);
    modification text := format('%I.pfa_modification', app_schema);
    names        text;
    selected     text;
    copied       text[];
begin
    select string_agg(format('%I', f.name), ', '), string_agg(format('(r.typed->>%L)::%s', f.name, f.type), ', ')
      into names, selected
      from regexp_split_to_table(typed_field_columns(), ', ') c
     cross join lateral (select split_part(c, ' ', 1), substr(c, strpos(c, ' ') + 1)) f (name, type);
    copied := array(select format('%I', c.column_name)
                      from application_columns() c
                      join application_columns() h on h.table_name = 'pfa_mirror_history'
                                                  and h.column_name = c.column_name
                     where c.table_name = 'pfa_mirror' and c.column_name <> 'id');

    -- [{id, organization, pfaId, data, typed, stamp}]
    perform create_write_function('write_new_mirrors', mirror, format($insert$
        insert into %1$s (id, "organizationId", "pfaId", data, version, "pemsVersion", "lastSyncedAt", "createdAt",
                          "updatedAt", %2$s)
        select r.id, r.organization, r."pfaId", r.data, 1, r.stamp, n.now, n.now, n.now, %3$s
          from jsonb_to_recordset(argument) r (id text, organization text, "pfaId" text, data jsonb, typed jsonb,
                                               stamp text)
         cross join (select now() at time zone 'utc') n (now)
        on conflict do nothing $insert$, mirror, names, selected));
    return next 'write_new_mirrors';

    -- Arrays in step: a document of whole records would be put together and taken apart again for nothing.
    perform create_write_function('write_mirrors', mirror, format($update$
        update %1$s m
           set data = r.data, version = m.version + r.step, "pemsVersion" = coalesce(r.stamp, m."pemsVersion"),
               "lastSyncedAt" = now() at time zone 'utc', "updatedAt" = now() at time zone 'utc',
               (%2$s) = row(%3$s)
          from unnest(ids, records, typed_records, stamps, steps) r (id, data, typed, stamp, step)
         where m.id = r.id $update$, mirror, names, selected),
        'ids text[], records jsonb[], typed_records jsonb[], stamps text[], steps int[]');
    return next 'write_mirrors';

    perform create_write_function('write_history', history, format($insert$
        insert into %1$s (id, "mirrorId", "changedBy", "changeReason", "archivedAt", %2$s)
        select gen_random_uuid()::text, m.id, r.author, r.reason, now() at time zone 'utc', %3$s
          from unnest(ids, authors, reasons) r (id, author, reason)
          join %4$s m on m.id = r.id $insert$,
        history, array_to_string(copied, ', '), 'm.' || array_to_string(copied, ', m.'), mirror),
        'ids text[], authors text[], reasons text[]');
    return next 'write_history';

    -- [{id, mirrorId, organizationId, userId, delta, sessionId, baseVersion, changeReason}]
    perform create_write_function('write_drafts', modification, format($insert$
        insert into %1$s (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "syncState", "baseVersion",
                          "changeReason", "updatedAt")
        select r.id, r."mirrorId", r."organizationId", r."userId", r.delta, r."sessionId", 'draft', r."baseVersion",
               r."changeReason", now() at time zone 'utc'
          from jsonb_to_recordset(argument) r (id text, "mirrorId" text, "organizationId" text, "userId" text,
                                               delta jsonb, "sessionId" text, "baseVersion" int, "changeReason" text)
        $insert$, modification));
    return next 'write_drafts';

    -- [{id, and the columns to set}]
    perform create_write_function('write_modifications', modification, format($update$
        update %1$s m
           set "syncState" = case when r ? 'syncState' then r->>'syncState' else m."syncState" end,
               "syncStatus" = case when r ? 'syncStatus' then r->>'syncStatus' else m."syncStatus" end,
               "syncError" = case when r ? 'syncError' then r->>'syncError' else m."syncError" end,
               "syncedAt" = case when r ? 'syncedAt' then (r->>'syncedAt')::timestamp else m."syncedAt" end,
               "pemsVersion" = case when r ? 'pemsVersion' then (r->>'pemsVersion')::int else m."pemsVersion" end,
               "changeReason" = case when r ? 'changeReason' then r->>'changeReason' else m."changeReason" end,
               "baseVersion" = case when r ? 'baseVersion' then (r->>'baseVersion')::int else m."baseVersion" end,
               delta = case when r ? 'delta' then r->'delta' else m.delta end,
               "updatedAt" = now() at time zone 'utc'
          from jsonb_array_elements(argument) r
         where m.id = r->>'id' $update$, modification));
    return next 'write_modifications';

    perform create_write_function('write_state', modification, format($update$
        update %1$s m
           set "syncState" = new_state, "updatedAt" = now() at time zone 'utc'
         where m.id = any (ids) and m."syncState" <> new_state $update$, modification),
        'ids text[], new_state text');
    return next 'write_state';

    perform create_write_function('write_synced', modification, format($update$
        update %1$s m
           set "syncState" = 'synced', "syncError" = null, "syncedAt" = now() at time zone 'utc',
               "pemsVersion" = r.version, "updatedAt" = now() at time zone 'utc'
          from unnest(ids, versions) r (id, version)
         where m.id = r.id $update$, modification),
        'ids text[], versions int[]');
    return next 'write_synced';

    -- [{id, syncState, syncStatus}]
    perform create_write_function('write_sync_states', modification, format($update$
        update %1$s m
           set "syncState" = r."syncState", "syncStatus" = r."syncStatus"
          from jsonb_to_recordset(argument) r (id text, "syncState" text, "syncStatus" text)
         where m.id = r.id $update$, modification));
    return next 'write_sync_states';
end
$$;

-- Sets columns of modifications: [{id, syncState, syncError, …}]; null = nothing to do. The trigger
-- modification_stamped derives syncStatus from syncState.
create function change_modifications(changes jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if changes is not null then
        perform write_modifications(changes);
    end if;
end
$$;

-- Sets the state of modifications that are in another one.
create function set_sync_state(modification_ids text[], sync_state text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    if cardinality(modification_ids) > 0 then
        perform write_state(modification_ids, sync_state);
    end if;
end
$$;

-- attach() and detach(): the binding to the application's tables.

-- Binds the extension to the application's tables in app_schema. Idempotent; a row for each thing done or found.
-- Leaves every organization that it sees for the first time paused: installing sends nothing to PEMS.
-- dry_run does it all and takes it back.
create function pfa_sync.attach(app_schema name default 'public', dry_run boolean default false)
    returns table (object text, action text, detail text)
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set lock_timeout = '10s' set pfa_sync.ddl_guard = 'off'
as $$
#variable_conflict use_column
declare
    faults text[] := array(select application_faults(app_schema) union all select owner_faults(app_schema)
                           union all select f.fault from foreign_code(app_schema) f);
    here   installation;
    report text[][] := '{}';
    unwatched boolean;
    item   text;
    line   record;
begin
    if not exists (select from pg_roles where rolname = current_user and rolsuper) then
        raise exception 'attach() needs a superuser, as create extension does'
            using errcode = 'insufficient_privilege';
    end if;
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'the database is encoded in %, and PEMS'' records are Unicode',
                        current_setting('server_encoding')
            using errcode = 'PF007', hint = 'Move the application to a database that is encoded in UTF8.';
    end if;
    select * into here from installation;
    -- The same tables may be in a schema that was renamed.
    if here.app_schema <> app_schema
       and exists (select from bound_table b
                    where not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                                       where c.oid = b.relation and n.nspname = attach.app_schema)) then
        raise exception 'pfa_sync is attached to the tables in schema %', here.app_schema
            using errcode = 'PF004',
                  hint = format('One database has one binding: select * from pfa_sync.detach(); then attach(%L).',
                                app_schema);
    end if;
    if cardinality(faults) > 0 then
        raise exception 'the application''s tables don''t fit: %', array_to_string(faults, '; ')
            using errcode = 'PF007',
                  hint = format('attach(''schema'') takes the schema that holds them; it looked in %I.', app_schema);
    end if;
    begin
        for item in select * from add_application_columns(app_schema) loop
            report := report || array[['pfa_modification', 'changed', item]];
        end loop;
        perform grant_surface();
        for item in select * from grant_application(app_schema) loop
            report := report || array[['role pfa_sync_owner', 'granted', item]];
        end loop;
        for item in select * from create_application_views(app_schema) loop
            report := report || array[['view pfa_sync_private.' || item, 'in place', '']];
        end loop;
        for item in
            select * from create_lock_functions(app_schema) union all select * from create_write_functions(app_schema)
        loop
            report := report || array[['function pfa_sync_private.' || item, 'in place', '']];
        end loop;
        unwatched := not exists (select from pg_trigger
                                  where tgrelid = format('%I.pfa_modification', app_schema)::regclass
                                    and tgname = 'pfa_sync_updated');
        for item in select * from take_over_modifications(unwatched) loop
            report := report || array[['pfa_modification', 'changed', item]];
        end loop;
        for item in select * from create_foreign_queue_function(app_schema) loop
            report := report || array[['function pfa_sync_private.' || item, 'in place', '']];
        end loop;
        if exists (select from pg_depend
                    where classid = 'pg_class'::regclass and objid = 'pfa_sync_private.modification'::regclass
                      and deptype = 'e') then
            raise exception 'attach() can''t run inside an extension script: its views would vanish from dumps'
                using errcode = 'feature_not_supported';
        end if;
        for item in select * from create_log_partitions() loop
            report := report || array[['table pfa_sync_private.' || item, 'created', 'a partition of the log']];
        end loop;
        for item in select * from drop_application_triggers(format('%I.pfa_modification', app_schema)::regclass) loop
            report := report || array[[item, 'dropped', 'no longer needed']];
        end loop;
        for line in select * from create_application_triggers(app_schema) loop
            report := report || array[['trigger ' || line.trigger_name, line.action, 'on pfa_modification']];
        end loop;
        if here.app_schema is null then
            perform record_origin();
        end if;
        insert into installation (app_schema, attached_version, log_epoch)
            values (app_schema, installed_version(), last_event())
            on conflict on constraint installation_pkey
            do update set app_schema = excluded.app_schema, attached_version = excluded.attached_version,
                          attached_at = now();
        delete from bound_table;
        insert into bound_table (table_name, relation)
            select distinct c.table_name, format('%I.%I', app_schema, c.table_name)::regclass
              from application_columns() c;
        delete from bound_trigger;
        insert into bound_trigger (trigger_name, function_name, type)
            select t.trigger_name, t.function_name, t.type from application_triggers() t;
        for item in select * from advance_sequences() loop
            report := report || array[['sequence pfa_sync_private.' || item, 'advanced', 'it was behind its table']];
        end loop;
        for item in select w from withdraw_unwatched() w where w > 0 loop
            report := report || array[['pfa_write_queue', 'withdrawn',
                format('%s edits that were taken back or deleted while no trigger watched', item)]];
        end loop;
        insert into pems (pems) values ('default') on conflict do nothing;
        insert into pems_system (pems) values ('default') on conflict do nothing;
        for item in select * from know_organizations('attached') loop
            report := report || array[['organization ' || item, 'paused', 'pfa_sync.resume() lets it send']];
        end loop;
        for line in select * from never_queued() loop
            report := report || array[['organization ' || line.organization_id, 'found',
                format('%s committed changes were never sent; they are queued after resume()', line.waiting)]];
        end loop;
        for item in select n from foreign_queue_notice() n where n is not null loop
            report := report || array[['table ' || foreign_queue(app_schema), 'found', item]];
        end loop;
        for item in select * from trigger_owners(app_schema) loop
            report := report || array[['tables in ' || app_schema, 'found', item]];
        end loop;
        if dry_run then
            raise exception 'taken back' using errcode = 'PF000';
        end if;
    exception when sqlstate 'PF000' then
        null;
    end;
    for i in 1 .. coalesce(array_length(report, 1), 0) loop
        object := report[i][1];
        action := case when dry_run and report[i][2] <> 'found' then 'would be ' else '' end || report[i][2];
        detail := report[i][3];
        return next;
    end loop;
end
$$;
comment on function pfa_sync.attach(name, boolean) is
    'Binds the extension to the application''s tables in schema app_schema: adds four columns to pfa_modification '
    'where they are missing, creates views in pfa_sync_private and triggers on pfa_modification, and pauses every '
    'organization that it sees for the first time. Returns a row for each object created, changed or found. '
    'Repeatable; required again after an upgrade. dry_run: reports and changes nothing. Nothing is sent before '
    'resume(). PF007: a table or column is missing or has another type.';

-- Grants pfa_sync_owner what the functions need: to read the tables. Locks and writes run as the tables' owners.
-- Returns what was not granted before.
create function grant_application(app_schema name) returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    wanted record;
begin
    if not has_schema_privilege('pfa_sync_owner', app_schema, 'usage') then
        execute format('grant usage on schema %I to pfa_sync_owner', app_schema);
        return next format('usage on schema %I', app_schema);
    end if;
    for wanted in
        select c.relation
          from (select format('%I.%I', app_schema, c.table_name)::regclass as relation from application_columns() c
                union select foreign_queue(app_schema)) c
         where not has_table_privilege('pfa_sync_owner', c.relation, 'select')
         order by c.relation::text
    loop
        execute format('grant select on %s to pfa_sync_owner', wanted.relation);
        return next format('select on %s', wanted.relation);
    end loop;
end
$$;

-- The roles whose code runs when the extension writes to the application's tables, in words: with the rights of the
-- table's owner, since anyone who may create a trigger on a table may use those.
create function trigger_owners(app_schema name) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select format('role %I may create triggers on %I.%I, whose code runs with the rights of its owner %I%s',
                  g.grantee::regrole::text, app_schema, t.relname, r.rolname,
                  case when r.rolsuper then ', a superuser' else '' end)
      from pg_class t
      join pg_namespace n on n.oid = t.relnamespace and n.nspname = app_schema
      join pg_roles r on r.oid = t.relowner
     cross join lateral aclexplode(t.relacl) g
     where t.relname in ('pfa_mirror', 'pfa_mirror_history', 'pfa_modification')
       and g.privilege_type = 'TRIGGER' and g.grantee not in (0, t.relowner)
     order by 1
$$;

-- Drops our triggers from tables of the application other than the one named (null = from all), and from that one those
-- of an earlier version; what was dropped.
create function drop_application_triggers(except_from regclass) returns setof text
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    owned record;
begin
    for owned in
        select * from triggers_in_place() t
         where t.relation is distinct from except_from
            or t.trigger_name not in (select w.trigger_name from application_triggers() w)
    loop
        execute format('drop trigger %I on %s', owned.trigger_name, owned.relation);
        return next owned.object;
    end loop;
end
$$;

-- Drops triggers and views and leaves all data. Queued work stays queued; attach() takes it up again. Works on what is
-- left of a binding, too. drop_columns: also drops the columns that attach() added, with what is in them.
create function pfa_sync.detach(drop_columns boolean default false)
    returns table (object text, action text, detail text)
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set lock_timeout = '10s' set pfa_sync.ddl_guard = 'off'
as $$
#variable_conflict use_column
declare
    item  text;
    owned record;
begin
    if not exists (select from installation) then
        return query select 'pfa_sync', 'found', 'not attached: nothing to do';
        return;
    end if;
    return query
        select 'organization ' || q.organization_id, 'found',
               format('%s edits still wait, %s of them may have been sent already; they stay queued, and attach() '
                      'continues with them', count(*), count(q.sent_at))
          from pfa_write_queue q group by q.organization_id order by 1;
    for item in select * from drop_application_triggers(null) loop
        return query select item, 'dropped', '';
    end loop;
    if drop_columns then
        for item in select * from drop_added_columns() loop
            return query select item, 'dropped', 'attach() had added it';
        end loop;
    end if;
    for owned in
        select format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as signature, p.proname
          from pg_proc p
         where p.pronamespace = 'pfa_sync_private'::regnamespace
           and p.proname = any (array['write_new_mirrors', 'write_mirrors', 'write_history', 'write_drafts',
                                      'write_modifications', 'write_state', 'write_synced', 'write_sync_states',
                                      'write_foreign_queue', 'lock_modification_rows', 'lock_records'])
         order by 2
    loop
        execute format('drop function pfa_sync_private.%s', owned.signature);
        return query select 'function pfa_sync_private.' || owned.proname, 'dropped', '';
    end loop;
    for item in select * from drop_application_views() loop
        return query select 'view pfa_sync_private.' || item, 'dropped', '';
    end loop;
    -- Of every table: one that was renamed keeps its grants.
    for owned in
        select format('table %s', c.oid::regclass) as object
          from pg_class c
         cross join lateral aclexplode(c.relacl) g
         where c.relkind in ('r', 'p') and g.grantee = 'pfa_sync_owner'::regrole
           and c.relnamespace <> all (array['pfa_sync_private', 'pg_catalog']::regnamespace[])
        union
        select format('schema %I', n.nspname)
          from pg_namespace n
         cross join lateral aclexplode(n.nspacl) g
         where n.nspname !~ '^(pfa_sync|pg_)' and g.grantee = 'pfa_sync_owner'::regrole
    loop
        execute format('revoke all on %s from pfa_sync_owner', owned.object);
    end loop;
    delete from installation;
    delete from origin;
    delete from bound_table;
    delete from bound_trigger;
    return query select 'pfa_sync', 'detached', 'all data is left; drop extension pfa_sync removes it';
end
$$;
comment on function pfa_sync.detach(boolean) is
    'Drops the triggers, functions, views and grants that attach() created; all data stays. drop_columns: drops the '
    'columns that attach() added, too. Queued changes stay queued, and attach() continues with them. Returns a row '
    'for each organization with changes that still wait, and for each object dropped.';

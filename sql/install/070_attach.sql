-- Binding to the application's tables, and to this very database.

create function system_identifier() returns bigint
    language sql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$ select system_identifier from pg_control_system() $$;

create function database_oid() returns oid
    language sql stable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$ select oid from pg_database where datname = current_database() $$;

create function installed_version() returns text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$ select extversion from pg_extension where extname = 'pfa_sync' $$;

-- Raises unless this database may send: attached, by this version, and not a copy of another one.
create function ensure_sending() returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    here installation;
begin
    select * into here from installation;
    if not found then
        raise exception 'pfa_sync is not attached to the application''s tables'
            using errcode = 'PF004', hint = 'select * from pfa_sync.attach(); then pfa_sync.resume().';
    end if;
    if here.system_identifier <> system_identifier() or here.database_oid <> database_oid() then
        raise exception 'this database is a copy of the one that pfa_sync was attached in: nothing is sent to PEMS from here'
            using errcode = 'PF005', hint = 'If this database is meant to write to PEMS from now on: select * from pfa_sync.adopt().';
    end if;
    if here.attached_version <> installed_version() then
        raise exception 'pfa_sync % is installed, but % is attached', installed_version(), here.attached_version
            using errcode = 'PF009', hint = 'select * from pfa_sync.attach().';
    end if;
end
$$;

-- Binds the extension to the application's tables in app_schema. Idempotent; a row for each thing done or found.
-- Leaves every organization that it sees for the first time paused: installing sends nothing to PEMS.
-- dry_run does it all and takes it back.
create function attach(app_schema name default 'public', dry_run boolean default false)
    returns table (object text, action text, detail text)
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp set lock_timeout = '10s'
as $$
#variable_conflict use_column
declare
    faults text[] := array(select application_faults(app_schema));
    report text[][] := '{}';
    item   text;
    before bigint;
    line   record;
begin
    if not exists (select from pg_roles where rolname = current_user and rolsuper) then
        raise exception 'attach() needs a superuser, as create extension does' using errcode = 'insufficient_privilege';
    end if;
    if cardinality(faults) > 0 then
        raise exception 'the application''s tables don''t fit: %', array_to_string(faults, '; ')
            using errcode = 'PF007', hint = format('attach(''schema'') takes the schema that holds them; it looked in %I.', app_schema);
    end if;
    begin
        for item in select * from add_application_columns(app_schema) loop
            report := report || array[['pfa_modification', 'changed', item]];
        end loop;
        for item in select * from create_application_views(app_schema) loop
            report := report || array[['view pfa_sync.' || item, 'in place', '']];
        end loop;
        if exists (select from pg_depend where classid = 'pg_class'::regclass and objid = 'pfa_sync.modification'::regclass and deptype = 'e') then
            raise exception 'attach() can''t run inside an extension script: its views would vanish from dumps'
                using errcode = 'feature_not_supported';
        end if;
        for item in select * from create_log_partitions() loop
            report := report || array[['table pfa_sync.' || item, 'created', 'a partition of the log']];
        end loop;
        for item in select * from create_application_triggers(app_schema) loop
            report := report || array[['trigger ' || item, 'created', 'on pfa_modification']];
        end loop;
        insert into installation (system_identifier, database_oid, app_schema, attached_version, log_epoch)
            values (system_identifier(), database_oid(), app_schema, installed_version(), last_event())
            on conflict on constraint installation_pkey
            do update set app_schema = excluded.app_schema, attached_version = excluded.attached_version, attached_at = now();
        insert into pems (pems) values ('default') on conflict do nothing;
        for line in
            insert into sync_organization as known (organization_id, paused, pause_reason, paused_by)
            select o.organization_id, true, 'attached', session_user from organization o
            on conflict do nothing
            returning known.organization_id
        loop
            report := report || array[['organization ' || line.organization_id, 'paused', 'pfa_sync.resume() lets it send']];
        end loop;
        for line in
            select m.organization_id, count(*) as waiting
              from modification m
             where m.sync_state = 'committed' and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
             group by 1 order by 1
        loop
            report := report || array[['organization ' || line.organization_id, 'found',
                format('%s committed changes were never sent; they are queued after resume()', line.waiting)]];
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
comment on function attach(name, boolean) is 'Binds pfa_sync to the application''s tables; a row for each thing done or found. Idempotent. Sends nothing until resume().';

-- Takes triggers and views away and leaves all data. Queued work stays queued; attach() takes it up again.
create function detach() returns table (object text, action text, detail text)
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync, pg_temp set lock_timeout = '10s'
as $$
#variable_conflict use_column
declare
    here  installation;
    owned record;
begin
    select * into here from installation;
    if not found then
        return query select 'pfa_sync', 'found', 'not attached: nothing to do';
        return;
    end if;
    for owned in
        select t.tgname from pg_trigger t
         where t.tgrelid = format('%I.pfa_modification', here.app_schema)::regclass and t.tgname like 'pfa\_sync\_%' order by 1
    loop
        execute format('drop trigger %I on %I.pfa_modification', owned.tgname, here.app_schema);
        return query select 'trigger ' || owned.tgname, 'dropped', '';
    end loop;
    for owned in select unnest(array['modification', 'mirror_history', 'mirror', 'member', 'users', 'organization']) as viewname loop
        execute format('drop view if exists pfa_sync.%I', owned.viewname);
        return query select 'view pfa_sync.' || owned.viewname, 'dropped', '';
    end loop;
    delete from installation;
    return query select 'pfa_sync', 'detached', 'all data is left; drop extension pfa_sync removes it';
end
$$;
comment on function detach() is 'Undoes attach() and leaves all data.';

-- Makes this database the one that writes to PEMS: for a copy that takes the place of its original.
create function adopt() returns table (object text, action text, detail text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    update installation
       set system_identifier = system_identifier(), database_oid = database_oid(),
           log_epoch = last_event();
    if not found then
        raise exception 'pfa_sync is not attached to the application''s tables'
            using errcode = 'PF004', hint = 'select * from pfa_sync.attach().';
    end if;
    insert into pfa_audit_log (event_type, user_id, success) values ('ADOPTED', session_user, true);
    return query
        select 'database ' || current_database(), 'adopted', format('%s changes are queued', count(*)) from pfa_write_queue;
end
$$;
comment on function adopt() is 'After a restore that takes the place of the original: lets this database write to PEMS.';

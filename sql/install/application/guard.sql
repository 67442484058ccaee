-- The guard over the application's migrations: event triggers that look at each change of a bound table while it is
-- made.
--
--   code of other roles         the statement fails with PF007
--   what fits                   our functions are made again for the columns as they are now, also for open sessions
--   what does not fit           the migration fails with PF007 and the reason
--   a bound table that is gone  goes through with a warning: status() and the others answer PF004 until attach()
--
-- It swallows its own faults, with a warning: a migration must not fail because of an error of ours.
-- pfa_sync.ddl_guard = 'off', for a session, role or database, switches it off; attach() then makes the functions anew.
--
-- The functions run in every session that alters a table, a superuser's included: they stay the installer's, and the
-- first statement of each gives up its rights for those of pfa_sync_owner.

-- Makes all functions again that depend on the columns of the application's tables. The trigger functions are replaced
-- by themselves: an open session keeps what it compiled for a column's former type until its function changes.
create function refresh_application_functions(app_schema name) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set check_function_bodies = off
as $$
declare
    trigger_function regprocedure;
begin
    -- Two migrations at once would update the same rows of pg_proc.
    perform from installation for no key update;
    perform create_row_functions(app_schema);
    perform create_lock_functions(app_schema);
    perform create_write_functions(app_schema);
    perform create_foreign_queue_function(app_schema);
    for trigger_function in
        select p.oid from pg_proc p
         where p.pronamespace = 'pfa_sync_private'::regnamespace
           and p.proname in (select t.function_name from application_triggers() t)
           and p.prolang = (select l.oid from pg_language l where l.lanname = 'plpgsql')
         order by p.proname
    loop
        execute pg_get_functiondef(trigger_function);
    end loop;
end
$$;

-- What a change of the bound tables means. Raises PF007 when they don't fit any more.
create function follow_application_change() returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here   installation;
    gone   text;
    faults text[];
begin
    select * into here from installation;
    select string_agg(format('%I', b.table_name), ', ' order by b.table_name) into gone
      from bound_table b
     where not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                        where c.oid = b.relation and c.relname = b.table_name and n.nspname = here.app_schema);
    if gone is not null then
        raise warning 'pfa_sync is attached to tables that are no longer in schema %: %', here.app_schema, gone
            using hint = 'Nothing is queued or sent until select * from pfa_sync.attach().';
        return;
    end if;
    faults := array(select application_faults(here.app_schema, attached => true));
    if cardinality(faults) > 0 then
        raise exception 'pfa_sync, which is attached to these tables, can''t work with them: %',
                        array_to_string(faults, '; ')
            using errcode = 'PF007',
                  hint = 'select * from pfa_sync.detach() first, if the tables are to change so.';
    end if;
    perform refresh_application_functions(here.app_schema);
end
$$;

-- Whether the guard is on, and this database is the one that was attached: in a copy the oids mean nothing.
create function is_guarded() returns boolean
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return coalesce(nullif(current_setting('pfa_sync.ddl_guard', true), ''), 'on') <> 'off'
       and exists (select from installation) and not is_copy();
end
$$;

-- Refuses a change by which using the bound tables would execute code of another role, see foreign_code(). No setting
-- switches it off, and its own errors make the change fail: the role that makes the change may own that code.
create function refuse_foreign_code(changed oid[]) returns void
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    found text;
begin
    select f.fault into found
      from installation i cross join lateral foreign_code(i.app_schema) f
     where f.concerned && changed limit 1;
    if found is not null then
        raise exception 'pfa_sync, which is attached to these tables, refuses it: %', found
            using errcode = 'PF007',
                  hint = 'Let a superuser own the function, or call select * from pfa_sync.detach() first.';
    end if;
end
$$;

-- After a change of a table, index, statistics or function, and after a DROP that removed a bound table, or a column of
-- one together with its type.
create function application_changed() returns event_trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    changed oid[];
begin
    perform become_table_owner('installation');
    if tg_event = 'sql_drop' then
        changed := array(select d.objid from pg_event_trigger_dropped_objects() d
                          where d.classid = 'pg_class'::regclass);
    else
        changed := array(select d.objid from pg_event_trigger_ddl_commands() d where d.objid is not null);
        perform refuse_foreign_code(changed);
    end if;
    if not is_guarded() or not exists (select from bound_table b where b.relation = any (changed)) then
        return;
    end if;
    begin
        perform follow_application_change();
    exception
        when sqlstate 'PF007' then
            raise;
        when others then
            raise warning 'pfa_sync could not follow this change: %', sqlerrm
                using hint = 'select * from pfa_sync.attach() afterwards.';
    end;
end
$$;

-- Before DROP EXTENSION: while attached, PostgreSQL would list our triggers and propose CASCADE, which strands the
-- edits that wait. Which extension is meant is known from the text of the statement alone. Where no trigger is left, as
-- when pg_restore --clean has dropped them all, nothing is in the way.
create function extension_dropped() returns event_trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    waiting bigint;
begin
    perform become_table_owner('installation');
    if current_query() !~* '[[:<:]]drop[[:space:]]+extension[[:>:]][^;]*[[:<:]]pfa_sync[[:>:]]'
       or not exists (select from installation) or not exists (select from triggers_in_place()) then
        return;
    end if;
    select count(*) into waiting from pfa_write_queue;
    if current_query() ~* '[[:<:]]drop[[:space:]]+extension[[:>:]][^;]*[[:<:]]cascade[[:>:]]' then
        raise warning 'pfa_sync is dropped while it is attached: % edits wait, and will not be sent', waiting;
    else
        raise exception 'pfa_sync is attached to the application''s tables; % edits wait', waiting
            using errcode = 'dependent_objects_still_exist',
                  hint = 'select * from pfa_sync.detach() first: it names them, and leaves all data.';
    end if;
end
$$;

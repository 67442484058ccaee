-- The lock order. Functions that lock rows take them in this order, so that two sessions never wait for each other in a
-- circle:
--
--   1. our organization row (sync_organization)
--   2. modifications, by id
--   3. mirror rows, by id
--   4. queue rows, then conflicts and dead letters, by id
--   5. the row of the PEMS (its slot and its breaker)
--
-- The application's UPDATE has locked its modifications before any trigger runs. Mirror rows are locked
-- `for no key update`: `for update` would deadlock with the application's foreign keys.
--
-- After its first row lock on the application's tables, a session of ours never waits for another such lock: a
-- transaction of the application that holds one record and wants the next would deadlock with it, and Postgres may
-- end either. What is not free is left out (skip_locked), or everything is given back first (lock_together). Only
-- commits by the application itself wait, in its own transaction.
--
-- Rows of the application's tables are locked by id, in functions on the tables themselves: a lock clause on one of our
-- views locks nothing. So rows that are chosen by a condition are looked up, locked, and looked at again.

-- Makes a function that locks rows of a table by id, as the table's owner, in the order of their ids, and returns the
-- ids of those that it locked: those that exist and, with skip_locked, that no other session has locked.
create function create_lock_function(name text, relation text) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    execute format($function$
        create or replace function pfa_sync_private.%1$I(ids text[], skip_locked boolean default false)
            returns text[]
            language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
        as $body$
        begin
            perform become_table_owner(%2$L);
            if skip_locked then
                return array(select t.id from %2$s t where t.id = any (ids)
                              order by t.id for no key update skip locked);
            end if;
            return array(select t.id from %2$s t where t.id = any (ids) order by t.id for no key update);
        end
        $body$;
        alter function pfa_sync_private.%1$I(text[], boolean) owner to pfa_sync_owner $function$, name, relation);
    perform revoke_grants(format('pfa_sync_private.%I(text[], boolean)', name)::regprocedure);
end
$$;

-- Makes the functions that lock, lock_records() among them; their names.
create function create_lock_functions(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform create_lock_function('lock_modification_rows', format('%I.pfa_modification', app_schema));
    return next 'lock_modification_rows';
    perform create_lock_function('lock_records', format('%I.pfa_mirror', app_schema));
    return next 'lock_records';
end
$$;

-- Locks modifications by id; the ids of those that exist. skip_locked: those that another session has locked are left
-- out.
create function lock_modifications(modification_ids text[], skip_locked boolean default false) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform ensure_bound();
    return lock_modification_rows(modification_ids, skip_locked);
end
$$;

-- Locks modifications and their records by id, and returns those that are committed then and have no live queue row.
-- Those that another session has locked are left out.
create function lock_unseen(modification_ids text[]) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off
as $$
declare
    locked  text[] := lock_modifications(modification_ids, skip_locked => true);
    records text[];
begin
    records := lock_records(array(select m.mirror_id from modification m where m.modification_id = any (locked)),
                            skip_locked => true);
    return array(select m.modification_id from modification m
                  where m.modification_id = any (locked) and m.mirror_id = any (records)
                    and m.sync_state = 'committed'
                    and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                  order by 1);
end
$$;

-- Locks all of some modifications and mirror rows for a function that a person called. It waits for the first
-- modification, and for the others only while it holds nothing: what it locked is given back before each further try.
-- Raises 40001 when it has not got all of them within five seconds.
create function lock_together(modification_ids text[], mirror_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    give_up       timestamptz := clock_timestamp() + interval '5 s';
    first_id      text := (select min(i) from unnest(modification_ids) i);
    modifications text[];
    records       text[];
    held          text;
begin
    loop
        begin
            perform lock_modifications(array[first_id]);
            modifications := lock_modifications(modification_ids, skip_locked => true);
            records := lock_records(mirror_ids, skip_locked => true);
            select r.pfa_id into held from mirror r
             where r.mirror_id = any (mirror_ids) and r.mirror_id <> all (records)
                or r.mirror_id in (select m.mirror_id from modification m
                                    where m.modification_id = any (modification_ids)
                                      and m.modification_id <> all (modifications))
             limit 1;
            if not found then
                return;
            end if;
            raise exception 'given back' using errcode = 'PF000';
        exception when sqlstate 'PF000' then
            null;
        end;
        if clock_timestamp() > give_up then
            raise exception 'another transaction is changing record %', held
                using errcode = 'serialization_failure', hint = 'Try again.';
        end if;
        perform pg_sleep(0.02);
    end loop;
end
$$;

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
-- Rows of the application's tables are locked by id, in functions on the tables themselves: a lock clause on one of our
-- views locks nothing. So rows that are chosen by a condition are looked up, locked, and looked at again.

-- Makes a function that locks rows of a table by id, as the table's owner, in the order of their ids, and returns the
-- ids of those that it locked.
create function create_lock_function(name text, relation text) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    execute format($function$
        create or replace function pfa_sync_private.%1$I(ids text[], skip_locked boolean) returns text[]
            language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
            set jit = off set enable_seqscan = off
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

-- Makes the functions that lock; their names.
create function create_lock_functions(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform create_lock_function('lock_modification_rows', format('%I.pfa_modification', app_schema));
    return next 'lock_modification_rows';
    perform create_lock_function('lock_mirror_rows', format('%I.pfa_mirror', app_schema));
    return next 'lock_mirror_rows';
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

-- Locks modifications by id, and returns those that are committed then and have no live queue row.
create function lock_unseen(modification_ids text[], skip_locked boolean) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
declare
    locked text[] := lock_modifications(modification_ids, skip_locked);
begin
    return array(select m.modification_id from modification m
                  where m.modification_id = any (locked) and m.sync_state = 'committed'
                    and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                  order by 1);
end
$$;

-- Locks mirror rows by id; the ids of those that exist. skip_locked: those that another session has locked are left
-- out.
create function lock_records(mirror_ids text[], skip_locked boolean default false) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return lock_mirror_rows(mirror_ids, skip_locked);
end
$$;

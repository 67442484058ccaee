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
-- Functions that choose rows by a condition lock them in one query, since the condition is checked again after a wait;
-- rows that are known by id are locked here.

-- Locks modifications by id; the ids of those that exist. skip_locked: those that another session has locked are left
-- out.
create function lock_modifications(modification_ids text[], skip_locked boolean default false) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    perform ensure_bound();
    if skip_locked then
        return array(select m.modification_id from modification m where m.modification_id = any (modification_ids)
                      order by m.modification_id for no key update skip locked);
    end if;
    return array(select m.modification_id from modification m where m.modification_id = any (modification_ids)
                  order by m.modification_id for no key update);
end
$$;

-- Locks mirror rows by id; the ids of those that exist. skip_locked: those that another session has locked are left
-- out.
create function lock_records(mirror_ids text[], skip_locked boolean default false) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    if skip_locked then
        return array(select r.mirror_id from mirror r where r.mirror_id = any (mirror_ids)
                      order by r.mirror_id for no key update skip locked);
    end if;
    return array(select r.mirror_id from mirror r where r.mirror_id = any (mirror_ids)
                  order by r.mirror_id for no key update);
end
$$;

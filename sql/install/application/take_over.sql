-- What attach() changes in the rows of pfa_modification. It runs as the table's owner, as every write does: a trigger
-- of the table is code of its owner.

-- How many rows one statement changes.
create function take_over_portion() returns int
    language sql immutable security invoker
    return 5000;

-- Lets syncStatus follow from syncState, as it does once the triggers are there; how many rows were changed, in words.
--
-- Where no trigger of ours has watched the table (unwatched), work that another program left half done is taken over:
-- a row that it left 'syncing' was never confirmed, and for a row in 'conflict' we have no conflict to resolve. Both
-- count as committed: they are judged anew after resume().
create function take_over_modifications(unwatched boolean) returns setof text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    due    record;
    states jsonb[] := '{}';
    taken  bigint := 0;
    filled bigint := 0;
begin
    -- The table is read once; what is written meanwhile is not read again.
    for due in
        select m.modification_id, s.*
          from modification m
         cross join lateral (
             select unwatched
                    and (m.sync_state = 'syncing'
                         and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                         or m.sync_state = 'conflict'
                         and not exists (select from pfa_sync_conflict c
                                          where c.modification_id = m.modification_id
                                            and c.status = 'unresolved'))) t (half_done)
         cross join lateral (
             select t.half_done, case when t.half_done then 'committed' else m.sync_state end as sync_state,
                    case when t.half_done then 'committed'
                         when m.sync_state <> 'committed' then sync_status_of(m.sync_state)
                         when exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                         then 'queued' else 'committed' end as sync_status) s
         where t.half_done
            or m.sync_status is distinct from sync_status_of(m.sync_state)
               and not (m.sync_state = 'committed' and coalesce(m.sync_status, '') = 'committed')
    loop
        states := states || jsonb_build_object('id', due.modification_id, 'syncState', due.sync_state,
                                               'syncStatus', due.sync_status);
        taken := taken + due.half_done::int;
        filled := filled + (not due.half_done)::int;
        if cardinality(states) = take_over_portion() then
            perform write_sync_states(to_jsonb(states));
            states := '{}';
        end if;
    end loop;
    if cardinality(states) > 0 then
        perform write_sync_states(to_jsonb(states));
    end if;
    if taken > 0 then
        return next format('%s rows that were syncing or in conflict count as committed', taken);
    end if;
    if filled > 0 then
        return next format('"syncStatus" filled in %s rows', filled);
    end if;
end
$$;

-- Committed modifications that were never queued, by organization: what attach() reports.
create function never_queued() returns table (organization_id text, waiting bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    return query
        select m.organization_id, count(*)
          from modification m
         where m.sync_state = 'committed'
           and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
         group by 1 order by 1;
end
$$;

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
    portion jsonb;
    last_id text := '';
    taken   bigint := 0;
    filled  bigint := 0;
begin
    while unwatched loop
        select jsonb_agg(jsonb_build_object('id', l.modification_id, 'syncState', 'committed',
                                            'syncStatus', 'committed')), max(l.modification_id)
          into portion, last_id
          from (select m.modification_id collate "C" as modification_id
                  from modification m
                 where m.modification_id collate "C" > last_id
                   and (m.sync_state = 'syncing'
                        and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                        or m.sync_state = 'conflict'
                        and not exists (select from pfa_sync_conflict c
                                         where c.modification_id = m.modification_id and c.status = 'unresolved'))
                 order by 1 limit take_over_portion()) l;
        exit when portion is null;
        taken := taken + write_sync_states(portion);
    end loop;
    if taken > 0 then
        return next format('%s rows that were syncing or in conflict count as committed', taken);
    end if;
    last_id := '';
    loop
        select jsonb_agg(jsonb_build_object('id', l.modification_id, 'syncState', l.sync_state,
                                            'syncStatus', l.sync_status)), max(l.modification_id)
          into portion, last_id
          from (select m.modification_id collate "C" as modification_id, m.sync_state,
                       case when m.sync_state <> 'committed' then sync_status_of(m.sync_state)
                            when exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
                            then 'queued' else 'committed' end as sync_status
                  from modification m
                 where m.modification_id collate "C" > last_id
                   and m.sync_status is distinct from sync_status_of(m.sync_state)
                   and not (m.sync_state = 'committed' and coalesce(m.sync_status, '') = 'committed')
                 order by 1 limit take_over_portion()) l;
        exit when portion is null;
        filled := filled + write_sync_states(portion);
    end loop;
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

-- What keeps the whole in order without anybody asking.

-- Queues committed work that no trigger saw: logical replication, session_replication_role, prepared transactions, the
-- backlog at attach(). Paused organizations are left alone. What is invalid or forbidden becomes a dead letter.
create function pfa_sync.sweep() returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    candidate sync_organization;
    found     text[];
begin
    perform ensure_sending();
    perform restore_heads();
    insert into sync_organization (organization_id)
        select o.organization_id from organization o
         where not exists (select from sync_organization s where s.organization_id = o.organization_id)
        on conflict do nothing;
    for candidate in select s.* from sync_organization s where may_send(s) order by s.organization_id loop
        found := array(
            select m.modification_id from modification m
             where m.organization_id = candidate.organization_id and m.sync_state = 'committed'
               and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
             order by m.modification_id for no key update skip locked);
        continue when cardinality(found) = 0;
        update modification m set sync_status = 'queued', updated_at = now() at time zone 'utc'
         where m.modification_id = any (found) and m.sync_status <> 'queued';
        return query
            select e.organization_id, sum(e.queued)::bigint, sum(e.failed)::bigint from enqueue(found, 'sweep', false) e group by 1;
    end loop;
end
$$;
comment on function pfa_sync.sweep() is 'Queues committed work that no trigger saw; a row for each organization where there was any.';

-- Gives a head to records that wait without one: a commit on an older snapshot (repeatable read) can't see that the row
-- it queued behind has ended.
create function restore_heads() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    headless text[];
begin
    headless := array(
        select r.mirror_id from mirror r
         where r.mirror_id in (select q.mirror_id from pfa_write_queue q
                                where not q.head and not exists (select from pfa_write_queue h where h.mirror_id = q.mirror_id and h.head))
         order by r.mirror_id for no key update skip locked);
    perform promote_heads(headless, array_fill(0::bigint, array[cardinality(headless)]));
end
$$;

-- Makes the log's next partitions, prunes bronze and old answers to requests. Called by the relay from time to time.
create function pfa_sync.maintain() returns table (object text, action text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query select part, 'created' from create_log_partitions() part;
    return query select format('%s pages of records', pruned), 'pruned' from prune_bronze() pruned where pruned > 0;
    return query select format('%s answers kept for repeated requests', pruned), 'pruned' from prune_idempotent_requests() pruned where pruned > 0;
end
$$;
comment on function pfa_sync.maintain() is 'Makes the log''s next partitions; prunes pages of records past their retention.';

-- What the relays call from time to time to keep the whole in order.

-- Queues committed work that no trigger saw: logical replication, session_replication_role, prepared transactions, the
-- work that attach() found. Paused organizations are left alone. What is invalid or forbidden becomes a dead letter. A
-- portion at a time, so that no commit of the application waits long; no row = nothing is left, or all of it is locked.
create function pfa_sync.sweep(max_rows int default 200)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    candidate sync_organization;
    unseen    text[];
    rest      int := max_rows;
begin
    perform require_between('max_rows', max_rows, 1, 10000);
    perform ensure_sending();
    perform restore_heads();
    perform know_organizations();
    for candidate in select s.* from sync_organization s where may_send(s) order by s.organization_id loop
        unseen := array(
            select m.modification_id from modification m
             where m.organization_id = candidate.organization_id and m.sync_state = 'committed'
               and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
             order by m.mirror_id, m.created_at, m.modification_id limit rest);
        if candidate.sweep_due and cardinality(unseen) < rest then
            update sync_organization s set sweep_due = false
             where s.organization_id = candidate.organization_id;
        end if;
        return query
            select e.organization_id, sum(e.queued)::bigint, sum(e.failed)::bigint
              from enqueue_unseen(lock_unseen(unseen), 'sweep') e
             group by 1;
        rest := rest - cardinality(unseen);
        exit when rest <= 0;
    end loop;
end
$$;
comment on function pfa_sync.sweep(int) is
    'Relay: queues committed changes that no trigger saw, of organizations that may send, max_rows at a time; invalid '
    'and forbidden ones become dead letters. Returns a row for each organization that had any; no row: nothing is '
    'left, or another session holds it.';

-- Queues committed modifications that no trigger saw, singly where that fails: a modification that can't be judged ends
-- as sync_error with the reason, and does not block the others. The caller has locked them. One whose dead letter says
-- that its row takes no change is left alone.
create function enqueue_unseen(modification_ids text[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    unseen text[] := array(
        select i from unnest(modification_ids) i
         where not exists (select from pfa_write_queue_dlq d
                            where d.modification_id = i and d.status = 'open' and d.code = 'NOT_RECORDED'));
begin
    return query select * from enqueue_whole(unseen, kind);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    return query
        select e.* from jsonb_to_recordset(apply_singly('enqueue', to_jsonb(unseen), jsonb_build_object('kind', kind)))
            e (organization_id text, queued bigint, failed bigint);
end
$$;

-- The same, all or none.
create function enqueue_whole(modification_ids text[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if cardinality(modification_ids) = 0 then
        return;
    end if;
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', m.modification_id, 'syncStatus', 'queued'))
          from modification m where m.modification_id = any (modification_ids) and m.sync_status <> 'queued'));
    return query select * from unnest(enqueue(modification_ids, kind, false));
end
$$;

-- Gives a head to records that wait without one: a commit on an older snapshot (repeatable read) does not see that the
-- row that it queued behind has ended.
create function restore_heads() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    headless text[];
begin
    headless := lock_records(array(
        select q.mirror_id from pfa_write_queue q
         where not q.head
           and not exists (select from pfa_write_queue h where h.mirror_id = q.mirror_id and h.head)),
        skip_locked => true);
    perform promote_heads(headless, array_fill(0::bigint, array[cardinality(headless)]));
end
$$;

-- Makes the log's next partitions; prunes pages of records and answers to repeated requests; forgets relays that are
-- gone, and times that a clock left behind that was ahead. A partition that can't be made because a session reads the
-- log is made by a later call: partitions are made months ahead.
create function pfa_sync.maintain() returns table (object text, action text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    begin
        return query select part, 'created' from create_log_partitions() part;
    exception when lock_not_available then
        object := 'pfa_audit_log';
        action := 'partitions not made now: another session holds the log';
        return next;
    end;
    return query select format('%s pages of records', pruned), 'pruned' from prune_bronze() pruned where pruned > 0;
    return query
        select format('%s answers kept for repeated requests', pruned), 'pruned'
          from prune_idempotent_requests() pruned where pruned > 0;
    return query select 'relay ' || gone, 'forgotten' from forget_relays() gone;
    return query
        select format('%s times too far ahead', reset), 'reset' from reset_future_times() reset where reset > 0;
end
$$;
comment on function pfa_sync.maintain() is
    'Relay: creates the log''s next partitions, and deletes pages of pulls past bronze_retention answers of '
    'idempotent requests after a day, and relays that were not seen for a day; it resets times that lie too far '
    'ahead, after the server''s clock was corrected. Returns a row for each action.';

-- What keeps the whole in order without anybody asking.

-- Queues committed work that no trigger saw: logical replication, session_replication_role, prepared transactions, the
-- backlog at attach(). Paused organizations are left alone. What is invalid or forbidden becomes a dead letter.
create function sweep() returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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
comment on function sweep() is 'Queues committed work that no trigger saw; a row for each organization where there was any.';

-- Gives a head to records that wait without one: a commit on an older snapshot (repeatable read) can't see that the row
-- it queued behind has ended.
create function restore_heads() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
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

-- Notes that a relay lives, and a fingerprint of its credentials; tells it which organizations are paused or held, which
-- PEMS are down, and the settings it works by.
create function heartbeat(relay text, version text, credentials text default null) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    insert into relay as r (relay, version, credentials) values (heartbeat.relay, heartbeat.version, heartbeat.credentials)
        on conflict on constraint relay_pkey do update set version = excluded.version, credentials = excluded.credentials, seen_at = now();
    perform take_credentials(heartbeat.credentials);
    return jsonb_build_object('paused', coalesce((select jsonb_agg(s.organization_id order by s.organization_id)
        from sync_organization s where not may_send(s)), '[]'),
        'down', coalesce((select jsonb_agg(b.pems order by b.pems) from breakers b where b.state <> 'closed'), '[]'),
        'lease_ms', 1000 * extract(epoch from setting('lease')::interval), 'poll_ms', 1000 * extract(epoch from setting('poll')::interval));
end
$$;
comment on function heartbeat(text, text, text) is 'Notes that a relay lives; returns the organizations that may not send, the PEMS that are down, and the settings for relays.';

-- Makes the log's next partitions, prunes bronze and old answers to requests. Called by the relay from time to time.
create function maintain() returns table (object text, action text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query select part, 'created' from create_log_partitions() part;
    return query select format('%s pages of records', pruned), 'pruned' from prune_bronze() pruned where pruned > 0;
    return query select format('%s answers kept for repeated requests', pruned), 'pruned' from prune_requests() pruned where pruned > 0;
end
$$;
comment on function maintain() is 'Makes the log''s next partitions; prunes pages of records past their retention.';

-- Invariants that hold between any two transactions; a row for each that is broken.
create function pfa_sync.check() returns table (invariant text, object text, detail text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select 'the first live change of a record is its head', 'queue ' || q.id, format('record %s, head %s', q.pfa_id, q.head)
          from pfa_write_queue q
         where q.head <> (q.id = (select min(n.id) from pfa_write_queue n where n.mirror_id = q.mirror_id));
    return query
        select 'a front lies behind the clock', 'organization ' || s.organization_id, greatest(s.high_from, s.normal_from, s.low_from, s.leases_from)::text
          from sync_organization s
         where greatest(s.high_from, s.normal_from, s.low_from, s.leases_from) > clock_timestamp();
    return query
        select 'a queued modification tells so', 'modification ' || m.modification_id, format('queue %s, modification %s', q.status, m.sync_state)
          from pfa_write_queue q join modification m on m.modification_id = q.modification_id
         where m.sync_state <> case q.status when 'pending' then 'committed' else 'syncing' end;
    return query
        select 'syncState and syncStatus tell the same story', 'modification ' || m.modification_id, m.sync_state || ' / ' || m.sync_status
          from modification m
         where m.sync_status not in (case m.sync_state when 'committed' then 'queued' when 'sync_error' then 'failed' else m.sync_state end,
                                     case m.sync_state when 'committed' then 'committed' else m.sync_state end);
    return query
        select 'a modification under way has a queue row', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'syncing' and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id);
    return query
        select 'a modification in conflict has an open conflict', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'conflict'
           and not exists (select from pfa_sync_conflict c where c.modification_id = m.modification_id and c.status = 'unresolved');
end
$$;
comment on function pfa_sync.check() is 'Broken invariants; no row = all hold.';

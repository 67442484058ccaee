-- How a queue row ends: one function for each end, called by every path that leads there. The caller holds the locks:
-- modifications, then mirror rows, by id.

-- Moves rows to the archive, and makes the next change of each of their records its head.
create function finalize_rows(queue_ids bigint[], status text, error text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    records text[];
    heads   bigint[];
begin
    if coalesce(cardinality(queue_ids), 0) = 0 then
        return;
    end if;
    with ended as (
        delete from pfa_write_queue q where q.id = any (queue_ids) returning q.*),
    archived as (
        insert into pfa_write_queue_archive (
            id, job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, reason, payload, base,
            accepted, base_version, priority, status, head, scheduled_at, created_at, retry_count, rejudgements,
            fencing_token, relay, batch_id, request, idempotency_seed, expected_version, sent_at, last_error,
            completed_at, mirror_version)
        select e.id, e.job_id, e.organization_id, e.mirror_id, e.modification_id, e.pfa_id, e.operation, e.author,
               e.reason, e.payload, e.base, e.accepted, e.base_version, e.priority, finalize_rows.status, false,
               e.scheduled_at, e.created_at, e.retry_count, e.rejudgements, e.fencing_token, e.relay, e.batch_id,
               e.request, e.idempotency_seed, e.expected_version, e.sent_at, coalesce(error, e.last_error), now(),
               e.mirror_version
          from ended e)
    select array_agg(e.mirror_id), array_agg(e.id) into records, heads from ended e where e.head;

    perform promote_heads(records, heads);
end
$$;

-- Makes the first live row of each record, after the head that ended, its head. The caller holds the mirror locks.
-- Looking only behind that head spares the record's ended rows, of which a record that is changed often has many.
create function promote_heads(records text[], ended bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    due timestamptz := clock_timestamp();
begin
    update pfa_write_queue q
       set head = true, scheduled_at = due
      from unnest(records, ended) r (mirror_id, id)
     where q.id = (select n.id from pfa_write_queue n where n.mirror_id = r.mirror_id and n.id > r.id
                    order by n.id limit 1);
end
$$;

-- Ends rows as dead letters, and their modifications with them.
create function finalize_dead_letters(dead dead_letter[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if coalesce(cardinality(dead), 0) = 0 then
        return;
    end if;
    perform record_dead_letters(dead);
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', l.modification_id, 'syncState', 'sync_error', 'syncError', d.error))
          from unnest(dead) d
          join pfa_write_queue_dlq l on l.queue_id = d.queue_id));
end
$$;

-- The rows of ours alone.
create function record_dead_letters(dead dead_letter[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    insert into pfa_write_queue_dlq (queue_id, organization_id, pfa_id, modification_id, code, error, http_status,
                                     pems_response)
    select d.queue_id, q.organization_id, q.pfa_id, q.modification_id, d.code, d.error, d.http_status, d.response
      from unnest(dead) d
      join pfa_write_queue q on q.id = d.queue_id;
    perform log_changes('DEAD_LETTER', false,
        array(select row(d.queue_id, null, d.response, d.error)::log_entry from unnest(dead) d));
    update pfa_write_queue q set last_error = d.error from unnest(dead) d where q.id = d.queue_id;
    perform finalize_rows(array(select d.queue_id from unnest(dead) d), 'failed', null);
end
$$;

-- Ends rows as conflicts for a person to resolve.
create function finalize_conflicts(judgements judgement[], detected text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if coalesce(cardinality(judgements), 0) = 0 then
        return;
    end if;
    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, queue_id, author, detected,
                                   local_version, mirror_version, pems_version, base_data, local_data, pems_data,
                                   conflict_fields, code, message)
    select j.organization_id, j.pfa_id, j.mirror_id, j.modification_id, q.id, j.author, finalize_conflicts.detected,
           j.base_version, j.mirror_version, p.pems_version, j.base, j.delta, j.theirs, j.conflicts,
           coalesce(j.cause, 'CHANGED_IN_PEMS'),
           coalesce(j.message,
                    format('%s changed in PEMS since this edit was begun', array_to_string(j.conflicts, ', ')))
      from unnest(judgements) j
      join pfa_write_queue q on q.modification_id = j.modification_id
      left join pems_record p on p.mirror_id = j.mirror_id and p.mirror_version = j.mirror_version;
    perform log_changes('CONFLICT_DETECTED', false, array(
        select row(q.id, jsonb_build_object('ours', j.delta, 'theirs', j.seen, 'base', j.base,
                                            'fields', to_jsonb(j.conflicts)), null, j.message)::log_entry
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id));
    perform finalize_rows(array(select q.id from unnest(judgements) j
                                  join pfa_write_queue q on q.modification_id = j.modification_id), 'conflict', null);
    perform set_sync_state(array(select j.modification_id from unnest(judgements) j), 'conflict');
end
$$;

-- Ends what PEMS has confirmed, or what it holds already: mirror, history, modification, archive and log together.
--
-- The mirror takes the change unless a pull already brought a record of that version or a later one. When the mirror
-- moved without us since the claim, PEMS' version of it stays unknown: the next write reads the record first.
create function finalize_completed(written completion[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[] := array(select w.queue_id from unnest(written) w);
    changes   mirror_change[];
begin
    if cardinality(queue_ids) = 0 then
        return;
    end if;
    changes := array(
        select row(r.mirror_id, with_derived(r.data || q.request), w.updated_at, q.author, q.reason,
                   true)::mirror_change
          from unnest(written) w
          join pfa_write_queue q on q.id = w.queue_id
          join mirror r on r.mirror_id = q.mirror_id
          left join pems_record p on p.mirror_id = q.mirror_id
         where w.version is not null and (p.pems_version is null or p.pems_version < w.version));
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at)
    select q.mirror_id, w.version,
           case when p.mirror_version = r.version and p.pems_version = q.expected_version then r.version + 1
                else -1 end,
           w.updated_at
      from unnest(written) w
      join pfa_write_queue q on q.id = w.queue_id
      join mirror r on r.mirror_id = q.mirror_id
      left join pems_record p on p.mirror_id = q.mirror_id
     where w.version is not null
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version,
                  pems_updated_at = excluded.pems_updated_at, known_at = excluded.known_at
        where p.pems_version < excluded.pems_version;
    perform change_mirrors(changes);

    update pfa_write_queue q
       set mirror_version = r.version
      from mirror r
     where q.id = any (queue_ids) and r.mirror_id = q.mirror_id;
    perform log_changes('SYNCED', true,
        array(select row(w.queue_id, null, w.response, null)::log_entry from unnest(written) w));
    -- A pull may have read the record of that version before PEMS' answer was reported.
    perform log_changes('STORED_DIFFERENTLY', false, array(
        select row(q.id, d.differs, null, null)::log_entry
          from unnest(written) w
          join pfa_write_queue q on q.id = w.queue_id
          join mirror r on r.mirror_id = q.mirror_id
          join pems_record p on p.mirror_id = q.mirror_id and p.pems_version = w.version
                            and p.mirror_version = r.version
         cross join lateral stored_differently(q.request, r.data) d (differs)
         where not r.data @> q.request and d.differs is not null));
    perform finalize_rows(queue_ids, 'completed', null);
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', q.modification_id, 'syncState', 'synced', 'syncError', null,
                   'syncedAt', now() at time zone 'utc', 'pemsVersion', coalesce(w.version, p.pems_version)))
          from unnest(written) w
          join pfa_write_queue_archive q on q.id = w.queue_id
          left join pems_record p on p.mirror_id = q.mirror_id));
end
$$;

-- Ends what a judgement ends, and leaves the rest. detected says when it was judged: commit, claim or pems.
create function finalize_judged(judgements judgement[], detected text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform finalize_dead_letters(array(
        select row(q.id,
                   case when j.errors <> '[]' then 'INVALID' else 'FORBIDDEN' end,
                   case when j.errors <> '[]'
                        then (select string_agg(e->>'message', '; ') from jsonb_array_elements(j.errors) e)
                        else format('%s lacks %s', j.author, array_to_string(j.missing, ', ')) end,
                   null, null)::dead_letter
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
         where j.outcome = 'failed'));
    perform finalize_conflicts(array(select j from unnest(judgements) j where j.outcome = 'conflict'), detected);
end
$$;

-- How a queue row ends: one function for each end, called by every path that leads there. The caller holds the locks:
-- modifications, then mirror rows, by id.

-- Moves rows to the archive, and makes the next change of each of their records its head. mirror_versions: the versions
-- that they made, in the order of queue_ids; null = none. event: the log entry of each, with PEMS' responses in the
-- same order; null = none.
create function finalize_rows(queue_ids bigint[], status text, error text, mirror_versions int[] default null,
                              event text default null, responses jsonb[] default null)
    returns void
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
        delete from pfa_write_queue q
         using unnest(queue_ids, finalize_rows.mirror_versions, responses) v (id, made, response)
         where q.id = v.id
        returning q.*, v.made, v.response),
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
               coalesce(e.made, e.mirror_version)
          from ended e),
    -- From the rows at hand, without reading them again as log_changes() would.
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id,
                                   batch_id, changes, pems_response, success)
        select event, e.organization_id, e.author, e.pfa_id, e.modification_id, e.id, e.job_id, e.batch_id, e.request,
               e.response, true
          from ended e where event is not null)
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
     where q.id = (select n.id from pfa_write_queue n
                    where n.mirror_id = r.mirror_id and place_in_record(n.head, n.id) > r.id
                    order by place_in_record(n.head, n.id) limit 1);
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

-- A change that ends as completed, with all that this needs. data: the record that the mirror takes, null = it keeps
-- its own; mirror_version: the mirror's version then; known_at_version: that to which PEMS' version belongs; differs:
-- what PEMS stores otherwise, see stored_differently().
create type completed_change as (
    queue_id         bigint,
    mirror_id        text,
    modification_id  text,
    author           text,
    reason           text,
    data             jsonb,
    mirror_version   int,
    known_at_version int,
    version          bigint,
    pems_version     bigint,
    updated_at       text,
    response         jsonb,
    differs          jsonb
);

-- Ends what PEMS has confirmed, or what it holds already: mirror, history, modification, archive and log together.
--
-- The mirror takes the change unless a pull already brought a record of that version or a later one: then the pull may
-- have read the record before PEMS' answer was reported, and the two are compared. When the mirror moved without us
-- since the claim, PEMS' version of it stays unknown: the next write reads the record first.
create function finalize_completed(written completion[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    completed completed_change[];
    done      record;
begin
    if cardinality(written) = 0 then
        return;
    end if;
    completed := array(
        select row(q.id, q.mirror_id, q.modification_id, q.author, q.reason,
                   case when t.taken then with_derived(n.data) end, r.version + t.taken::int,
                   case when p.mirror_version = r.version and p.pems_version = q.expected_version then r.version + 1
                        else -1 end,
                   w.version, coalesce(w.version, p.pems_version), w.updated_at, w.response,
                   case when not t.taken and p.pems_version = w.version and p.mirror_version = r.version
                             and not r.data @> q.request
                        then (select d from stored_differently(q.request, r.data) d) end)::completed_change
          from unnest(written) w
         cross join lateral (select * from pfa_write_queue q where q.id = w.queue_id offset 0) q
          left join lateral (select * from mirror r where r.mirror_id = q.mirror_id offset 0) r on true
          left join lateral (select * from pems_record p where p.mirror_id = q.mirror_id offset 0) p on true
         cross join lateral (
             select w.version is not null and r.mirror_id is not null
                    and (p.pems_version is null or p.pems_version < w.version) offset 0) t (taken)
         cross join lateral (select r.data || q.request offset 0) n (data));
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at)
    select c.mirror_id, c.version, c.known_at_version, c.updated_at from unnest(completed) c where c.data is not null
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version,
                  pems_updated_at = excluded.pems_updated_at, known_at = excluded.known_at
        where p.pems_version < excluded.pems_version;
    perform change_mirrors(array(
        select row(c.mirror_id, c.data, c.updated_at, c.author, c.reason, true)::mirror_change
          from unnest(completed) c where c.data is not null));
    select array_agg(c.queue_id) as ids, array_agg(c.modification_id) as modifications,
           array_agg(c.mirror_version) as made, array_agg(c.pems_version::int) as versions,
           array_agg(c.response) as responses, bool_or(c.differs is not null) as differ
      into done
      from unnest(completed) c;
    if done.differ then
        perform log_changes('STORED_DIFFERENTLY', false,
            array(select row(c.queue_id, c.differs, null, null)::log_entry
                    from unnest(completed) c where c.differs is not null));
    end if;
    perform finalize_rows(done.ids, 'completed', null, done.made, 'SYNCED', done.responses);
    perform write_synced(done.modifications, done.versions);
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

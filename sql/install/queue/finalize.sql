-- How a queue row ends: one function for each ending, called by every road that leads there. The caller holds the
-- locks: modifications, then mirrors, by id.

-- Moves rows to the archive, and makes the next change of each of their records its head.
create function finalize_rows(queue_ids bigint[], ending text, error text) returns void
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
            id, job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, reason, payload, base, accepted, base_version,
            priority, status, head, scheduled_at, created_at, retry_count, rejudgements, attempt, relay, batch_id, request, request_revision,
            expected_version, sent_at, last_error, completed_at, mirror_version)
        select e.id, e.job_id, e.organization_id, e.mirror_id, e.modification_id, e.pfa_id, e.operation, e.author, e.reason, e.payload, e.base,
               e.accepted, e.base_version, e.priority, ending, false, e.scheduled_at, e.created_at, e.retry_count, e.rejudgements, e.attempt,
               e.relay, e.batch_id, e.request, e.request_revision, e.expected_version, e.sent_at, coalesce(error, e.last_error), now(),
               e.mirror_version
          from ended e)
    select array_agg(e.mirror_id), array_agg(e.id) into records, heads from ended e where e.head;

    perform promote_heads(records, heads);
end
$$;

-- Makes the first live row of each record, after the head that ended, its head. The caller holds the mirror locks.
-- Looking only behind that head spares the record's ended rows, of which a hot record has many.
create function promote_heads(records text[], ended bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    due timestamptz := clock_timestamp();
begin
    update pfa_write_queue q
       set head = true, scheduled_at = due
      from unnest(records, ended) r (mirror_id, id)
     where q.id = (select n.id from pfa_write_queue n where n.mirror_id = r.mirror_id and n.id > r.id order by n.id limit 1);
end
$$;

-- Ends rows as dead letters. dead holds {queue_id, code, error, http_status, response} objects.
create function finalize_dead_letters(dead jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    with letter as materialized (
        select d.*, q.organization_id, q.pfa_id, q.modification_id, q.author, q.job_id, q.batch_id, q.request
          from jsonb_to_recordset(dead) d (queue_id bigint, code text, error text, http_status int, response jsonb)
          join pfa_write_queue q on q.id = d.queue_id),
    stored as (
        insert into pfa_write_queue_dlq (queue_id, organization_id, pfa_id, modification_id, code, error, http_status, pems_response)
        select l.queue_id, l.organization_id, l.pfa_id, l.modification_id, l.code, l.error, l.http_status, l.response from letter l),
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes,
                                   pems_response, success, error_message)
        select 'DEAD_LETTER', l.organization_id, l.author, l.pfa_id, l.modification_id, l.queue_id, l.job_id, l.batch_id, l.request,
               l.response, false, l.error from letter l)
    update pfa_write_queue q set last_error = l.error from letter l where q.id = l.queue_id;

    perform finalize_rows(array(select (d->>'queue_id')::bigint from jsonb_array_elements(dead) d), 'failed', null);
    update modification m
       set sync_state = 'sync_error', sync_error = d.error, updated_at = now() at time zone 'utc'
      from pfa_write_queue_dlq d
     where d.queue_id in (select (e->>'queue_id')::bigint from jsonb_array_elements(dead) e)
       and m.modification_id = d.modification_id;
end
$$;

-- Ends rows as questions to a person.
create function finalize_conflicts(judgements judgement[], detected text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[];
begin
    with question as materialized (
        select q.id as queue_id, q.job_id, q.batch_id, j.*, p.pems_version
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
          left join pems_record p on p.mirror_id = j.mirror_id and p.mirror_version = j.mirror_version),
    stored as (
        insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, queue_id, author, detected, local_version,
                                       mirror_version, pems_version, base_data, local_data, pems_data, conflict_fields, message)
        select c.organization_id, c.pfa_id, c.mirror_id, c.modification_id, c.queue_id, c.author, finalize_conflicts.detected, c.base_version,
               c.mirror_version, c.pems_version, c.base, c.changes, c.theirs, c.conflicts,
               coalesce(c.message, format('%s changed in PEMS since this edit was begun', array_to_string(c.conflicts, ', ')))
          from question c),
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes, success, error_message)
        select 'CONFLICT_DETECTED', c.organization_id, c.author, c.pfa_id, c.modification_id, c.queue_id, c.job_id, c.batch_id,
               jsonb_build_object('ours', c.changes, 'theirs', c.seen, 'base', c.base, 'fields', to_jsonb(c.conflicts)), false, c.message
          from question c)
    select array_agg(c.queue_id) into queue_ids from question c;

    perform finalize_rows(queue_ids, 'conflict', null);
    update modification m
       set sync_state = 'conflict', updated_at = now() at time zone 'utc'
      from unnest(judgements) j
     where m.modification_id = j.modification_id;
end
$$;

-- Ends what PEMS has confirmed, or what it already holds: mirror, history, modification, archive and log together.
-- written holds {queue_id, version, updated_at, response} objects; version null = nothing was sent, since PEMS has it.
--
-- The mirror takes the change unless a pull already brought a record of that version or a later one. When the mirror
-- moved without us since the claim, PEMS' version of it stays unknown: the next write reads the record first.
create function finalize_completed(written jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[] := array(select (w->>'queue_id')::bigint from jsonb_array_elements(written) w);
    changes   mirror_change[];
begin
    if cardinality(queue_ids) = 0 then
        return;
    end if;
    changes := array(
        select row(r.mirror_id, with_derived(r.data || q.request), w.updated_at, q.author, q.reason, true)::mirror_change
          from jsonb_to_recordset(written) w (queue_id bigint, version bigint, updated_at text)
          join pfa_write_queue q on q.id = w.queue_id
          join mirror r on r.mirror_id = q.mirror_id
          left join pems_record p on p.mirror_id = q.mirror_id
         where w.version is not null and (p.pems_version is null or p.pems_version < w.version));
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at)
    select q.mirror_id, w.version, case when p.mirror_version = r.version and p.pems_version = q.expected_version then r.version + 1 else -1 end,
           w.updated_at
      from jsonb_to_recordset(written) w (queue_id bigint, version bigint, updated_at text)
      join pfa_write_queue q on q.id = w.queue_id
      join mirror r on r.mirror_id = q.mirror_id
      left join pems_record p on p.mirror_id = q.mirror_id
     where w.version is not null
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version, pems_updated_at = excluded.pems_updated_at
        where p.pems_version < excluded.pems_version;
    perform change_mirrors(changes);

    with finished as (
        update pfa_write_queue q
           set mirror_version = r.version
          from mirror r
         where q.id = any (queue_ids) and r.mirror_id = q.mirror_id)
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes, pems_response, success)
    select 'SYNCED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.batch_id, q.request, w.response, true
      from jsonb_to_recordset(written) w (queue_id bigint, response jsonb)
      join pfa_write_queue q on q.id = w.queue_id;
    perform finalize_rows(queue_ids, 'completed', null);
    update modification m
       set sync_state = 'synced', synced_at = now() at time zone 'utc', sync_error = null, updated_at = now() at time zone 'utc',
           pems_version = coalesce(w.version, p.pems_version)
      from jsonb_to_recordset(written) w (queue_id bigint, version bigint)
      join pfa_write_queue_archive q on q.id = w.queue_id
      left join pems_record p on p.mirror_id = q.mirror_id
     where m.modification_id = q.modification_id;
end
$$;

-- Ends what a judgement ends, and leaves the clean. detected says when it was judged: commit, claim or pems.
create function finalize_judged(judgements judgement[], detected text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    dead      jsonb;
    contested judgement[];
begin
    select jsonb_agg(jsonb_build_object('queue_id', q.id,
               'code', case when j.errors <> '[]' then 'INVALID' else 'FORBIDDEN' end,
               'error', case when j.errors <> '[]' then (select string_agg(e->>'message', '; ') from jsonb_array_elements(j.errors) e)
                        else format('%s lacks %s', j.author, array_to_string(j.missing, ', ')) end))
      into dead
      from unnest(judgements) j
      join pfa_write_queue q on q.modification_id = j.modification_id
     where j.verdict = 'failed';
    if dead is not null then
        perform finalize_dead_letters(dead);
    end if;
    contested := array(select j from unnest(judgements) j where j.verdict = 'conflict');
    if cardinality(contested) > 0 then
        perform finalize_conflicts(contested, detected);
    end if;
end
$$;

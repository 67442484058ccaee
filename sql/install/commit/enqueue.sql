-- From committed to queued: judge, then refuse, queue or record a conflict, then wake the relays.
--
-- The functions of this path that read the queue switch off the plans that read it whole (and JIT compilation, which
-- their penalty would trigger): a session of the application keeps its plans, and plans that were made while the queue
-- was empty would read all of it once for each change when it is not.

-- Judges and queues committed modifications that have no live queue row. The caller has locked them.
-- With refuse_bad, an invalid or forbidden one fails the statement; without, it becomes a dead letter.
create function enqueue(modification_ids text[], kind text, refuse_bad boolean)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    round_ids  text[];
    rest       text[];
    tied       text[];
    bad        judgement[];
    done       text[] := '{}';
    wanted     int;
    judgements judgement[];
    refused    judgement[] := '{}';
begin
    -- The record's lock makes its queue order its commit order.
    perform lock_records(array(select m.mirror_id from unnest(modification_ids) i (id)
                                 join modification m on m.modification_id = i.id));
    rest := array(select m.modification_id from unnest(modification_ids) i (id)
                    join modification m on m.modification_id = i.id
                   where not exists (select from pfa_write_queue q where q.modification_id = m.modification_id));
    wanted := cardinality(rest);
    -- A conflict that the application commits again is judged anew.
    perform close_conflicts(rest);
    perform close_dead_letters(rest, 'requeued', null, null);
    -- Several changes of one record are judged one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := array(select distinct on (m.mirror_id) m.modification_id
                             from unnest(rest) i (id) join modification m on m.modification_id = i.id
                            order by m.mirror_id, m.created_at, m.modification_id);
        rest := case when cardinality(round_ids) < cardinality(rest)
                     then array(select unnest(rest) except select unnest(round_ids)) else '{}' end;
        if tied is null then
            tied := case when rest = '{}' then '{}' else edits_of_one_moment(round_ids || rest) end;
        end if;
        judgements := array(select j from judge_modifications(round_ids) j order by j.mirror_id);
        if refuse_bad then
            bad := array(select j from unnest(judgements) j where j.outcome = 'failed');
            if cardinality(bad) > 0 then
                -- The others go on, so that one refusal names all that is invalid or forbidden.
                refused := refused || bad;
                judgements := array(select j from unnest(judgements) j where j.outcome <> 'failed');
            end if;
        end if;
        judgements := resolve_by_rule(judgements, 'commit');
        if cardinality(tied) > 0 then
            judgements := ask_for_order(judgements, done);
            done := done || array(select unnest(round_ids) intersect select unnest(tied));
        end if;
        return query select e.organization_id, e.queued, e.failed from enqueue_judged(judgements, kind) e;
    end loop;
    perform refuse(refused, wanted);
end
$$;

-- Those of some modifications that another one of the same record and the same moment stands beside.
create function edits_of_one_moment(modification_ids text[]) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    return array(
        select t.modification_id
          from (select m.modification_id, count(*) over (partition by m.mirror_id, m.created_at) as edits
                  from unnest(modification_ids) i (id) join modification m on m.modification_id = i.id) t
         where t.edits > 1);
end
$$;

-- Changes of one record that were made at the same moment have no order: ids are texts, and a transaction has one
-- time. Where one of those before set the same field to another value, the change is a conflict for a person to decide.
create function ask_for_order(judgements judgement[], before text[]) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select case when t.fields is null or j.outcome <> 'pending' then j
                    else jsonb_populate_record(j, jsonb_build_object('outcome', 'conflict', 'conflicts', t.fields,
                        'cause', 'NO_ORDER',
                        'message', format('%s set by two edits of one moment: nothing tells which is the later one',
                                          array_to_string(t.fields, ', ')))) end
          from unnest(judgements) j
          join modification m on m.modification_id = j.modification_id
         cross join lateral (
             select array_agg(distinct f.key order by f.key) as fields
               from unnest(before) i (id)
               join modification b on b.modification_id = i.id and b.mirror_id = m.mirror_id
                                  and b.created_at = m.created_at
              cross join lateral jsonb_each(canonical(b.delta)) f
              where j.delta ? f.key and j.delta->f.key <> f.value) t);
end
$$;

-- Writes the queue rows, jobs and log entries of judged changes.
create function insert_queue_rows(judgements judgement[], kind text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    with judged as materialized (
        select * from unnest(judgements)),
    job as (
        insert into sync_job (kind, organization_id, user_id, records)
        select insert_queue_rows.kind, j.organization_id, j.author, count(*)
          from judged j group by j.organization_id, j.author
        returning job_id, organization_id, user_id),
    queued as (
        insert into pfa_write_queue (job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author,
                                     reason, payload, base, accepted, base_version, content, head)
        select job.job_id, j.organization_id, j.mirror_id, j.modification_id, coalesce(j.pfa_id, ''), j.operation,
               j.author, j.reason, j.delta, j.base, nullif(j.seen, j.base), j.base_version,
               (select content_of(m.mirror_id, m.organization_id, m.user_id, m.delta) from modification m
                 where m.modification_id = j.modification_id),
               not exists (select from pfa_write_queue q where q.mirror_id = j.mirror_id and q.head)
          from judged j
          join job on job.organization_id = j.organization_id and job.user_id = j.author
        returning id, job_id, organization_id, author, pfa_id, modification_id, payload)
    -- Written from the rows at hand, without reading them again as log_changes() would.
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, changes,
                               success)
    select 'COMMITTED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.payload, true
      from queued q;
end
$$;

-- Queues judged changes; those that can't be sent end at once.
create function enqueue_judged(judgements judgement[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    if current_setting('transaction_isolation') = 'read committed' then
        perform insert_queue_rows(judgements, kind);
    else
        -- An older snapshot does not show another session's row that waits for the same record; the index does.
        begin
            perform insert_queue_rows(judgements, kind);
        exception when unique_violation then
            raise exception 'another transaction has committed an edit of the same record meanwhile'
                using errcode = 'serialization_failure', hint = 'Run the transaction again.';
        end;
    end if;

    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, queue_id, author, detected,
                                   local_version, mirror_version, base_data, local_data, pems_data, conflict_fields,
                                   message, status, resolution, merged_data, resolved_by, resolved_at)
    select j.organization_id, j.pfa_id, j.mirror_id, j.modification_id, q.id, j.author, 'commit', j.base_version,
           j.mirror_version, j.base, j.delta, j.theirs, '{}',
           'the record had moved on in other fields: the change was rebased', 'resolved_auto', 'merge', j.delta,
           'three-way merge', now()
      from unnest(judgements) j
      join pfa_write_queue q on q.modification_id = j.modification_id
     where j.base_version <> j.mirror_version and j.outcome = 'pending';

    perform finalize_judged(judgements, 'commit');
    perform finalize_completed(array(
        select row(q.id, null, null, null)::completion
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
         where j.outcome = 'pending' and j.delta = '{}'));
    if exists (select from unnest(judgements) j where j.outcome = 'pending') then
        perform wake();
    end if;
    return query
        select j.organization_id, count(*) filter (where j.outcome <> 'failed'),
               count(*) filter (where j.outcome = 'failed')
          from unnest(judgements) j group by 1;
end
$$;

-- What the triggers call for modifications that came into state committed.
create function commit_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if cardinality(modification_ids) > 0 then
        perform enqueue(modification_ids, 'commit', true);
    end if;
end
$$;

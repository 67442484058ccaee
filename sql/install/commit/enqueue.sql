-- From committed to queued: judge, then refuse, queue or record a conflict, then wake the relays.
--
-- What serves a rare case (a refusal, a conflict, a rebase) runs only if the statement that looks at all changes found
-- one. The statements read the queue by subqueries in the list of columns and by lateral ones with offset 0: the
-- planner can only look each row up by an index, also where it believes that the queue is empty.

-- How many modifications of an organization were queued, and how many have failed.
create type enqueue_count as (
    organization_id text,
    queued          bigint,
    failed          bigint
);

-- Judges and queues those committed edits that have no live queue row. The caller has locked their modifications, so
-- that no queue row of theirs comes or goes meanwhile.
-- With refuse_bad, an invalid or forbidden one fails the statement, and nothing is counted; without, it becomes a dead
-- letter.
create function enqueue(edits edit[], kind text, refuse_bad boolean) returns enqueue_count[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    given       record;
    rest        edit[];
    round       edit[];
    permissions text[];
    tied        text[];
    done        text[] := '{}';
    wanted      int;
    records     int;
    judgements  judgement[];
    judged      judgement;
    plain       boolean;
    kinds       judged_kinds;
    refused     judgement[] := '{}';
    counts      enqueue_count[] := '{}';
    job         bigint;
begin
    select array_agg(c.edit) as edits, array_agg(c.mirror_id) as records,
           min(c.user_id) as author, min(c.organization_id) as organization,
           min(c.user_id) = max(c.user_id) and min(c.organization_id) = max(c.organization_id) as of_one_author,
           bool_or(c.disputed) as disputed, bool_or(c.dead) as dead
      into given
      from (select e as edit, e.mirror_id, e.user_id, e.organization_id,
                   (select true from pfa_sync_conflict s
                     where s.modification_id = e.modification_id and s.status = 'unresolved' limit 1) as disputed,
                   (select true from pfa_write_queue_dlq d
                     where d.modification_id = e.modification_id and d.status = 'open' limit 1) as dead
              from unnest(edits) e
             where (select q.id from pfa_write_queue q where q.modification_id = e.modification_id) is null) c;
    rest := given.edits;
    if rest is null then
        return counts;
    end if;
    -- The record's lock makes its queue order its commit order.
    records := cardinality(lock_records(given.records));
    wanted := cardinality(rest);
    -- A conflict or dead letter that the application commits again is judged anew.
    if given.disputed then
        perform close_conflicts(array(select e.modification_id from unnest(rest) e));
    end if;
    if given.dead then
        perform close_dead_letters(array(select e.modification_id from unnest(rest) e), 'requeued', null, null);
    end if;
    if given.of_one_author then
        permissions := permissions_of(given.author, given.organization);
    end if;
    -- Several changes of one record are judged one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        if cardinality(rest) = 1 or wanted = records then
            round := rest;
            rest := '{}';
        else
            select array_agg(o.edit) filter (where o.place = 1), array_agg(o.edit) filter (where o.place > 1)
              into round, rest
              from (select e as edit, row_number() over (partition by e.mirror_id
                                                         order by e.created_at, e.modification_id) as place
                      from unnest(rest) e) o;
            rest := coalesce(rest, '{}');
        end if;
        if tied is null then
            tied := case when cardinality(rest) = 0 then '{}' else edits_of_one_moment(round || rest) end;
        end if;
        judgements := case when given.of_one_author then judge_edits(round, permissions)
                           else judge_edits_of_authors(round) end;
        -- Most statements have but plain changes: a loop that meets no other needs no query.
        plain := true;
        foreach judged in array judgements loop
            plain := judged.outcome = 'pending' and judged.base_version = judged.mirror_version
                     and judged.delta <> '{}';
            exit when not plain;
        end loop;
        if plain then
            kinds := row(true, false, false, false);
        else
            kinds := kinds_of(judgements);
        end if;
        if kinds.ending then
            if refuse_bad then
                -- The others go on, so that one refusal names all that is invalid or forbidden.
                refused := refused || array(select j from unnest(judgements) j where j.outcome = 'failed');
                judgements := array(select j from unnest(judgements) j where j.outcome <> 'failed');
            end if;
            judgements := resolve_by_rule(judgements, 'commit');
            kinds := kinds_of(judgements);
        end if;
        if cardinality(tied) > 0 then
            judgements := ask_for_order(judgements, done);
            kinds := kinds_of(judgements);
            done := done || array(select e.modification_id from unnest(round) e where e.modification_id = any (tied));
        end if;
        if given.of_one_author then
            -- All rounds are one job.
            job := enqueue_judged(judgements, kind, kinds, job);
        else
            perform enqueue_judged(a.judgements, kind, kinds_of(a.judgements))
               from (select array_agg(j) as judgements from unnest(judgements) j
                      group by j.organization_id, j.author) a;
        end if;
        if not refuse_bad then
            counts := counts || array(
                select row(j.organization_id, count(*) filter (where j.outcome <> 'failed'),
                           count(*) filter (where j.outcome = 'failed'))::enqueue_count
                  from unnest(judgements) j group by j.organization_id);
        end if;
    end loop;
    if cardinality(refused) > 0 then
        perform refuse(refused, wanted);
    end if;
    return counts;
end
$$;

-- The ids of those edits that another one of the same record and the same moment stands beside.
create function edits_of_one_moment(edits edit[]) returns text[]
    language plpgsql immutable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select t.modification_id
          from (select e.modification_id, count(*) over (partition by e.mirror_id, e.created_at) as edits
                  from unnest(edits) e) t
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
                        'theirs', (select with_queued(r.mirror_id, with_pfa_id(r.data, r.pfa_id)) from mirror r
                                    where r.mirror_id = j.mirror_id),
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

-- Queues judged changes, of the given kinds: writes their queue rows, job and log entries; those that can't be sent end
-- at once. job: the one that they belong to, which is returned; null = one is made, and all are of one author in one
-- organization. guarded: the caller translates the violation of a record's order.
create function enqueue_judged(judgements judgement[], kind text, kinds judged_kinds, job bigint default null,
                               guarded boolean default false)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    first    judgement := judgements[1];
    -- One for all: a row's id is in its key, too.
    seed     uuid := gen_random_uuid();
    violated text;
begin
    if cardinality(judgements) = 0 then
        return job;
    end if;
    if not guarded and current_setting('transaction_isolation') <> 'read committed' then
        -- An older snapshot does not show another session's row that waits for the same record; the index does.
        begin
            return enqueue_judged(judgements, enqueue_judged.kind, kinds, job, true);
        exception when unique_violation then
            get stacked diagnostics violated = constraint_name;
            if violated <> 'pfa_write_queue_record' then
                raise;
            end if;
            raise exception 'another transaction has committed an edit of the same record meanwhile'
                using errcode = 'serialization_failure', hint = 'Run the transaction again.';
        end;
    end if;
    if job is null then
        insert into sync_job (kind, organization_id, user_id, records)
            values (enqueue_judged.kind, first.organization_id, first.author, cardinality(judgements))
            returning job_id into job;
    elsif kind in ('commit', 'sweep', 'write_sync') then
        -- A further round of the same statement.
        update sync_job j set records = j.records + cardinality(judgements) where j.job_id = job;
    end if;
    with queued as (
        insert into pfa_write_queue (job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author,
                                     reason, payload, base, accepted, base_version, content, head, idempotency_seed)
        select job, j.organization_id, j.mirror_id, j.modification_id, coalesce(j.pfa_id, ''), j.operation,
               j.author, j.reason, j.delta, j.base, nullif(j.seen, j.base), j.base_version,
               coalesce(j.content, content_now(j.modification_id)),
               (select q.id from pfa_write_queue q
                 where q.mirror_id = j.mirror_id and place_in_record(q.head, q.id) = 0) is null,
               seed
          from unnest(judgements) j
        returning id, job_id, organization_id, author, pfa_id, modification_id, payload)
    -- Written from the rows at hand, without reading them again as log_changes() would.
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, changes,
                               success)
    select 'COMMITTED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.payload, true
      from queued q;

    if kinds.rebased then
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
    end if;
    if kinds.ending then
        perform finalize_judged(judgements, 'commit');
    end if;
    if kinds.empty then
        perform finalize_completed(array(
            select row(q.id, null, null, null)::completion
              from unnest(judgements) j
              join pfa_write_queue q on q.modification_id = j.modification_id
             where j.outcome = 'pending' and j.delta = '{}'));
    end if;
    if kinds.waiting then
        perform wake();
    end if;
    return job;
end
$$;

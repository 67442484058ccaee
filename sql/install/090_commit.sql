-- From committed to queued: judge, refuse or queue or ask, wake.
--
-- The functions on this road that meet the queue switch off the plans that read it whole (and compiling, which their
-- penalty would set off): a session of the application keeps its plans, and those made while the queue was empty would read
-- all of it once for each change when it is not.

-- One committed modification with everything the verdict on it needs and holds.
create type judgement as (
    modification_id text,
    mirror_id       text,
    organization_id text,
    pfa_id          text,
    author          text,
    reason          text,
    base_version    int,
    mirror_version  int,
    theirs          jsonb,
    base            jsonb,
    seen            jsonb,
    errors          jsonb,
    missing         text[],
    operation       text,
    changes         jsonb,
    apply           jsonb,
    conflicts       text[],
    message         text,
    verdict         text
);
comment on type judgement is 'The verdict on one change. base and seen hold the changed fields as the author saw them and as they are now; apply is what is left to send; verdict is failed, conflict or pending.';

-- What becomes of a judged change. Its body is bound when it is created, and inlined where it is called.
create function verdict(errors jsonb, missing text[], conflicts text[]) returns text
    language sql immutable security invoker
    return case when errors <> '[]' or missing <> '{}' then 'failed' when conflicts <> '{}' then 'conflict' else 'pending' end;

-- A record with the key that PEMS knows it by, where only the mirror's column has it. Stable, as jsonb_build_object is: an
-- immutable function that calls a stable one is not inlined.
create function addressed(data jsonb, pfa_id text) returns jsonb
    language sql stable security invoker
    return case when data->>'pfaId' is null and pfa_id is not null then data || jsonb_build_object('pfaId', pfa_id) else data end;

-- Judges modifications against the mirror with the record's queued changes laid over it. Stores nothing.
--
-- base is the record at the version the author saw: the mirror itself, its history, or unknown. accepted are the
-- author's own writes since: queued ones, and completed ones of later versions.
create function judge_modifications(modification_ids text[]) returns setof judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    return query
    with change as materialized (
        select m.modification_id, m.mirror_id, m.organization_id, m.user_id, m.change_reason, m.base_version, m.delta,
               r.organization_id as mirror_organization, r.version, addressed(r.data, r.pfa_id) as data,
               coalesce(r.pfa_id, r.data->>'pfaId') as pfa_id
          -- A look-up for each, whatever the planner believes: it would rather read the whole mirror for many.
          from unnest(modification_ids) i (id)
         cross join lateral (select * from modification m where m.modification_id = i.id offset 0) m
         cross join lateral (select * from mirror r where r.mirror_id = m.mirror_id offset 0) r),
    author as materialized (
        select a.user_id, a.organization_id, permissions_of(a.user_id, a.organization_id) as permissions
          from (select distinct c.user_id, c.organization_id from change c) a),
    queued as materialized (
        select c.modification_id,
               laid_over(q.payload order by q.id) as ahead,
               laid_over(q.payload order by q.id) filter (where q.author = c.user_id) as own
          from change c
          join pfa_write_queue q on q.mirror_id = c.mirror_id and q.modification_id <> c.modification_id
         group by c.modification_id),
    written as materialized (
        select c.modification_id, laid_over(a.request order by a.id) as own
          from change c
          join pfa_write_queue_archive a on a.mirror_id = c.mirror_id and a.author = c.user_id
                                        and a.status = 'completed' and a.mirror_version > c.base_version
         where c.base_version <> c.version
         group by c.modification_id),
    seen as (
        select c.*,
               case when q.ahead is null then c.data else c.data || q.ahead end as theirs,
               c.base_version = c.version and q.ahead is null as unmoved,
               case when c.base_version = c.version and q.ahead is null then null
                    when c.base_version = c.version then c.data
                    else (select h.data from mirror_history h
                           where h.mirror_id = c.mirror_id and h.version = c.base_version
                           order by h.archived_at desc limit 1) end as base,
               case when w.own is null then q.own when q.own is null then w.own else w.own || q.own end as own
          from change c
          left join queued q using (modification_id)
          left join written w using (modification_id))
    select s.modification_id, s.mirror_id, s.organization_id, s.pfa_id, s.user_id, s.change_reason, s.base_version, s.version, s.theirs,
           case when s.unmoved then j.seen else j.base end, j.seen, e.errors, j.missing, j.operation, j.changes, j.apply, j.conflicts, null::text,
           verdict(e.errors, j.missing, j.conflicts)
      from seen s
      join author a using (user_id, organization_id)
      cross join lateral judge(s.theirs, s.delta, s.base, s.own, a.permissions, s.unmoved) j
     cross join lateral (
         select case when s.organization_id = s.mirror_organization then j.errors
                     else j.errors || jsonb_build_object('field', null, 'code', 'BUSINESS_RULE_VIOLATION',
                         'message', 'the modification names another organization than its record') end) e (errors);
end
$$;

-- Fails the statement when a change is invalid or forbidden, with all of them in DETAIL as JSON.
create function refuse(judgements judgement[]) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    refused bigint;
    invalid bigint;
    first   text;
    detail  jsonb;
begin
    select count(*), count(*) filter (where j.errors <> '[]'),
           (array_agg(format('record %s: %s', coalesce(j.pfa_id, '(no pfaId)'),
                case when j.errors <> '[]' then j.errors->0->>'message'
                     else format('user %s lacks %s', j.author, array_to_string(j.missing, ', ')) end) order by j.errors = '[]', j.modification_id))[1],
           jsonb_agg(jsonb_build_object('modification', j.modification_id, 'pfaId', j.pfa_id, 'errors', j.errors, 'missing', to_jsonb(j.missing))
                order by j.modification_id)
      into refused, invalid, first, detail
      from unnest(judgements) j
     where j.verdict = 'failed';
    if refused = 0 then
        return;
    end if;
    raise exception '% of % changes can''t be committed; %', refused, cardinality(judgements), first
        using errcode = case when invalid > 0 then 'PF001' else 'PF002' end,
              detail = detail::text,
              hint = 'DETAIL lists every change that is invalid or not permitted; nothing of this statement was committed.';
end
$$;

-- Judges and queues committed modifications that have no live queue row. The caller has locked them.
-- With refuse_bad, an invalid or forbidden one fails the statement; without, it becomes a dead letter.
create function enqueue(modification_ids text[], kind text, refuse_bad boolean)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    round_ids  text[];
    rest       text[];
    judgements judgement[];
begin
    -- The record's lock makes its queue order its commit order.
    perform from mirror r
      where r.mirror_id = any (array(select m.mirror_id from unnest(modification_ids) i (id) join modification m on m.modification_id = i.id))
      order by r.mirror_id for no key update;
    rest := array(select m.modification_id from unnest(modification_ids) i (id) join modification m on m.modification_id = i.id
                   where not exists (select from pfa_write_queue q where q.modification_id = m.modification_id));
    -- A conflict that the application commits again is judged anew.
    perform close_conflicts(rest);
    perform close_dead_letters(rest, 'requeued', null, null);
    -- Several changes of one record are judged one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := array(select distinct on (m.mirror_id) m.modification_id
                             from unnest(rest) i (id) join modification m on m.modification_id = i.id
                            order by m.mirror_id, m.created_at, m.modification_id);
        rest := case when cardinality(round_ids) < cardinality(rest) then array(select unnest(rest) except select unnest(round_ids)) else '{}' end;
        judgements := array(select j from judge_modifications(round_ids) j order by j.mirror_id);
        if refuse_bad then
            perform refuse(judgements);
        end if;
        judgements := settled_by_rule(judgements, 'commit');
        return query select e.organization_id, e.queued, e.failed from enqueue_judged(judgements, kind) e;
    end loop;
end
$$;

-- The queue rows, jobs and log rows of judged changes.
create function insert_judged(judgements judgement[], kind text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    with judged as materialized (
        select * from unnest(judgements)),
    job as (
        insert into sync_job (kind, organization_id, user_id, records)
        select insert_judged.kind, j.organization_id, j.author, count(*) from judged j group by j.organization_id, j.author
        returning job_id, organization_id, user_id),
    entered as (
        insert into pfa_write_queue (job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, reason,
                                     payload, base, accepted, base_version, head)
        select job.job_id, j.organization_id, j.mirror_id, j.modification_id, coalesce(j.pfa_id, ''), j.operation, j.author, j.reason,
               j.changes, j.base, nullif(j.seen, j.base), j.base_version,
               not exists (select from pfa_write_queue q where q.mirror_id = j.mirror_id and q.head)
          from judged j
          join job on job.organization_id = j.organization_id and job.user_id = j.author
        returning id, job_id, organization_id, author, pfa_id, modification_id, payload)
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, changes, success)
    select 'COMMITTED', e.organization_id, e.author, e.pfa_id, e.modification_id, e.id, e.job_id, e.payload, true
      from entered e;
end
$$;

-- Queues judged changes; those that are not clean end at once.
create function enqueue_judged(judgements judgement[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    if current_setting('transaction_isolation') = 'read committed' then
        perform insert_judged(judgements, kind);
    else
        -- An older snapshot doesn't show another's row that waits for the same record; the index does.
        begin
            perform insert_judged(judgements, kind);
        exception when unique_violation then
            raise exception 'somebody else committed an edit of the same record meanwhile'
                using errcode = 'serialization_failure', hint = 'Run the transaction again.';
        end;
    end if;

    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, queue_id, author, detected, local_version, mirror_version,
                                   base_data, local_data, pems_data, conflict_fields, message, status, resolution, merged_data, resolved_by, resolved_at)
    select j.organization_id, j.pfa_id, j.mirror_id, j.modification_id, q.id, j.author, 'commit', j.base_version, j.mirror_version,
           j.base, j.changes, j.theirs, '{}', 'the record had moved on in other fields: the change was rebased', 'resolved_auto', 'merge', j.changes,
           'three-way merge', now()
      from unnest(judgements) j
      join pfa_write_queue q on q.modification_id = j.modification_id
     where j.base_version <> j.mirror_version and j.verdict = 'pending';

    perform end_judged(judgements, 'commit');
    perform end_as_completed((
        select coalesce(jsonb_agg(jsonb_build_object('queue_id', q.id)), '[]')
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
         where j.verdict = 'pending' and j.changes = '{}'));
    if exists (select from unnest(judgements) j where j.verdict = 'pending') then
        perform wake();
    end if;
    return query
        select j.organization_id, count(*) filter (where j.verdict <> 'failed'), count(*) filter (where j.verdict = 'failed')
          from unnest(judgements) j group by 1;
end
$$;

-- What the triggers call for modifications that came into committed.
create function commit_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    if cardinality(modification_ids) > 0 then
        perform enqueue(modification_ids, 'commit', true);
    end if;
end
$$;

-- What the triggers call for modifications that left committed, syncing or conflict by another hand than ours: ours
-- ends the queue row first, and finds nothing to do here.
create function withdraw_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    under_way text;
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- Under way by its lease, not its status: every completion comes by here, and must not read the index of all leases.
    select q.modification_id into under_way from pfa_write_queue q
     where q.modification_id = any (modification_ids) and q.lease_until is not null limit 1;
    if found then
        raise exception 'modification % is on its way to PEMS and can''t be withdrawn', under_way
            using errcode = 'PF003', hint = 'Wait for its outcome, then commit a further modification.';
    end if;
    perform forget_modifications(modification_ids);
end
$$;

-- Ends what waits for modifications that were withdrawn or deleted. What is under way finishes from its own payload.
-- actor null = the session's user; handing session_user over would give all parameters its collation, which no index has.
create function forget_modifications(modification_ids text[], actor text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[];
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    queue_ids := array(select q.id from pfa_write_queue q where q.modification_id = any (modification_ids) and q.status = 'pending');
    -- Every completion comes by here with nothing that waits.
    if cardinality(queue_ids) > 0 then
        perform from mirror r where r.mirror_id in (select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids))
          order by r.mirror_id for no key update;
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, success)
        select 'WITHDRAWN', q.organization_id, coalesce(actor, session_user), q.pfa_id, q.modification_id, q.id, q.job_id, true
          from pfa_write_queue q where q.id = any (queue_ids);
        perform end_rows(queue_ids, 'withdrawn', null);
    end if;
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, success)
    select 'WITHDRAWN', c.organization_id, coalesce(actor, session_user), c.pfa_id, c.modification_id, c.queue_id, true
      from pfa_sync_conflict c where c.modification_id = any (modification_ids) and c.status = 'unresolved';
    perform close_conflicts(modification_ids, actor);
end
$$;

-- Closes the open conflicts of modifications that were withdrawn, deleted or committed again: nothing was decided.
create function close_conflicts(modification_ids text[], actor text default null) returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    update pfa_sync_conflict c
       set status = 'resolved_manual', resolved_by = coalesce(actor, session_user), resolved_at = now()
     where c.modification_id = any (modification_ids) and c.status = 'unresolved'
$$;

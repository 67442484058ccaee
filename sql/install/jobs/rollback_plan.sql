-- What a rollback would do to each record, and what stands against it. Nothing is stored.
--
-- Field by field, a rollback is a three-way merge: base is what the job made of the record, ours what the record was
-- before, theirs the record as it is now. A field that has another value now than the job gave it was written by
-- someone else since, and blocks its record. Both values come from the history, by the version that PEMS' answer
-- made; where a version is not there any more, the record is blocked: nothing is guessed.

-- What is to be done to one record. action: restore (some of its changes may be withdrawn as well), withdraw, or
-- blocked, whose cause is a code of the view causes; since and changed_by: who wrote what blocks it, and when.
-- current and restored: the fields that change. withdrawn: modifications that are taken back. author: of the newest
-- change undone.
create type rollback_record as (
    organization_id text,
    mirror_id       text,
    pfa_id          text,
    version         int,
    action          text,
    cause           text,
    detail          text,
    since           timestamptz,
    changed_by      text,
    current         jsonb,
    restored        jsonb,
    withdrawn       text[],
    author          text,
    judged          judgement
);

-- The records of a job, or of one batch of it, in the order of their PEMS ids.
create function records_of_job(job_id bigint, batch_id bigint) returns table (mirror_id text, pfa_id text)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select c.mirror_id, min(c.pfa_id)
      from (select q.mirror_id, q.pfa_id, q.batch_id from pfa_write_queue q where q.job_id = records_of_job.job_id
            union all
            select a.mirror_id, a.pfa_id, a.batch_id from pfa_write_queue_archive a
             where a.job_id = records_of_job.job_id) c
     where records_of_job.batch_id is null or c.batch_id = records_of_job.batch_id
     group by c.mirror_id
     order by 2, 1
$$;

-- The field values before and after a job's confirmed changes of some records, as the history has them. known: both
-- versions are there, and between two changes of the job no other change wrote the field.
create function written_by_job(job_id bigint, batch_id bigint, mirror_ids text[])
    returns table (mirror_id text, field text, before jsonb, after jsonb, version int, known boolean)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with change as materialized (
        select a.id, a.mirror_id, a.request, a.mirror_version
          from pfa_write_queue_archive a
         where a.job_id = written_by_job.job_id and a.mirror_id = any (mirror_ids)
           and (written_by_job.batch_id is null or a.batch_id = written_by_job.batch_id)
           and a.status = 'completed' and a.mirror_version is not null and a.request <> '{}'),
    versions as materialized (
        select c.*, after.data as data_after, before.data as data_before,
               after.data is not null and before.data is not null as known
          from change c
          left join lateral (
              select r.data from mirror r where r.mirror_id = c.mirror_id and r.version = c.mirror_version
              union all
              select h.data from mirror_history h where h.mirror_id = c.mirror_id and h.version = c.mirror_version
              limit 1) after on true
          -- A pull may have brought the change before PEMS' answer was reported: the version before is then the last
          -- one without it.
          left join lateral (
              select h.data, h.version from mirror_history h
               where h.mirror_id = c.mirror_id and h.version < c.mirror_version and not h.data @> c.request
               order by h.version desc limit 1) found on true
          left join lateral (
              select found.data
               where (select count(distinct h.version) from mirror_history h
                       where h.mirror_id = c.mirror_id and h.version >= found.version
                         and h.version < c.mirror_version) = c.mirror_version - found.version) before on true),
    fields as (
        select v.mirror_id, f as field, coalesce(v.data_before->f, 'null') as before,
               coalesce(v.data_after->f, 'null') as after, v.mirror_version, v.known,
               lag(coalesce(v.data_after->f, 'null')) over (partition by v.mirror_id, f order by v.mirror_version, v.id)
                   as after_last,
               row_number() over (partition by v.mirror_id, f order by v.mirror_version, v.id) as nth
          from versions v cross join lateral jsonb_object_keys(v.request) f)
    select w.mirror_id, w.field, (array_agg(w.before order by w.nth))[1],
           (array_agg(w.after order by w.nth desc))[1], max(w.mirror_version),
           bool_and(w.known and (w.nth = 1 or w.after_last = w.before))
      from fields w
     group by w.mirror_id, w.field
$$;

-- The plan of a rollback of some records, by what its user may do (permissions null = everything). Sets are joined by
-- hashing, and rows looked up by subqueries with offset 0, whatever the planner estimates: a job may have any size.
create function rollback_plan(job_id bigint, batch_id bigint, mirror_ids text[], permissions text[])
    returns setof rollback_record
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_nestloop = off set jit = off
as $$
begin
    return query
    with change as materialized (
        select q.id, q.mirror_id, q.pfa_id, q.organization_id, q.modification_id, q.author, q.status,
               q.lease_until is not null as in_flight
          from pfa_write_queue q
         where q.job_id = rollback_plan.job_id and q.mirror_id = any (mirror_ids)
           and (rollback_plan.batch_id is null or q.batch_id = rollback_plan.batch_id)
        union all
        select a.id, a.mirror_id, a.pfa_id, a.organization_id, a.modification_id, a.author, a.status, false
          from pfa_write_queue_archive a
         where a.job_id = rollback_plan.job_id and a.mirror_id = any (mirror_ids)
           and (rollback_plan.batch_id is null or a.batch_id = rollback_plan.batch_id)),
    touched as materialized (
        select c.mirror_id, min(c.pfa_id) as pfa_id, min(c.organization_id) as organization_id,
               (array_agg(c.author order by c.id desc))[1] as author, bool_or(c.in_flight) as in_flight,
               coalesce(array_agg(c.modification_id) filter (where c.status = 'pending'), '{}') as withdrawn
          from change c group by c.mirror_id),
    written as materialized (
        select w.mirror_id, jsonb_object_agg(w.field, w.before) as before, jsonb_object_agg(w.field, w.after) as after,
               max(w.version) as version, bool_and(w.known) as known
          from written_by_job(rollback_plan.job_id, rollback_plan.batch_id, mirror_ids) w group by w.mirror_id),
    compared as materialized (
        select t.*, w.after, w.known, w.version as written_version, r.version, o.theirs, g.apply as delta,
               g.conflicts as moved, g.apply || coalesce((
                   select jsonb_object_agg(f, w.before->f) from unnest(g.conflicts) f), '{}') as shown
          from touched t
          left join written w on w.mirror_id = t.mirror_id
          left join lateral (select * from mirror r where r.mirror_id = t.mirror_id offset 0) r on true
         cross join lateral (
             select with_pfa_id(r.data, r.pfa_id) || coalesce((
                        select jsonb_overlay(q.payload order by q.id) from pfa_write_queue q
                         where q.mirror_id = t.mirror_id and q.modification_id <> all (t.withdrawn)), '{}')) o (theirs)
         cross join lateral three_way(w.after, coalesce(w.before, '{}'), o.theirs) g)
    select c.organization_id, c.mirror_id, c.pfa_id, c.version,
           case when b.cause is not null then 'blocked' when c.delta <> '{}' then 'restore' else 'withdraw' end,
           b.cause, case b.cause when 'CHANGED_SINCE' then array_to_string(c.moved, ', ')
                                 else judgement_problem(j.judged) end,
           m.since, m.changed_by,
           (select jsonb_object_agg(k, coalesce(c.theirs->k, 'null')) from jsonb_object_keys(c.shown) k), c.shown,
           case when b.cause is null then c.withdrawn else '{}' end, c.author, j.judged
      from compared c
     cross join lateral (
         select judge_restore(c.organization_id, c.mirror_id, c.pfa_id, c.version, c.theirs, c.delta, c.author,
                              permissions) as judged offset 0) j
     cross join lateral (
         select case when c.version is null then 'RECORD_GONE'
                     when c.in_flight then 'IN_FLIGHT'
                     when not c.known then 'VERSION_UNKNOWN'
                     when c.moved <> '{}' then 'CHANGED_SINCE'
                     when c.delta <> '{}' then judgement_cause(j.judged)
                     when c.withdrawn <> '{}' then null
                     when c.after is null then 'NOT_SENT'
                     else 'NOTHING_TO_UNDO' end) b (cause)
      -- Filtered inside, or each record would be asked for.
      left join lateral (
          select w.* from last_writer(c.mirror_id, c.moved, c.written_version) w
           where b.cause = 'CHANGED_SINCE' offset 0) m on true
     order by c.pfa_id, c.mirror_id;
end
$$;

-- The judgement of a change that restores fields of a record. The one who restores wrote nothing of the record:
-- theirs is what was looked at.
create function judge_restore(organization_id text, mirror_id text, pfa_id text, version int, theirs jsonb, delta jsonb,
                              author text, permissions text[]) returns judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select row(null, mirror_id, organization_id, pfa_id, author, null, version, version, theirs, j.seen, j.seen,
                       j.errors, j.missing, j.operation, j.delta, j.to_send, '{}'::text[], null,
                       judgement_outcome(j.errors, j.missing, '{}'), null, null)::judgement
              from judge(theirs, judge_restore.delta, theirs, null, permissions, false, true) j
             where judge_restore.delta <> '{}' and theirs is not null);
end
$$;

-- Who wrote fields of a record last, after a version of it: a user whose change is queued or was confirmed, else what
-- the history says.
create function last_writer(mirror_id text, fields text[], version int, out since timestamptz, out changed_by text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    -- Without the aggregate, the planner may search the queue from its end instead of by record.
    select (array_agg(q.created_at order by q.id desc))[1], (array_agg(q.author order by q.id desc))[1]
      into since, changed_by
      from pfa_write_queue q
     where q.mirror_id = last_writer.mirror_id and q.payload ?| fields;
    if changed_by is not null then
        return;
    end if;
    -- A row of the history says who replaced it.
    with state as (
        select h.version, h.data, h.changed_by, h.archived_at from mirror_history h
         where h.mirror_id = last_writer.mirror_id and h.version >= last_writer.version
        union all
        select r.version, r.data, null, null from mirror r where r.mirror_id = last_writer.mirror_id),
    step as (
        select s.*, lead(s.data) over (order by s.version, s.archived_at nulls last) as next_data from state s)
    select s.archived_at at time zone 'utc', s.changed_by into since, changed_by
      from step s
     where exists (select from unnest(fields) f where s.data->f is distinct from s.next_data->f)
       and s.next_data is not null
     order by s.version desc limit 1;
end
$$;

-- One value for what a rollback would do: it differs when anything of a record's plan does.
create function plan_digest(plan rollback_record) returns text
    language sql immutable security invoker
    return md5(concat_ws('/', plan.mirror_id, plan.version, plan.action, plan.cause, plan.current, plan.restored,
                         plan.withdrawn));

create function plans_digest(plans rollback_record[]) returns text
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select md5(coalesce(string_agg(plan_digest(p), ',' order by p.mirror_id), '')) from unnest(plans) p $$;

-- The judgement of changes that are queued already, and of those that are to be queued again.

-- Ends queued changes that the application deleted, took back or changed while no trigger watched: by a bulk load with
-- its triggers disabled, or while detached. What is still committed is swept and judged anew, as it is now.
create function withdraw_changed(queue_ids bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    changed bigint[];
begin
    perform finalize_rows(array(
        select q.id from pfa_write_queue q
          left join modification m on m.modification_id = q.modification_id
          left join mirror r on r.mirror_id = q.mirror_id
         where q.id = any (queue_ids) and (m.modification_id is null or r.mirror_id is null)),
        'withdrawn', 'deleted in the application');
    perform finalize_rows(array(
        select q.id from pfa_write_queue q
          join modification m on m.modification_id = q.modification_id
         where q.id = any (queue_ids) and m.sync_state not in ('committed', 'syncing')),
        'withdrawn', 'taken back in the application');
    changed := array(
        select q.id from pfa_write_queue q
          join modification m on m.modification_id = q.modification_id
          join mirror r on r.mirror_id = q.mirror_id
         where q.id = any (queue_ids)
           and (content_of(m.mirror_id, m.organization_id, m.user_id, m.delta) <> q.content
                or r.organization_id <> q.organization_id));
    if cardinality(changed) = 0 then
        return;
    end if;
    update sync_organization s set sweep_due = true
     where s.organization_id in (select m.organization_id from pfa_write_queue q
                                   join modification m on m.modification_id = q.modification_id
                                  where q.id = any (changed));
    perform set_sync_state(array(select q.modification_id from pfa_write_queue q where q.id = any (changed)),
                           'committed');
    perform finalize_rows(changed, 'withdrawn', 'changed in the application, and judged anew');
end
$$;

-- Judges queued changes against the mirror as it is, and ends those that can't be sent: conflicts, changes of authors
-- without the permissions, and those whose values PEMS holds already. The caller has locked modifications, mirror rows
-- and queue rows. Returns the others.
--
-- An edit that became invalid because PEMS moved is a conflict for a person to resolve, like any other.
--
-- One statement reads each row once, and looks at the same time whether the application changed anything unseen: then
-- that is ended, and the others are judged again.
create function judge_queued(queue_ids bigint[], detected text) returns setof pending_request
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    judged record;
begin
    loop
        with author as materialized (
            select a.author, a.organization_id, permissions_of(a.author, a.organization_id) as permissions
              from (select distinct q.author, q.organization_id
                      from pfa_write_queue q where q.id = any (queue_ids)) a)
        select array_agg(row(q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, q.author, q.reason,
                             q.base_version, r.version, r.data, j.base, j.seen, '[]'::jsonb, j.missing, j.operation,
                             j.delta, j.to_send, c.conflicts,
                             case when j.conflicts = '{}' then (
                                 select string_agg(e->>'message', '; ') from jsonb_array_elements(j.errors) e) end,
                             o.outcome, case when j.conflicts = '{}' and j.errors <> '[]' then 'NOT_VALID_NOW' end,
                             null)::judgement) filter (where e.ending) as judgements,
               array_agg(row(q.id, j.to_send, p.pems_version)::pending_request) filter (where not e.ending) as requests,
               bool_or(m.modification_id is null or r.mirror_id is null
                       or m.sync_state not in ('committed', 'syncing')
                       or content_of(m.mirror_id, m.organization_id, m.user_id, m.delta) <> q.content
                       or r.organization_id <> q.organization_id) as changed
          into judged
          from unnest(queue_ids) i (id)
         cross join lateral (select * from pfa_write_queue q where q.id = i.id offset 0) q
          join author a on a.author = q.author and a.organization_id = q.organization_id
          left join lateral (
              select * from modification m where m.modification_id = q.modification_id offset 0) m on true
          left join lateral (select * from mirror r where r.mirror_id = q.mirror_id offset 0) r on true
          left join lateral (
              select p.pems_version from pems_record p
               where p.mirror_id = q.mirror_id and p.mirror_version = r.version offset 0) p on true
         cross join lateral judge(with_pfa_id(r.data, r.pfa_id), q.payload, q.base, q.accepted, a.permissions, false,
                                  may_revive(q.modification_id, q.payload)) j
         cross join lateral (
             select case when j.conflicts <> '{}' or j.errors = '[]' then j.conflicts
                         else coalesce(nullif(array(select distinct e->>'field' from jsonb_array_elements(j.errors) e
                                                     where j.delta ? (e->>'field') order by 1), '{}'),
                                       array(select jsonb_object_keys(j.delta))) end offset 0) c (conflicts)
         cross join lateral (select judgement_outcome('[]', j.missing, c.conflicts) offset 0) o (outcome)
         cross join lateral (select o.outcome <> 'pending' or j.to_send = '{}') e (ending);
        exit when judged.changed is not true;
        perform withdraw_changed(queue_ids);
    end loop;
    if judged.judgements is not null then
        judged.judgements := resolve_by_rule(judged.judgements, detected);
        perform finalize_judged(judged.judgements, detected);
        perform finalize_completed(array(
            select row(q.id, null, null, null)::completion
              from unnest(judged.judgements) j
              join pfa_write_queue q on q.modification_id = j.modification_id
             where j.outcome = 'pending' and j.to_send = '{}'));
        -- What a rule resolved is sent with the others.
        judged.requests := judged.requests || array(
            select row(q.id, j.to_send, p.pems_version)::pending_request
              from unnest(judged.judgements) j
              join pfa_write_queue q on q.modification_id = j.modification_id
              left join pems_record p on p.mirror_id = q.mirror_id and p.mirror_version = j.mirror_version
             where j.outcome = 'pending' and j.to_send <> '{}');
    end if;
    return query select r.queue_id, r.to_send, r.version from unnest(judged.requests) r;
end
$$;

-- The same, one record at a time where it fails: a record whose judgement raises an error ends as a dead letter with
-- the reason, and does not block the others.
create function judge_queued_singly(queue_ids bigint[], detected text) returns setof pending_request
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return query select j.* from judge_queued(queue_ids, detected) j;
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    return query
        select r.* from jsonb_populate_recordset(null::pending_request, apply_singly(
            'judge', to_jsonb(queue_ids), jsonb_build_object('detected', detected))) r;
end
$$;

-- The judgement of a change that PEMS will not take now: every field that it would write is a conflict. read: PEMS'
-- record, where it is not that of the mirror.
create function judgement_of_request(queue_id bigint, cause text, message text, read jsonb default null)
    returns judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select row(q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, q.author, q.reason, q.base_version,
                       r.version, t.theirs, q.base, t.seen, '[]'::jsonb, '{}'::text[], q.operation, q.payload,
                       w.fields, array(select jsonb_object_keys(w.fields)), message, 'conflict', cause, null)::judgement
              from pfa_write_queue q
              join mirror r on r.mirror_id = q.mirror_id
             cross join lateral (select coalesce(q.request, q.payload)) w (fields)
             cross join lateral (
                 select case when read is null then r.data
                             else (select d.data - 'version' - 'updatedAt' from typed(read) d) end,
                        case when read is not null
                             then (select jsonb_object_agg(k, read->k) from jsonb_object_keys(w.fields) k) end)
                 t (theirs, seen)
             where q.id = queue_id);
end
$$;

-- Judges dead letters of different records, with the fix laid over their changes. A field that a later change of the
-- record wrote is a conflict. A fixed change is the actor's, or stays its author's where a DBA fixes it who is no user
-- of the application.
create function judge_dead_letters(queue_ids bigint[], fix jsonb, actor text, by_dba boolean) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        with letter as materialized (
            select a.*, w.writer, r.version, with_queued(r.mirror_id, r.data) as theirs, r.pfa_id as mirror_pfa_id,
                   array(select distinct k
                           from (select q.payload from pfa_write_queue q where q.mirror_id = a.mirror_id and q.id > a.id
                                 union all
                                 select l.payload from pfa_write_queue_archive l
                                  where l.mirror_id = a.mirror_id and l.id > a.id and l.status = 'completed') later,
                                jsonb_object_keys(later.payload) k) as overtaken
              from pfa_write_queue_archive a
              join mirror r on r.mirror_id = a.mirror_id
             cross join lateral (
                 select case when fix is null or by_dba then a.author else actor end) w (writer)
             where a.id = any (queue_ids))
        select row(l.modification_id, l.mirror_id, l.organization_id, l.pfa_id, l.writer, l.reason, l.base_version,
                   l.version, l.theirs, j.base, j.seen, j.errors, j.missing, j.operation, j.delta, j.to_send,
                   c.conflicts,
                   case when c.late <> '{}'
                        then format('%s changed by a later edit of the record', array_to_string(c.late, ', ')) end,
                   judgement_outcome(j.errors, j.missing, c.conflicts),
                   case when c.late <> '{}' then 'OVERTAKEN' end, null)::judgement
          from letter l
         cross join lateral judge(with_pfa_id(l.theirs, l.mirror_pfa_id), l.payload || coalesce(fix, '{}'), l.base,
                                  l.accepted, permissions_of(l.writer, l.organization_id), false,
                                  may_revive(l.modification_id, l.payload || coalesce(fix, '{}'))) j
         cross join lateral (
             select array(select f from unnest(l.overtaken) f
                           where j.to_send ? f and not coalesce(fix, '{}') ? f order by 1)) o (late)
         cross join lateral (
             select o.late, array(select unnest(j.conflicts) union select unnest(o.late) order by 1))
             c (late, conflicts)
         order by l.mirror_id);
end
$$;

-- What a resolution would commit, judged like any commit by the rights of the user who resolves; theirs is the record
-- as it is now, which that user has seen, so that no field of it is a conflict any more. The author of the change is
-- the user who resolves, or stays the same where a DBA resolves who is no user of the application. Stores nothing.
create function judge_resolutions(conflict_ids bigint[], resolution text, actor text, by_dba boolean,
                                  merged jsonb default null)
    returns setof judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return query
    with open as materialized (
        select c.*, r.version, with_queued(r.mirror_id, with_pfa_id(r.data, r.pfa_id)) as theirs,
               case when not by_dba then permissions_of(actor, c.organization_id) end as permissions
          from pfa_sync_conflict c
          join mirror r on r.mirror_id = c.mirror_id
         where c.id = any (conflict_ids))
    select o.modification_id, o.mirror_id, o.organization_id, o.pfa_id,
           case when by_dba then o.author else actor end,
           (select m.change_reason from modification m where m.modification_id = o.modification_id),
           o.version, o.version, o.theirs, j.base, j.seen, g.errors, g.missing, j.operation, j.delta, g.to_send,
           j.conflicts, null::text, judgement_outcome(g.errors, g.missing, j.conflicts), null::text,
           null::bigint
      from open o
     cross join lateral judge(o.theirs, o.local_data || coalesce(merged, '{}'), o.theirs, null, o.permissions, false,
                              may_revive(o.modification_id, o.local_data || coalesce(merged, '{}'))) j
     -- Giving a change up needs no more than the permission to resolve.
     cross join lateral (
         select case when judge_resolutions.resolution = 'use_pems' then '[]' else j.errors end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.missing end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.to_send end)
         g (errors, missing, to_send);
end
$$;

-- A record with the queued changes of its mirror row laid over it.
create function with_queued(mirror_id text, data jsonb) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return data || queued_fields(mirror_id);
end
$$;

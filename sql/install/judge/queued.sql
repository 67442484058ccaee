-- Judges queued changes against the mirror as it is, and ends those that may not go on: conflicts, lost permissions,
-- and those that PEMS already holds. The caller has locked modifications, mirrors and rows. Returns the others.
--
-- An edit that became invalid because PEMS moved is a question to a person, like any other conflict.
create function judge_queued(queue_ids bigint[], detected text)
    returns table (queue_id bigint, apply jsonb, version bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    judgements judgement[];
begin
    -- What the application deleted while no trigger looked is not sent either.
    perform finalize_rows(array(
        select q.id from pfa_write_queue q
          left join modification m on m.modification_id = q.modification_id
          left join mirror r on r.mirror_id = q.mirror_id
         where q.id = any (queue_ids) and (m.modification_id is null or r.mirror_id is null)), 'withdrawn', 'deleted in the application');
    judgements := array(
        with author as materialized (
            select a.author, a.organization_id, permissions_of(a.author, a.organization_id) as permissions
              from (select distinct q.author, q.organization_id from pfa_write_queue q where q.id = any (queue_ids)) a)
        select row(q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, q.author, q.reason, q.base_version, r.version, r.data,
                   j.base, j.seen, '[]'::jsonb, j.missing, j.operation, j.changes, j.apply,
                   c.conflicts,
                   case when j.conflicts = '{}' then (select string_agg(e->>'message', '; ') from jsonb_array_elements(j.errors) e) end,
                   judgement_outcome('[]', j.missing, c.conflicts))::judgement
          from pfa_write_queue q
          join mirror r on r.mirror_id = q.mirror_id
          join author a on a.author = q.author and a.organization_id = q.organization_id
         cross join lateral judge(with_pfa_id(r.data, r.pfa_id), q.payload, q.base, q.accepted, a.permissions) j
         cross join lateral (
             select case when j.conflicts <> '{}' or j.errors = '[]' then j.conflicts
                         else coalesce(nullif(array(select distinct e->>'field' from jsonb_array_elements(j.errors) e
                                                     where j.changes ? (e->>'field') order by 1), '{}'),
                                       array(select jsonb_object_keys(j.changes))) end) c (conflicts)
         where q.id = any (queue_ids));
    judgements := resolve_by_rule(judgements, detected);
    perform finalize_judged(judgements, detected);
    perform finalize_completed((
        select coalesce(jsonb_agg(jsonb_build_object('queue_id', q.id)), '[]')
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
         where j.verdict = 'pending' and j.apply = '{}'));
    return query
        select q.id, j.apply, p.pems_version
          from unnest(judgements) j
          join pfa_write_queue q on q.modification_id = j.modification_id
          left join pems_record p on p.mirror_id = q.mirror_id and p.mirror_version = j.mirror_version
         where j.verdict = 'pending' and j.apply <> '{}';
end
$$;

-- The judgement of a change that PEMS will not take now: every field it would write is open.
create function judgement_of_locked(queue_id bigint, message text) returns judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select row(q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, q.author, q.reason, q.base_version, r.version, r.data,
                       q.base, null::jsonb, '[]'::jsonb, '{}'::text[], q.operation, q.payload, q.request,
                       array(select jsonb_object_keys(q.request)), message, 'conflict')::judgement
              from pfa_write_queue q join mirror r on r.mirror_id = q.mirror_id where q.id = queue_id);
end
$$;

-- Judges dead letters of different records, fix included. A field that a later change of the record wrote is a conflict.
create function judge_dead_letters(queue_ids bigint[], fix jsonb) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        with letter as materialized (
            select a.*, r.version, r.data || coalesce((select jsonb_overlay(q.payload order by q.id) from pfa_write_queue q where q.mirror_id = a.mirror_id), '{}') as theirs,
                   r.pfa_id as known_pfa_id,
                   array(select distinct k
                           from (select q.payload from pfa_write_queue q where q.mirror_id = a.mirror_id and q.id > a.id
                                 union all
                                 select l.payload from pfa_write_queue_archive l
                                  where l.mirror_id = a.mirror_id and l.id > a.id and l.status = 'completed') later,
                                jsonb_object_keys(later.payload) k) as overtaken
              from pfa_write_queue_archive a
              join mirror r on r.mirror_id = a.mirror_id
             where a.id = any (queue_ids))
        select row(l.modification_id, l.mirror_id, l.organization_id, l.pfa_id, l.author, l.reason, l.base_version, l.version, l.theirs,
                   j.base, j.seen, j.errors, j.missing, j.operation, j.changes, j.apply, c.conflicts,
                   case when c.late <> '{}' then format('%s changed by a later edit of the record', array_to_string(c.late, ', ')) end,
                   judgement_outcome(j.errors, j.missing, c.conflicts))::judgement
          from letter l
         cross join lateral judge(with_pfa_id(l.theirs, l.known_pfa_id), l.payload || coalesce(fix, '{}'), l.base, l.accepted,
                                  permissions_of(l.author, l.organization_id)) j
         cross join lateral (select array(select f from unnest(l.overtaken) f where j.apply ? f and not coalesce(fix, '{}') ? f order by 1)) o (late)
         cross join lateral (select o.late, array(select unnest(j.conflicts) union select unnest(o.late) order by 1)) c (late, conflicts)
         order by l.mirror_id);
end
$$;

-- What a resolution would commit, judged like any commit by the rights of the one who resolves; theirs is the record as
-- it is now, which the resolver has seen, so nothing of it is a conflict any more. author is who answers for the change:
-- the resolver, or the author still where a DBA resolves who is no user of the application. Stores nothing.
create function judge_resolutions(conflict_ids bigint[], resolution text, actor text, merged jsonb default null) returns setof judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return query
    with question as materialized (
        select c.*, r.version, with_pfa_id(r.data, r.pfa_id) as data, acting_permissions(actor, c.organization_id) as permissions,
               (select jsonb_overlay(q.payload order by q.id) from pfa_write_queue q where q.mirror_id = c.mirror_id) as ahead
          from pfa_sync_conflict c
          join mirror r on r.mirror_id = c.mirror_id
         where c.id = any (conflict_ids))
    select q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, case when q.permissions is null then q.author else actor end,
           (select m.change_reason from modification m where m.modification_id = q.modification_id), q.version, q.version, t.theirs,
           j.base, j.seen,
           g.errors, g.missing, j.operation, j.changes, g.apply, j.conflicts, null::text, judgement_outcome(g.errors, g.missing, j.conflicts)
      from question q
     cross join lateral (select q.data || q.ahead) t (theirs)
     cross join lateral judge(t.theirs, q.local_data || coalesce(merged, '{}'), t.theirs, null, q.permissions) j
     -- Giving a change up needs no more than the right to resolve.
     cross join lateral (
         select case when judge_resolutions.resolution = 'use_pems' then '[]' else j.errors end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.missing end,
                case when judge_resolutions.resolution = 'use_pems' then '{}' else j.apply end) g (errors, missing, apply);
end
$$;

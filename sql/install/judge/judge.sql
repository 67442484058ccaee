-- The judgement of changes: whether they are valid and permitted, and what is left to send after the merge.

-- One change with everything that its judgement needs and holds.
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
    delta           jsonb,
    to_send         jsonb,
    conflicts       text[],
    message         text,
    outcome         text,
    cause           text
);
comment on type judgement is
    'The judgement of one change. base and seen hold the changed fields as the author saw them and as they are now; '
    'delta is what the user changed, in canonical form; to_send is what is left of it after the merge; missing are the '
    'permissions that the author lacks; outcome is failed, conflict or pending; cause is the code of a conflict, null: '
    'CHANGED_IN_PEMS.';

-- The outcome of a judged change. Its body is bound when it is created, and inlined where it is called.
create function judgement_outcome(errors jsonb, missing text[], conflicts text[]) returns text
    language sql immutable security invoker
    return case when errors <> '[]' or missing <> '{}' then 'failed'
                when conflicts <> '{}' then 'conflict'
                else 'pending' end;

-- A record with the key that PEMS knows it by: that of the mirror's column, where it has one. Stable, as
-- jsonb_build_object is: an immutable function that calls a stable one is not inlined.
create function with_pfa_id(data jsonb, pfa_id text) returns jsonb
    language sql stable security invoker
    return case when pfa_id is null or data->>'pfaId' = pfa_id then data
                else data || jsonb_build_object('pfaId', pfa_id) end;

-- Judges modifications against the mirror with the record's queued changes laid over it. Stores nothing.
--
-- base is the record at the version that the author saw: the mirror itself, its history, or unknown. accepted are the
-- author's own writes since: queued ones, and completed ones of later versions.
create function judge_modifications(modification_ids text[]) returns setof judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off
as $$
begin
    return query
    with change as materialized (
        select m.modification_id, m.mirror_id, m.organization_id, m.user_id, m.change_reason, m.base_version, m.delta,
               r.organization_id as mirror_organization, r.version, with_pfa_id(r.data, r.pfa_id) as data,
               coalesce(r.pfa_id, r.data->>'pfaId') as pfa_id
          -- One index scan for each, whatever the planner estimates: for many it would read the whole mirror.
          from unnest(modification_ids) i (id)
         cross join lateral (select * from modification m where m.modification_id = i.id offset 0) m
         cross join lateral (select * from mirror r where r.mirror_id = m.mirror_id offset 0) r),
    author as materialized (
        select a.user_id, a.organization_id, permissions_of(a.user_id, a.organization_id) as permissions
          from (select distinct c.user_id, c.organization_id from change c) a),
    queued as materialized (
        select c.modification_id,
               jsonb_overlay(q.payload order by q.id) as ahead,
               jsonb_overlay(q.payload order by q.id) filter (where q.author = c.user_id) as own
          from change c
          join pfa_write_queue q on q.mirror_id = c.mirror_id and q.modification_id <> c.modification_id
         group by c.modification_id),
    written as materialized (
        select c.modification_id, jsonb_overlay(a.request order by a.id) as own
          from change c
          join pfa_write_queue_archive a on a.mirror_id = c.mirror_id and a.author = c.user_id
                                        and a.status = 'completed' and a.mirror_version > c.base_version
         where c.base_version <> c.version
         group by c.modification_id),
    sides as (
        select c.*,
               case when q.ahead is null then c.data else c.data || q.ahead end as theirs,
               c.base_version = c.version and q.ahead is null as unmoved,
               case when c.base_version = c.version and q.ahead is null then null
                    when c.base_version = c.version then c.data
                    else (select h.data from mirror_history h
                           where h.mirror_id = c.mirror_id and h.version = c.base_version
                           order by h.archived_at desc limit 1) end as base,
               case when w.own is null then q.own when q.own is null then w.own else w.own || q.own end as accepted
          from change c
          left join queued q using (modification_id)
          left join written w using (modification_id))
    select s.modification_id, s.mirror_id, s.organization_id, s.pfa_id, s.user_id, s.change_reason, s.base_version,
           s.version, s.theirs, case when s.unmoved then j.seen else j.base end, j.seen, e.errors, j.missing,
           j.operation, j.delta, j.to_send, j.conflicts, null::text,
           judgement_outcome(e.errors, j.missing, j.conflicts), null::text
      from sides s
      join author a using (user_id, organization_id)
     cross join lateral judge(s.theirs, s.delta, s.base, s.accepted, a.permissions, s.unmoved) j
     cross join lateral (
         select case when s.organization_id = s.mirror_organization and s.base_version <= s.version then j.errors
                     else j.errors || jsonb_build_object('field', null, 'code', 'BUSINESS_RULE_VIOLATION', 'message',
                         case when s.organization_id <> s.mirror_organization
                              then 'the modification names another organization than its record'
                              else format('the edit is based on version %s of the record, which is at version %s',
                                          s.base_version, s.version) end) end) e (errors);
end
$$;

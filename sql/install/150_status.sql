-- What a DBA and the API ask.

-- Whether a health is one in which changes go on to PEMS: questions to people hold up nobody else's.
create function is_well(health text) returns boolean
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$ select health in ('ok', 'waiting for people') $$;

-- Where each organization stands: what waits, what ended in the time asked for, how long it took.
--   health  paused | held (PEMS refused its credentials) | PEMS down (the breaker is not closed) | failing (dead letters in that time) | waiting for people
--           (open conflicts) | ok. A long queue is not sick: it drains at PEMS' pace.
create function status(organization text default null, status text default null, since timestamptz default null, until timestamptz default null)
    returns table (organization_id text, code text, queued bigint, processing bigint, completed bigint, failed bigint, conflicts bigint,
                   avg_sync_seconds numeric, last_sync_at timestamptz, next_sync_at timestamptz, wake text, health text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    only_organization text := organization_of(organization);
    visible text[] := visible_organizations();
begin
    return query
    with live as (
        select q.organization_id, count(*) filter (where q.status = 'pending') as queued, count(*) filter (where q.status = 'processing') as processing,
               min(q.scheduled_at) filter (where q.status = 'pending' and q.head) as next_at
          from pfa_write_queue q group by 1),
    ended as (
        select a.organization_id, count(*) filter (where a.status = 'completed') as completed,
               round(avg(extract(epoch from a.completed_at - a.created_at)) filter (where a.status = 'completed'), 3) as seconds,
               max(a.completed_at) filter (where a.status = 'completed') as last_at
          from pfa_write_queue_archive a
         where a.completed_at >= coalesce(since, now() - interval '1 day') and a.completed_at <= coalesce(until, 'infinity')
         group by 1),
    dead as (
        select d.organization_id, count(*) as failed from pfa_write_queue_dlq d
         where d.status = 'open' and d.failed_at >= coalesce(since, now() - interval '1 day') and d.failed_at <= coalesce(until, 'infinity') group by 1),
    open as (
        select c.organization_id, count(*) as conflicts from pfa_sync_conflict c where c.status = 'unresolved' group by 1),
    whole as (
        select s.organization_id, o.code, coalesce(l.queued, 0) as queued, coalesce(l.processing, 0) as processing, coalesce(e.completed, 0) as completed,
               coalesce(d.failed, 0) as failed, coalesce(c.conflicts, 0) as conflicts, e.seconds, e.last_at,
               case when may_send(s) then l.next_at end as next_at, wake_in_force() as wake,
               case when s.held_since is not null then 'held' when not may_send(s) then 'paused' when in_outage(s.organization_id) then 'PEMS down'
                    when d.failed > 0 then 'failing'
                    when c.conflicts > 0 then 'waiting for people' else 'ok' end as health
          from sync_organization s
          left join organization o using (organization_id)
          left join live l using (organization_id)
          left join ended e using (organization_id)
          left join dead d using (organization_id)
          left join open c using (organization_id))
    select w.* from whole w
     where w.organization_id = any (visible)
       and (only_organization is null or w.organization_id = only_organization)
       and (status.status is null or w.health = status.status)
     order by w.code, w.organization_id;
end
$$;
comment on function status(text, text, timestamptz, timestamptz) is
    'Where each organization stands; ended work of the time asked for, by default the last day. status filters by health.';

-- Everything that happened to a record, oldest first. What PEMS answered may quote prices anywhere: without
-- perm_ViewFinancials it is left out as a whole.
create function timeline(organization text, pfa_id text)
    returns table (at timestamptz, event_type text, user_id text, modification_id text, changes jsonb, success boolean, error_message text, pems_response jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    priced boolean := sees(scope, 'perm_ViewFinancials');
begin
    return query
        select l.at, l.event_type, l.user_id, l.modification_id, shown(l.changes, priced), l.success, shown(l.error_message, priced),
               case when priced then l.pems_response end
          from pfa_audit_log l
         where l.organization_id = scope and l.pfa_id = timeline.pfa_id
         order by l.at, l.id;
end
$$;
comment on function timeline(text, text) is 'Everything that happened to a record, oldest first.';

-- Live work, open questions, and what was done, by the names of people.
create view queue with (security_invoker = true) as
    select q.id as queue_id, q.organization_id, q.pfa_id, q.modification_id, q.author, q.operation, s.changes, q.status, q.priority, q.retry_count,
           q.head, q.scheduled_at, q.created_at, q.relay, q.lease_until, q.sent_at, s.last_error
      from pfa_write_queue q
     cross join lateral shown_change(q.id) s;
comment on view queue is 'Live work: what waits and what is under way.';

create view conflicts with (security_invoker = true) as
    select c.id as conflict_id, c.organization_id, c.pfa_id, c.modification_id, c.author, c.detected, c.conflict_fields, s.base, s.ours, s.theirs,
           s.message, c.created_at
      from pfa_sync_conflict c
     cross join lateral shown_sides(c.id) s
     where c.status = 'unresolved';
comment on view conflicts is 'Open questions: edits that PEMS'' own changes stand against.';

create view audit with (security_invoker = true) as
    select l.id as event_id, l.at, l.event_type, l.organization_id, l.user_id, l.pfa_id, l.modification_id, l.queue_id, l.job_id, l.batch_id,
           s.changes, s.pems_response, l.success, s.error_message
      from pfa_audit_log l
     cross join lateral shown_event(l.id, l.at, l.organization_id) s;
comment on view audit is 'Everything that happened, of the organizations that one may see.';

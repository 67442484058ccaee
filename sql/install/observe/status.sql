-- Where each organization stands.

-- Whether changes go on to PEMS in this state of health: conflicts do not block other changes.
create function is_healthy(health text) returns boolean
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select health in ('ok', 'waiting_for_resolution') $$;

-- Where an organization stands.
create type organization_status as (
    organization_id   text,
    code              text,
    queued            bigint,
    processing        bigint,
    completed         bigint,
    failed            bigint,
    conflicts         bigint,
    avg_sync_seconds  numeric,
    last_sync_at      timestamptz,
    next_sync_at      timestamptz,
    wake              text,
    health            text,
    oldest_waiting_at timestamptz,
    severity          text,
    health_reason     text,
    counted_at        timestamptz
);

-- Where all organizations stand, of which visible_status() shows a part: what waits, what ended in a time, how long it
-- took.
-- health is the code of health(). A long queue is healthy: it drains at PEMS' pace.
create function status_of_organizations(begins timestamptz, ends timestamptz) returns organization_status[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        with found as materialized (
            select f.organization_id, f.code, f.severity, f.reason from unnest(worst_findings()) f),
        dead as (
            select d.organization_id, count(*) as failed from pfa_write_queue_dlq d
             where d.status = 'open' and d.failed_at >= begins and d.failed_at <= ends group by 1),
        open as (
            select c.organization_id, count(*) as conflicts
              from pfa_sync_conflict c where c.status = 'unresolved' group by 1)
        select row(s.organization_id, o.code,
                   case when l.waiting < count_bound() then l.waiting else greatest(l.waiting, n.waiting) end,
                   l.processing, coalesce(e.completed, 0), coalesce(d.failed, 0), coalesce(c.conflicts, 0), e.seconds,
                   e.last_at, case when may_send(s) then l.next_at end, wake_in_force(), h.code, l.oldest_at,
                   h.severity, h.reason,
                   case when l.waiting >= count_bound() then coalesce(n.counted_at, '-infinity') end)
                   ::organization_status
          from listed_organizations() s
         cross join lateral live_changes_of(s.organization_id, 'infinity') l
          left join queue_count n on n.organization_id = s.organization_id
          -- A row without an organization is of all of them.
          left join found h on h.organization_id = s.organization_id or h.organization_id is null
          left join organization o on o.organization_id = s.organization_id
         cross join lateral (
             select count(*) as completed, round(avg(extract(epoch from a.completed_at - a.created_at)), 3) as seconds,
                    max(a.completed_at) as last_at
               from pfa_write_queue_archive a
              where a.organization_id = s.organization_id and a.status = 'completed'
                and a.completed_at >= begins and a.completed_at <= ends) e
          left join dead d on d.organization_id = s.organization_id
          left join open c on c.organization_id = s.organization_id);
end
$$;

-- Of these, those that the session may see and that are asked for.
create function visible_status(standing organization_status[], organization text, status text, health_code text)
    returns setof organization_status
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    only_organization text;
    visible           text[];
begin
    perform ensure_bound();
    perform require_word('status', status, array['pending', 'processing', 'completed', 'failed']);
    perform require_word('health_code', health_code,
                         array(select c.code from cause c where c.kind = 'health' order by c.rank));
    only_organization := organization_of(organization);
    visible := visible_organizations();
    return query
        select w.organization_id, w.code, w.queued, w.processing, w.completed, w.failed, w.conflicts,
               w.avg_sync_seconds, w.last_sync_at, w.next_sync_at, w.wake, w.health, w.oldest_waiting_at, w.severity,
               finding_reason(w.health, w.health_reason, w.organization_id), w.counted_at
          from unnest(standing) w
         where w.organization_id = any (visible)
           and (only_organization is null or w.organization_id = only_organization)
           and (visible_status.status is null
                or case visible_status.status when 'pending' then w.queued when 'processing' then w.processing
                                              when 'completed' then w.completed else w.failed end > 0)
           and (health_code is null or w.health = health_code)
         order by w.code, w.organization_id;
end
$$;

create function pfa_sync.status(organization text default null, status text default null,
                                since timestamptz default null, until timestamptz default null,
                                health_code text default null)
    returns table (organization_id text, code text, queued bigint, processing bigint, completed bigint, failed bigint,
                   conflicts bigint, avg_sync_seconds numeric, last_sync_at timestamptz, next_sync_at timestamptz,
                   wake text, health text, oldest_waiting_at timestamptz, severity text, health_reason text,
                   counted_at timestamptz)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_bound();
    return query
        select * from visible_status(
            status_of_organizations(coalesce(since, now() - interval '1 day'), coalesce(until, 'infinity')),
            organization, status, health_code);
end
$$;
comment on function pfa_sync.status(text, text, timestamptz, timestamptz, text) is
    'Where each visible organization stands: changes queued, processing, completed and failed, open conflicts, '
    'average seconds from commit to confirmation, time of the last confirmation and of the next due change, how '
    'relays are woken (doorbell, notify, off), health (the code of health(), with its severity and reason), and when '
    'the oldest change that waits was queued. counted_at null: queued is exact; otherwise at least 1000 changes wait, '
    'and queued is the number that maintain() counted then (-infinity: not yet). Ended changes are those between '
    'since and until, by default of the last day. status: only organizations with changes that are pending, '
    'processing, completed or failed; health_code: only those with this health. PF001: another word.';

-- For a service that answers many users at once: the state is made once, and each user is shown a part of it.

create function pfa_sync.status_of_all() returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_bound();
    return to_jsonb(status_of_organizations(now() - interval '1 day', 'infinity'));
end
$$;
comment on function pfa_sync.status_of_all() is
    'API: where all organizations stand, as status() says it by default. It is shown to users by status_from() alone, '
    'which leaves out what a user may not see.';

create function pfa_sync.status_from(standing jsonb, organization text default null, status text default null,
                                     health_code text default null)
    returns table (organization_id text, code text, queued bigint, processing bigint, completed bigint, failed bigint,
                   conflicts bigint, avg_sync_seconds numeric, last_sync_at timestamptz, next_sync_at timestamptz,
                   wake text, health text, oldest_waiting_at timestamptz, severity text, health_reason text,
                   counted_at timestamptz)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    known organization_status[];
begin
    perform require_objects('standing', standing);
    begin
        known := array(select s from jsonb_populate_recordset(null::organization_status, standing) s);
    exception when data_exception then
        raise exception 'standing is what status_of_all() returned: %', sqlerrm using errcode = 'PF001';
    end;
    return query select * from visible_status(known, organization, status, health_code);
end
$$;
comment on function pfa_sync.status_from(jsonb, text, text, text) is
    'API: of what status_of_all() returned, what the user of the session may see, as status() returns it. PF001: it is '
    'something else, or another word.';

create view pfa_sync.queue with (security_barrier) as
    select q.id as queue_id, q.organization_id, q.pfa_id, q.modification_id, q.author, q.operation,
           masked(q.payload, p.priced) as changes, q.status,
           q.priority, q.retry_count, q.head, q.scheduled_at, q.created_at, q.relay, q.lease_until, q.sent_at,
           masked(q.last_error, p.priced) as last_error,
           coalesce((select user_names())->>q.author, q.author) as author_name,
           (select coalesce((select v.value from setting_value v
                              where v.name = d.name and v.organization_id in (q.organization_id, '')
                              order by v.organization_id = '' limit 1), d.default_value)::int
              from setting_definition d where d.name = 'max_retries') as max_retries,
           (select coalesce(q.sent_at, b.sent_at) from sync_batch b where b.batch_id = q.batch_id) as last_attempt_at,
           q.completed_at, masked(q.reason, p.priced) as reason
      from pfa_write_queue q
     cross join lateral (select q.organization_id = any ((select priced_organizations())::text[])) p (priced)
     where q.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.queue is 'Live changes: those that wait and those in flight, one row each.';
comment on column pfa_sync.queue.queue_id is 'id of the change in the queue';
comment on column pfa_sync.queue.organization_id is 'id of the organization';
comment on column pfa_sync.queue.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.queue.modification_id is 'id of the modification';
comment on column pfa_sync.queue.author is 'id of the user whose edit it is';
comment on column pfa_sync.queue.operation is 'UPDATE, or DELETE for a change that only discontinues the record';
comment on column pfa_sync.queue.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.queue.status is 'pending: waits; processing: claimed by a relay';
comment on column pfa_sync.queue.priority is '10 (high), 0 (normal) or -10 (low)';
comment on column pfa_sync.queue.retry_count is 'retries that were used up so far';
comment on column pfa_sync.queue.head is 'whether it is the first live change of its record; only heads are claimed';
comment on column pfa_sync.queue.scheduled_at is 'when it is due';
comment on column pfa_sync.queue.created_at is 'when it was queued';
comment on column pfa_sync.queue.relay is 'name of the relay that claimed it last; null: it was not claimed yet';
comment on column pfa_sync.queue.lease_until is 'end of the claim''s lease; null: it is not claimed';
comment on column pfa_sync.queue.sent_at is
    'when the request was marked as sent whose outcome is not known yet; null: there is none';
comment on column pfa_sync.queue.last_error is
    'error of the last failed attempt; null: none failed. Numbers are shown as # to a session that may not see '
    'prices';
comment on column pfa_sync.queue.author_name is 'name of the user whose edit it is';
comment on column pfa_sync.queue.max_retries is 'retries that it may use up: the setting max_retries';
comment on column pfa_sync.queue.last_attempt_at is
    'when a request for it was sent last, as its last batch tells; null: that batch sent none, or there was none';
comment on column pfa_sync.queue.completed_at is 'null: it is live. The view changes has those that have ended';
comment on column pfa_sync.queue.reason is
    'the reason that the author gave; null: none. Numbers are shown as # to a session that may not see prices';

-- What a relay takes: batches of record heads, under a lease.

-- Gives a relay up to max_records changes of the one organization served longest ago, under a lease, and takes the
-- slot of the request. lease null = the setting. Nothing to do = no row. With a request_timeout, a batch whose slot is
-- there at once is marked as sent in the same transaction, which saves the relay the forced write of mark_sent().
-- ahead: an organization whose slot lies further ahead is left, since what it queues until then would come later than
-- what is claimed now; null = none is left.
create function pfa_sync.claim(relay text, organization text default null, max_records int default 100,
                               lease interval default null, request_timeout interval default null,
                               organizations text[] default null, ahead interval default null)
    returns table (queue_id bigint, fencing_token int, batch_id bigint, step text, operation text, organization_id text,
                   organization_code text, pfa_id text, version bigint, request jsonb, modified_by text, reason text,
                   idempotency_key text, ambiguous boolean, wait_ms double precision, sent boolean, pems text,
                   pems_revision bigint, waited_ms double precision)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    at       timestamptz := clock_timestamp();
    term     interval := coalesce(lease, setting('lease')::interval);
    chosen   sync_organization;
    used     pems_system;
    expired  timestamptz;
    requests pending_request[];
    kind     text := 'read';
    claimed  pfa_write_queue[];
    batch    bigint;
    wait     double precision;
begin
    perform require_between('max_records', max_records, 0, 1000);
    perform require_between('lease', term, '1 second', '1 hour');
    perform require_between('request_timeout', request_timeout, '0 s', '1 hour');
    perform require_given('relay', relay);
    perform require_text('relay', relay, 200);
    perform ensure_sending();
    perform refresh_plans();
    chosen := pick_organization(organization_of(organization), at, organizations, ahead);
    if chosen.organization_id is null then
        return;
    end if;
    select y.* into used from pems_system y where y.pems = chosen.pems;
    max_records := breaker_claim_limit(chosen.pems, least(max_records, used.batch_size));
    if max_records = 0 then
        return;
    end if;
    if chosen.watermarks_checked_at < at - interval '1 minute' then
        perform restore_watermarks();
        update sync_organization s set watermarks_checked_at = at
         where s.organization_id = chosen.organization_id returning s.* into chosen;
    end if;
    expired := (select q.lease_until from pfa_write_queue q
                 where q.organization_id = chosen.organization_id and q.status = 'processing'
                   and q.lease_until >= chosen.lease_watermark and q.lease_until <= at
                 order by q.lease_until limit 1);
    update sync_organization s set served_at = clock_timestamp(), lease_watermark = watermark(expired, at)
     where s.organization_id = chosen.organization_id;
    if expired is not null then
        perform return_expired(chosen.organization_id, expired);
        -- What was given back is due now.
        at := clock_timestamp();
        requests := lock_for_reconciling(chosen.organization_id, expired, max_records);
    end if;

    -- What was sent and never answered is reconciled first: nothing else of those records can move before.
    if coalesce(cardinality(requests), 0) = 0 then
        requests := take_heads(chosen, at, max_records);
        if cardinality(requests) = 0 then
            return;
        end if;
        -- All records of a batch have one step: that of the first.
        kind := case when requests[1].version is null then 'read' else 'send' end;
        requests := array(select r from unnest(requests) r where (r.version is null) = (kind = 'read'));
    end if;

    requests := mark_syncing(requests);
    if cardinality(requests) = 0 then
        return;
    end if;
    if kind = 'send' then
        wait := (select w from grant_slots(chosen.pems, 1, true) w);
    end if;
    if wait is distinct from 0 then
        request_timeout := null;
    end if;
    claimed := mark_claimed(chosen.organization_id, relay, kind, requests, term, request_timeout);
    batch := claimed[1].batch_id;
    perform breaker_begin_probe(chosen.pems, term);
    return query
        with author as materialized (
            select a.author, coalesce(u.email, u.username, a.author) as name
              from (select distinct q.author from unnest(claimed) q) a
              left join users u on u.user_id = a.author)
        select q.id, q.fencing_token, batch, kind, q.operation, q.organization_id, coalesce(o.code, q.organization_id),
               q.pfa_id, q.expected_version, q.request, a.name, q.reason, idempotency_key(q, a.name),
               kind = 'read' and q.sent_at is not null, wait, request_timeout is not null, used.pems, used.revision,
               (1000 * extract(epoch from clock_timestamp() - q.created_at))::double precision
          from unnest(claimed) q
          join author a on a.author = q.author
          left join organization o on o.organization_id = chosen.organization_id
         order by q.priority desc, q.id;
end
$$;
comment on function pfa_sync.claim(text, text, int, interval, interval, text[], interval) is
    'Relay: claims up to max_records heads of the organization that was served longest ago, judged against the '
    'mirror as it is now, under a lease, and takes the slot of the request. lease null: the setting. Returns a '
    'row for each record; no row: nothing to do now. step send: write them in one request after wait_ms '
    'milliseconds; step read: read each record, then call reconcile(). ambiguous: an earlier request may have '
    'been applied. With request_timeout, records whose slot is there at once (wait_ms 0) are returned with sent: they '
    'are marked as by mark_sent(); send them now, or release() them. organizations: only these (ids); ahead: only '
    'those whose next slot is due within this time. pems names the '
    'PEMS, pems_revision the revision of its definition, see relay_config(); waited_ms is the age of the change. '
    'PF001: max_records over 1000, a lease beyond a second to an hour, or a request_timeout over an hour; PF004, '
    'PF005, PF009: not attached, a copy, or upgraded.';

-- The organization to serve now, locked: of those with due heads or expired leases, and a slot within ahead (null =
-- any), the one served longest ago; null when there is none.
create function pick_organization(only_organization text, at timestamptz, organizations text[], ahead interval)
    returns sync_organization
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen   sync_organization;
    restored boolean := false;
begin
    loop
        select s.* into chosen
          from sync_organization s
         where (only_organization is null or s.organization_id = only_organization)
           and (organizations is null or s.organization_id = any (organizations))
           and (exists (select from priority_levels(s) p
                         cross join lateral (
                             select from pfa_write_queue q
                              where q.organization_id = s.organization_id and q.priority = p.priority
                                and q.status = 'pending' and q.head
                                and q.scheduled_at >= p.watermark and q.scheduled_at <= at
                              order by q.scheduled_at limit 1) h)
                or exists (select from pfa_write_queue q
                            where q.organization_id = s.organization_id and q.status = 'processing'
                              and q.lease_until >= s.lease_watermark and q.lease_until <= at
                            order by q.lease_until limit 1))
           and may_send(s) and breaker_allows(s.pems) and slot_is_near(s.pems, at, ahead)
         order by s.served_at limit 1 for no key update skip locked;
        exit when found or restored or not restore_watermarks();
        restored := true;
    end loop;
    return chosen;
end
$$;

-- Locks and judges the due heads of an organization, in the order of priority and time; those that may be sent. Moves
-- the watermarks to the first heads found.
create function take_heads(chosen sync_organization, at timestamptz, max_records int) returns pending_request[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    candidates bigint[];
    taken      bigint[];
    requests   pending_request[] := '{}';
begin
    -- A round may end everything that it takes; then the queue behind it gets another.
    loop
        with due as materialized (
            select p.level, q.id, q.scheduled_at
              from priority_levels(chosen) p
             cross join lateral (
                 select q.id, q.scheduled_at from pfa_write_queue q
                  where q.organization_id = chosen.organization_id and q.priority = p.priority
                    and q.status = 'pending' and q.head
                    and q.scheduled_at >= p.watermark and q.scheduled_at <= at
                  order by q.scheduled_at, q.id limit max_records) q)
        select array(select d.id from due d order by d.level, d.scheduled_at, d.id limit max_records),
               array(select watermark((select min(d.scheduled_at) from due d where d.level = p.level), at)
                       from priority_levels(chosen) p order by p.level)
          into candidates, chosen.watermarks;
        taken := lock_for_claim(candidates);
        exit when cardinality(taken) = 0;
        requests := array(select r from judge_queued_singly(taken, 'claim') r
                           order by array_position(taken, r.queue_id));
        exit when cardinality(requests) > 0;
    end loop;
    update sync_organization s set watermarks = chosen.watermarks where s.organization_id = chosen.organization_id;
    return requests;
end
$$;

-- Gives claimed rows, whose modifications are syncing, a batch, their lease, their new fencing token and their request;
-- the rows as they are then. With a request_timeout they are marked as sent, as mark_as_sent() does: they are written
-- once.
create function mark_claimed(organization_id text, relay text, step text, requests pending_request[], lease interval,
                             request_timeout interval) returns pfa_write_queue[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    batch     bigint;
    lease_end timestamptz := clock_timestamp() + greatest(lease, request_timeout);
    claimed   pfa_write_queue[];
begin
    insert into sync_batch as b (organization_id, relay, step, records, sent_at)
        values (organization_id, relay, step, cardinality(requests),
                case when request_timeout is not null then clock_timestamp() end)
        returning b.batch_id into batch;
    with claimed as (
        update pfa_write_queue q
           set status = 'processing', fencing_token = q.fencing_token + 1, relay = mark_claimed.relay,
               batch_id = batch, lease_until = lease_end, request = r.to_send, expected_version = r.version,
               sent_at = case when request_timeout is not null then now() else q.sent_at end
          from unnest(requests) r
         where q.id = r.queue_id
        returning q),
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id,
                                   batch_id, changes)
        select 'WRITE_ATTEMPT', (c.q).organization_id, (c.q).author, (c.q).pfa_id, (c.q).modification_id, (c.q).id,
               (c.q).job_id, (c.q).batch_id, (c.q).request
          from claimed c where request_timeout is not null)
    select array_agg(c.q) into claimed from claimed c;
    return claimed;
end
$$;

-- Rows whose lease ended, at first then, before anything was sent are pending again; no try is used up.
create function return_expired(organization_id text, first timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    expired bigint[];
begin
    expired := lock_for_claim(array(
        select q.id from pfa_write_queue q
         where q.organization_id = return_expired.organization_id and q.status = 'processing'
           and q.lease_until >= first and q.lease_until <= now() and q.sent_at is null));
    perform return_to_pending(expired, interval '0');
end
$$;

-- Locks rows that were sent, whose lease and request have ended, at first then, without an outcome; their requests.
create function lock_for_reconciling(organization_id text, first timestamptz, max_records int) returns pending_request[]
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with unanswered as materialized (
        select q.id, q.request, q.expected_version from pfa_write_queue q
         where q.organization_id = $1 and q.status = 'processing' and q.lease_until >= first and q.lease_until <= now()
           and q.sent_at is not null
         order by q.lease_until, q.id limit max_records for update skip locked)
    select array(select row(u.id, u.request, u.expected_version)::pending_request from unanswered u)
$$;

-- Puts claimed rows back into the queue, due after a delay, all at one moment: what comes due together goes out in one
-- request. The caller holds the locks.
create function return_to_pending(queue_ids bigint[], delay interval) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    due timestamptz := clock_timestamp() + delay;
begin
    if coalesce(cardinality(queue_ids), 0) = 0 then
        return;
    end if;
    update pfa_write_queue q
       set status = 'pending', lease_until = null, sent_at = null, scheduled_at = due
     where q.id = any (queue_ids);
    perform set_state_singly(array(select q.id from pfa_write_queue q
                                     join modification m on m.modification_id = q.modification_id
                                    where q.id = any (queue_ids) and m.sync_state = 'syncing'), 'committed');
end
$$;

-- Milliseconds until something becomes due: a retry, the end of a lease, or another try at a PEMS that was down; 0 =
-- what is due could not be claimed, or a sweep is due. Null = nothing. ahead: as of claim().
create function pfa_sync.next_due_ms(organizations text[] default null, ahead interval default null)
    returns double precision
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    due timestamptz;
begin
    if not is_bound() then
        return null;
    end if;
    select min(greatest(d.at, p.open_until)) into due
      from (select greatest(least(h.scheduled_at, l.lease_until), near.at) as at, s.pems
              from sync_organization s
              left join pems w on w.pems = s.pems
             cross join lateral (select case when w.slot_claimed then w.next_slot - next_due_ms.ahead end) near (at)
              left join lateral (
                  select min(q.scheduled_at) as scheduled_at
                    from priority_levels(s) n
                   cross join lateral (
                       select q.scheduled_at from pfa_write_queue q
                        where q.organization_id = s.organization_id and q.priority = n.priority
                          and q.status = 'pending' and q.head and q.scheduled_at >= n.watermark
                        order by q.scheduled_at limit 1) q) h on true
              left join lateral (
                  select q.lease_until from pfa_write_queue q
                   where q.organization_id = s.organization_id and q.status = 'processing'
                     and q.lease_until >= s.lease_watermark
                   order by q.lease_until limit 1) l on true
             where (organizations is null or s.organization_id = any (organizations))
               and case when coalesce(h.scheduled_at, l.lease_until) is not null then may_send(s) end
             union all
            select p.open_until, p.pems from pems p where p.open_until > now()
            union all
            select now(), s.pems from sync_organization s
             where s.sweep_due and may_send(s)) d
      join pems p on p.pems = d.pems;
    -- greatest() ignores a null, which means that nothing is scheduled.
    return case when due is not null then greatest(0, 1000 * extract(epoch from due - clock_timestamp())) end;
end
$$;
comment on function pfa_sync.next_due_ms(text[], interval) is
    'Relay: milliseconds until a retry, the end of a lease or a probe is due, of these organizations (ids; null: all), '
    'and with ahead until their slot is due within that time; null: nothing is scheduled.';

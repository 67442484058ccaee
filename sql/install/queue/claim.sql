-- What a relay takes: slots, and batches of record heads.

-- Locks modifications and mirrors of queue rows in the order that everything uses; the rows whose locks were free.
-- A record that somebody works on right now is left for the next claim.
create function lock_for_claim(queue_ids bigint[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    modifications text[];
    mirrors       text[];
begin
    modifications := array(select m.modification_id from modification m
                            where m.modification_id in (select q.modification_id from pfa_write_queue q where q.id = any (queue_ids))
                            order by m.modification_id for no key update skip locked);
    mirrors := array(select r.mirror_id from mirror r
                      where r.mirror_id in (select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids))
                      order by r.mirror_id for no key update skip locked);
    return array(select q.id from pfa_write_queue q
                   left join modification m on m.modification_id = q.modification_id
                   left join mirror r on r.mirror_id = q.mirror_id
                  where q.id = any (queue_ids)
                    and (m.modification_id is null or m.modification_id = any (modifications))
                    and (r.mirror_id is null or r.mirror_id = any (mirrors))
                  order by q.priority desc, q.id for update of q skip locked);
end
$$;

-- Gives a relay up to max_records changes of the one organization served longest ago, under a lease, and takes the
-- slot of the request. lease null = the setting. Nothing to do = no row. See the columns' meaning in docs/ARCHITECTURE.md, "The road".
create function pfa_sync.claim(relay text, organization text default null, max_records int default 100, lease interval default null)
    returns table (queue_id bigint, attempt int, batch_id bigint, step text, operation text, organization_id text, organization_code text,
                   pfa_id text, version bigint, changes jsonb, modified_by text, reason text, idempotency_key text, ambiguous boolean,
                   wait_ms double precision)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    only_organization text := organization_of(organization);
    at         timestamptz := clock_timestamp();
    looked     boolean := false;
    chosen     sync_organization;
    served     text;
    endpoint   text;
    expired    timestamptz;
    kind       text;
    candidates bigint[];
    taken      bigint[];
    sending    jsonb;
    batch      bigint;
    wait       double precision;
begin
    perform ensure_sending();
    perform refresh_plans();
    loop
        select s.* into chosen
          from sync_organization s
         where (only_organization is null or s.organization_id = only_organization)
           and (exists (select from priority_levels(s) l
                         cross join lateral (select from pfa_write_queue q
                                              where q.organization_id = s.organization_id and q.priority = l.priority and q.status = 'pending' and q.head
                                                and q.scheduled_at >= l.watermark and q.scheduled_at <= at
                                              order by q.scheduled_at limit 1) h)
                or exists (select from pfa_write_queue q
                            where q.organization_id = s.organization_id and q.status = 'processing'
                              and q.lease_until >= s.lease_watermark and q.lease_until <= at
                            order by q.lease_until limit 1))
           and may_send(s) and breaker_allows(s.pems)
         order by s.served_at limit 1 for no key update skip locked;
        exit when found;
        if looked or not restore_watermarks() then
            return;
        end if;
        looked := true;
    end loop;
    served := chosen.organization_id;
    endpoint := chosen.pems;
    max_records := breaker_claim_limit(endpoint, max_records);
    if max_records = 0 then
        return;
    end if;
    if chosen.watermarks_checked_at < at - interval '1 minute' then
        perform restore_watermarks();
        update sync_organization s set watermarks_checked_at = at where s.organization_id = served returning s.* into chosen;
    end if;
    expired := (select q.lease_until from pfa_write_queue q
                 where q.organization_id = served and q.status = 'processing' and q.lease_until >= chosen.lease_watermark and q.lease_until <= at
                 order by q.lease_until limit 1);
    update sync_organization s set served_at = clock_timestamp(), lease_watermark = watermark(expired, at) where s.organization_id = served;
    if expired is not null then
        perform return_expired(served, expired);
        -- What was given back is due right now.
        at := clock_timestamp();
        taken := lock_for_reconciling(served, expired, max_records);
    end if;

    -- What was sent and never answered is settled first: nothing else of those records can move before.
    if cardinality(taken) > 0 then
        kind := 'read';
        sending := (select jsonb_agg(jsonb_build_object('id', q.id, 'apply', q.request, 'version', q.expected_version))
                      from pfa_write_queue q where q.id = any (taken));
    else
        -- A round may end all that it takes; the queue behind it deserves another.
        loop
            select (array_agg(h.id order by h.priority desc, h.scheduled_at, h.id))[1:max_records],
                   min(h.scheduled_at) filter (where h.priority = 10), min(h.scheduled_at) filter (where h.priority = 0),
                   min(h.scheduled_at) filter (where h.priority = -10)
              into candidates, chosen.high_watermark, chosen.normal_watermark, chosen.low_watermark
              from priority_levels(chosen) l
             cross join lateral (select q.id, q.priority, q.scheduled_at from pfa_write_queue q
                                  where q.organization_id = served and q.priority = l.priority and q.status = 'pending' and q.head
                                    and q.scheduled_at >= l.watermark and q.scheduled_at <= at
                                  order by q.scheduled_at, q.id limit max_records) h;
            chosen.high_watermark := watermark(chosen.high_watermark, at);
            chosen.normal_watermark := watermark(chosen.normal_watermark, at);
            chosen.low_watermark := watermark(chosen.low_watermark, at);
            taken := lock_for_claim(coalesce(candidates, '{}'));
            exit when cardinality(taken) = 0;
            select jsonb_agg(jsonb_build_object('id', j.queue_id, 'apply', j.apply, 'version', j.version) order by array_position(taken, j.queue_id))
              into sending
              from judge_queued(taken, 'claim') j;
            exit when sending is not null;
        end loop;
        update sync_organization s
           set high_watermark = chosen.high_watermark, normal_watermark = chosen.normal_watermark, low_watermark = chosen.low_watermark
         where s.organization_id = served;
        if sending is null then
            return;
        end if;
        -- One kind of step a batch: the first record's.
        kind := case when sending->0->>'version' is null then 'read' else 'send' end;
        sending := (select jsonb_agg(s) from jsonb_array_elements(sending) s where (s->>'version' is null) = (kind = 'read'));
    end if;

    insert into sync_batch (organization_id, relay, step, records)
        values (served, relay, kind, jsonb_array_length(sending)) returning sync_batch.batch_id into batch;
    at := clock_timestamp();
    update pfa_write_queue q
       set status = 'processing', attempt = q.attempt + 1, relay = claim.relay, batch_id = batch, lease_until = at + coalesce(lease, setting('lease')::interval),
           request = s.apply, expected_version = s.version,
           request_revision = q.request_revision + (q.request is distinct from s.apply or q.expected_version is distinct from s.version)::int
      from jsonb_to_recordset(sending) s (id bigint, apply jsonb, version bigint)
     where q.id = s.id;
    update modification m
       set sync_state = 'syncing', updated_at = now() at time zone 'utc'
      from pfa_write_queue q
     where q.batch_id = batch and q.lease_until is not null and q.id in (select (s->>'id')::bigint from jsonb_array_elements(sending) s)
       and m.modification_id = q.modification_id and m.sync_state <> 'syncing';
    perform breaker_begin_probe(endpoint, coalesce(lease, setting('lease')::interval));
    if kind = 'send' then
        wait := (select w from take_slots(endpoint, 1) w);
    end if;
    return query
        select q.id, q.attempt, batch, kind, q.operation, served, coalesce(o.code, q.organization_id), q.pfa_id, q.expected_version, q.request,
               coalesce(u.email, u.username, q.author), q.reason, q.id || '-' || q.request_revision, q.sent_at is not null, wait
          from pfa_write_queue q
          left join organization o on o.organization_id = served
          left join users u on u.user_id = q.author
         where q.id in (select (s->>'id')::bigint from jsonb_array_elements(sending) s)
         order by q.priority desc, q.id;
end
$$;
comment on function pfa_sync.claim(text, text, int, interval) is 'The next batch for a relay, with its slot. No row = nothing to do now.';

-- Rows whose lease ended, at first then, before anything was sent are pending again; no try is burnt.
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

-- Locks rows that were sent, whose lease and request have ended, at first then, without an outcome.
create function lock_for_reconciling(organization_id text, first timestamptz, max_records int) returns bigint[]
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with unsettled as materialized (
        select q.id from pfa_write_queue q
         where q.organization_id = $1 and q.status = 'processing' and q.lease_until >= first and q.lease_until <= now() and q.sent_at is not null
         order by q.lease_until, q.id limit max_records for update skip locked)
    select array(select id from unsettled)
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
    update modification m
       set sync_state = 'committed', updated_at = now() at time zone 'utc'
      from pfa_write_queue q
     where q.id = any (queue_ids) and m.modification_id = q.modification_id and m.sync_state = 'syncing';
end
$$;

-- Milliseconds until something that is not yet due becomes due: a retry, a lease's end, or another try at a PEMS that was down. Null = nothing.
create function pfa_sync.next_due_ms() returns double precision
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due timestamptz;
begin
    select min(greatest(d.at, p.open_until)) into due
      from (select least(h.scheduled_at, l.lease_until) as at, s.pems
              from sync_organization s
              left join lateral (
                  select min(q.scheduled_at) as scheduled_at
                    from priority_levels(s) n
                   cross join lateral (select q.scheduled_at from pfa_write_queue q
                                        where q.organization_id = s.organization_id and q.priority = n.priority and q.status = 'pending' and q.head
                                          and q.scheduled_at > now()
                                        order by q.scheduled_at limit 1) q) h on true
              left join lateral (
                  select q.lease_until from pfa_write_queue q
                   where q.organization_id = s.organization_id and q.status = 'processing' and q.lease_until >= s.lease_watermark
                   order by q.lease_until limit 1) l on true
             -- Only where there is something: without attach() nobody can tell whether an organization may send.
             where case when coalesce(h.scheduled_at, l.lease_until) is not null then may_send(s) end
             union all
            select p.open_until, p.pems from pems p where p.open_until > now()) d
      join pems p on p.pems = d.pems;
    return greatest(0, 1000 * extract(epoch from due - clock_timestamp()));
end
$$;
comment on function pfa_sync.next_due_ms() is 'Milliseconds until a retry or the end of a lease; null = nothing is scheduled.';

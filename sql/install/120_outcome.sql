-- What a relay reports. Every function takes items [{queue_id, attempt, …}], is set based, and is fenced: an item whose
-- attempt is not the current one changes nothing and is missing from the answer.

-- Locks the rows of items that are still the caller's, in the order that everything uses. Rows under way are told by
-- their lease here and below, so that the planner finds them by id and never reads the index of all leases for each.
create function lock_claimed(items jsonb) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[] := array(select (i->>'queue_id')::bigint from jsonb_array_elements(items) i);
begin
    perform fit_plans();
    perform from modification m
      where m.modification_id in (select q.modification_id from pfa_write_queue q where q.id = any (queue_ids))
      order by m.modification_id for no key update;
    perform from mirror r
      where r.mirror_id in (select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids))
      order by r.mirror_id for no key update;
    return array(
        select q.id from pfa_write_queue q
          join jsonb_to_recordset(items) i (queue_id bigint, attempt int) on i.queue_id = q.id and i.attempt = q.attempt
         where q.lease_until is not null
         order by q.id for update of q);
end
$$;

-- Marks records as about to be sent, right before the request, and gives the log its WRITE_ATTEMPT. From here on,
-- silence means that the outcome is settled before anything is sent again. The lease covers the request's timeout.
create function sent(relay text, items jsonb, request_timeout interval default '30 s') returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    at timestamptz := clock_timestamp();
begin
    perform fit_plans();
    return query
    with due as materialized (
        select q.id from pfa_write_queue q
          join jsonb_to_recordset(items) i (queue_id bigint, attempt int) on i.queue_id = q.id and i.attempt = q.attempt
         where q.lease_until is not null and q.relay = sent.relay and q.lease_until > at
         order by q.id for update of q),
    marked as (
        update pfa_write_queue q
           set sent_at = now(), lease_until = greatest(q.lease_until, at + request_timeout)
          from due where q.id = due.id
        returning q.id, q.organization_id, q.author, q.pfa_id, q.modification_id, q.job_id, q.batch_id, q.request),
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes)
        select 'WRITE_ATTEMPT', m.organization_id, m.author, m.pfa_id, m.modification_id, m.id, m.job_id, m.batch_id, m.request from marked m),
    batch as (
        update sync_batch b set sent_at = at where b.batch_id in (select m.batch_id from marked m))
    select m.id from marked m;
end
$$;
comment on function sent(text, jsonb, interval) is 'Marks records as under way; returns those that are still the caller''s: only they may be sent.';

-- Records what PEMS confirmed. Items carry version (the new one), updated_at and response besides.
create function complete(relay text, items jsonb) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held bigint[] := lock_claimed(items);
begin
    perform end_as_completed((select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(items) i where (i->>'queue_id')::bigint = any (held)));
    perform note_pems(organizations_of(held), false, null);
    return query select unnest(held), 'completed';
end
$$;
comment on function complete(text, jsonb) is 'Records what PEMS confirmed, in mirror, history, modification, archive and log.';

-- What follows a failed try: the one place for it. verdict is pending (again after delay; burns says whether that was
-- one of its tries), settle (its outcome is read first, after the lease), failed (dead letter) or conflict.
--
-- While PEMS is known to be down, what brings no answer from it is no try of the change's: an outage makes no dead letters.
-- jitter, from 0 to 1, is one for all that failed together: what was one request can be one again.
create function retry_policy(organization_id text, outcome text, retry_count int, retry_after_ms double precision, outage boolean, jitter double precision)
    returns table (verdict text, burns boolean, delay interval)
    language sql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    select case
             when outcome in ('throttled', 'unauthorized') then 'pending'
             when outcome = 'ambiguous' then 'settle'
             when outcome = 'rejected' then 'failed'
             when outage and outcome = 'unavailable' then 'pending'
             when retry_count < setting('max_retries', organization_id)::int then 'pending'
             when outcome = 'locked' then 'conflict'
             else 'failed'
           end,
           outcome in ('unavailable', 'locked') and not (outage and outcome = 'unavailable'),
           case
             when outcome = 'unauthorized' then interval '0'
             when retry_after_ms is not null then make_interval(secs => retry_after_ms / 1000)
             when outcome = 'throttled' then setting('slot_interval')::interval
             else least(setting('retry_delay_max', organization_id)::interval,
                        setting('retry_delay', organization_id)::interval * (2 ^ least(retry_count, 20)) * (1 + 0.1 * jitter))
           end
$$;

-- Records failed tries. Items carry outcome (throttled, unavailable, unauthorized, rejected, locked, ambiguous),
-- http_status, error, retry_after_ms, response, and whole (the request failed, not the record alone) besides; retry_policy
-- decides what follows.
create function fail(relay text, items jsonb) returns table (queue_id bigint, status text, retry_in_ms double precision)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held    bigint[];
    decided jsonb;
    calm    timestamptz;
    jitter  double precision := random();
    down    boolean := says_down(items);
    organizations text[];
begin
    if exists (select from jsonb_to_recordset(items) i (outcome text)
                where i.outcome is null or i.outcome not in ('throttled', 'unavailable', 'unauthorized', 'rejected', 'locked', 'ambiguous')) then
        raise exception 'fail() takes outcomes throttled, unavailable, unauthorized, rejected, locked and ambiguous' using errcode = 'PF001';
    end if;
    perform hold_organizations(relay, items);
    held := lock_claimed(items);
    organizations := organizations_of(held);
    decided := (
        select coalesce(jsonb_agg(to_jsonb(i) || jsonb_build_object('verdict', p.verdict, 'burns', p.burns, 'delay', p.delay)), '[]')
          from jsonb_to_recordset(items) i (queue_id bigint, outcome text, http_status int, error text, retry_after_ms double precision, response jsonb)
          join pfa_write_queue q on q.id = i.queue_id
         cross join lateral retry_policy(q.organization_id, i.outcome, q.retry_count, i.retry_after_ms,
                  down and coalesce(i.http_status, 503) in (502, 503, 504) and in_outage(q.organization_id), jitter) p
         where q.id = any (held));

    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes,
                               pems_response, success, error_message)
    select 'WRITE_FAILED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.batch_id, q.request, d.response, false,
           concat_ws(': ', d.outcome, d.error)
      from jsonb_to_recordset(decided) d (queue_id bigint, outcome text, error text, response jsonb)
      join pfa_write_queue q on q.id = d.queue_id;
    update pfa_write_queue q
       set last_error = concat_ws(': ', d.outcome, d.error), retry_count = q.retry_count + (d.burns and d.verdict = 'pending')::int
      from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, outcome text, error text, burns boolean)
     where q.id = d.queue_id;
    perform return_to_pending(array_agg(d.queue_id), d.delay)
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, delay interval)
      where d.verdict = 'pending' group by d.delay;
    perform end_as_dead_letters(jsonb_agg(to_jsonb(d) || jsonb_build_object('code', upper(d.outcome), 'error', coalesce(d.error, d.outcome))))
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text, outcome text, error text, http_status int, response jsonb)
      where d.verdict = 'failed' having count(*) > 0;
    perform end_in_conflict(array_agg(unwritten(d.queue_id, 'PEMS keeps the record locked by another user')), 'pems')
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text)
      where d.verdict = 'conflict' having count(*) > 0;

    select clock_timestamp() + max(d.delay) into calm
      from jsonb_to_recordset(decided) d (outcome text, delay interval) where d.outcome = 'throttled';
    if calm is not null then
        update pems p set next_slot = greatest(p.next_slot, calm)
         where p.pems in (select s.pems from sync_organization s join pfa_write_queue q on q.organization_id = s.organization_id where q.id = any (held));
    end if;
    -- judge_read hands in what it read: PEMS answered, and has been noted.
    if relay <> '' then
        perform note_pems(organizations, down, (select max(i->>'error') from jsonb_array_elements(items) i));
    end if;
    return query
        select o.queue_id, o.status, case when o.status = 'pending' then 1000 * extract(epoch from d.delay) end::double precision
          from outcome_of(held) o
          join jsonb_to_recordset(decided) d (queue_id bigint, delay interval) on d.queue_id = o.queue_id;
end
$$;
comment on function fail(text, jsonb) is 'Records failed tries; the database decides what follows.';

-- Whether the breaker of an organization's PEMS is open or being probed.
create function in_outage(organization_id text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return exists (select from sync_organization s join pems p on p.pems = s.pems
                    where s.organization_id = in_outage.organization_id and p.open_until is not null);
end
$$;

-- The organizations of queue rows, live or ended.
create function organizations_of(queue_ids bigint[]) returns text[]
    language sql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    select array(select q.organization_id from pfa_write_queue q where q.id = any ($1)
                 union
                 select a.organization_id from pfa_write_queue_archive a where a.id = any ($1))
$$;

-- PEMS refused the credentials of an organization: it is held until resume() or until a relay comes with others; no try
-- is burnt, no other organization is concerned.
create function hold_organizations(relay text, items jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    with held as (
        update sync_organization s
           set held_since = now(), hold_reason = i.error,
               held_credentials = (select r.credentials from relay r where r.relay = hold_organizations.relay)
          from (select q.organization_id, max(i.error) as error
                  from jsonb_to_recordset(items) i (queue_id bigint, attempt int, outcome text, http_status int, error text)
                  join pfa_write_queue q on q.id = i.queue_id and q.attempt = i.attempt and q.lease_until is not null
                 where i.outcome = 'unauthorized' or i.http_status = 401 group by 1) i
         where s.organization_id = i.organization_id and s.held_since is null
        returning s.organization_id, i.error)
    insert into pfa_audit_log (event_type, organization_id, success, error_message)
    select 'CREDENTIALS_REFUSED', h.organization_id, false, h.error from held h;
end
$$;

-- The judgement of a change that PEMS will not take now: every field it would write is open.
create function unwritten(queue_id bigint, message text) returns judgement
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return (select row(q.modification_id, q.mirror_id, q.organization_id, q.pfa_id, q.author, q.reason, q.base_version, r.version, r.data,
                       q.base, null::jsonb, '[]'::jsonb, '{}'::text[], q.operation, q.payload, q.request,
                       array(select jsonb_object_keys(q.request)), message, 'conflict')::judgement
              from pfa_write_queue q join mirror r on r.mirror_id = q.mirror_id where q.id = queue_id);
end
$$;

-- Where rows stand now.
create function outcome_of(queue_ids bigint[]) returns table (queue_id bigint, status text)
    language sql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    select q.id, q.status from pfa_write_queue q where q.id = any (queue_ids)
    union all
    select a.id, a.status from pfa_write_queue_archive a where a.id = any (queue_ids)
$$;

-- After a 409: PEMS' record as read back (null: PEMS does not have it) is taken into the mirror, and the change judged anew.
create function conflict(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(items, false) $$;
comment on function conflict(text, jsonb) is 'After a 409, with PEMS'' record read back: rebased and pending again, or a question to a person.';

-- The time from which PEMS' list of changes shows whatever it applied of lost requests; null = not known.
--
-- It is a time of PEMS' own clock, whatever ours says: the latest stamp that was known of the records of one request
-- before it was sent (rows sent together share sent_at), of the earliest request; five minutes of overlap forgive PEMS
-- clocks that differ. Should even that be wrong, a request that was applied is sent again, refused by its version, and read.
create function lost_since(items jsonb) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return (
        select case when bool_and(r.stamp is not null) then
                   to_char((min(r.stamp) - interval '5 minutes') at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end
          from (select max(p.pems_updated_at::timestamptz) as stamp
                  from jsonb_to_recordset(items) i (queue_id bigint, attempt int)
                  join pfa_write_queue q on q.id = i.queue_id and q.attempt = i.attempt
                  left join pems_record p on p.mirror_id = q.mirror_id and p.pems_version = q.expected_version
                 group by q.organization_id, q.sent_at) r);
exception when data_exception then
    return null;
end
$$;
comment on function lost_since(jsonb) is 'The time of PEMS from which its list shows what became of lost requests; null = read record by record.';

-- Before a write: PEMS' record as read, because its version was unknown or an earlier outcome is ambiguous.
create function settle(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(items, true) $$;
comment on function settle(text, jsonb) is 'With PEMS'' record read before a write: settles an ambiguous outcome, or makes the version known.';

-- One rule for every record that was read because of a change. Items carry record (with version and updatedAt), or
-- unchanged: PEMS' list since lost_since() does not show it, so its request was not applied.
--
-- A request whose outcome is unknown was sent at expected_version, and PEMS counts by one:
--   still at that version             not applied: another try
--   one further, with our values      applied: completed
--   one further, with other values    somebody else's: judged against it
--   more than one further             ours may have been applied and overwritten: every differing field is a question
create function judge_read(items jsonb, settling boolean) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    held    bigint[] := lock_claimed(items);
    decided jsonb;
    clean   bigint[];
begin
    if not settling then
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id, changes,
                                   pems_response, success, error_message)
        select 'WRITE_FAILED', q.organization_id, q.author, q.pfa_id, q.modification_id, q.id, q.job_id, q.batch_id, q.request, i.response,
               false, 'PEMS has another version of the record'
          from jsonb_to_recordset(items) i (queue_id bigint, response jsonb)
          join pfa_write_queue q on q.id = i.queue_id
         where q.id = any (held);
    end if;
    perform ingest_records(q.organization_id, jsonb_agg(i.record), 'read-back')
       from jsonb_to_recordset(items) i (queue_id bigint, record jsonb)
       join pfa_write_queue q on q.id = i.queue_id
      where q.id = any (held) and jsonb_typeof(i.record) = 'object'
      group by q.organization_id;
    decided := (
        select coalesce(jsonb_agg(jsonb_build_object('queue_id', q.id, 'version', i.version, 'updated_at', i.record->>'updatedAt',
                   'response', i.record, 'verdict', case
                     when i.unchanged and settling and q.sent_at is not null then 'retry'
                     when i.version is null then 'failed'
                     when q.sent_at is null or q.expected_version is null then 'judge'
                     when i.version = q.expected_version and settling then 'retry'
                     when i.version = q.expected_version + 1 and settling and m.conflicts = '{}' then 'completed'
                     when i.version > q.expected_version + 1 and settling then 'judge without base'
                     when q.rejudgements >= setting('max_rejudgements', q.organization_id)::int then 'retry'
                     else 'judge' end)), '[]')
          from (select i.queue_id, i.record, i.unchanged, (i.record->>'version')::bigint as version
                  from jsonb_to_recordset(items) i (queue_id bigint, record jsonb, unchanged boolean)) i
          join pfa_write_queue q on q.id = i.queue_id
         cross join lateral three_way(null, q.request, coalesce(i.record, '{}')) m
         where q.id = any (held));

    perform end_as_dead_letters(jsonb_agg(jsonb_build_object('queue_id', d.queue_id, 'code', 'NOT_FOUND', 'error', 'PEMS has no such record')))
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text) where d.verdict = 'failed' having count(*) > 0;
    perform end_as_completed((select coalesce(jsonb_agg(d), '[]') from jsonb_array_elements(decided) d where d->>'verdict' = 'completed'));
    perform fail('', (select jsonb_agg(jsonb_build_object('queue_id', q.id, 'attempt', q.attempt, 'outcome', 'unavailable',
                                                          'error', coalesce(q.last_error, 'the request was not applied')))
                        from jsonb_to_recordset(decided) d (queue_id bigint, verdict text)
                        join pfa_write_queue q on q.id = d.queue_id where d.verdict = 'retry'))
       from jsonb_to_recordset(decided) d (verdict text) where d.verdict = 'retry' having count(*) > 0;
    update pfa_write_queue q
       set base = case when d.verdict = 'judge' then q.base end, accepted = case when d.verdict = 'judge' then q.accepted end,
           rejudgements = q.rejudgements + (q.expected_version is not null)::int
      from jsonb_to_recordset(decided) d (queue_id bigint, verdict text)
     where q.id = d.queue_id and d.verdict like 'judge%';
    clean := array(select j.queue_id from judge_queued(array(
        select d.queue_id from jsonb_to_recordset(decided) d (queue_id bigint, verdict text) where d.verdict like 'judge%'), 'pems') j);
    perform return_to_pending(clean, interval '0');
    perform wake();
    perform note_pems(organizations_of(held), false, null);
    return query select * from outcome_of(held);
end
$$;

-- Gives back what was claimed and not sent; no try is burnt.
create function release(relay text, items jsonb) returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    held bigint[] := lock_claimed(items);
begin
    perform return_to_pending(held, interval '0');
    perform wake();
    return query select unnest(held);
end
$$;
comment on function release(text, jsonb) is 'Gives back what was claimed and not sent.';

-- Prolongs leases from now on; returns those that are still the caller's.
create function extend_lease(relay text, items jsonb, lease interval) returns setof bigint
    language sql volatile security definer set search_path = pg_catalog, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    update pfa_write_queue q
       set lease_until = greatest(q.lease_until, statement_timestamp() + $3)
      from jsonb_to_recordset($2) i (queue_id bigint, attempt int)
     where q.id = i.queue_id and q.attempt = i.attempt and q.lease_until is not null and q.lease_until > statement_timestamp()
    returning q.id
$$;
comment on function extend_lease(text, jsonb, interval) is 'Prolongs the leases of a slow request.';

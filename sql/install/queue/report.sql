-- What a relay reports. Every function takes items [{queue_id, fencing_token, …}], is set based, and is fenced: an item
-- whose fencing token is not the current one changes nothing and is missing from the answer.

create function report_items(items jsonb) returns report_item[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_objects('items', items);
    return array(select i from jsonb_populate_recordset(null::report_item, items) i);
exception when data_exception then
    return array(select report_item(i) from jsonb_array_elements(items) i);
end
$$;

-- One item; when it can't be read, its ids, PEMS' response and the problem.
create function report_item(item jsonb) returns report_item
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    problem text;
begin
    begin
        return jsonb_populate_record(null::report_item, item);
    exception when data_exception then
        problem := left(sqlerrm, 200);
    end;
    return jsonb_populate_record(null::report_item, jsonb_build_object(
        'queue_id', item->'queue_id', 'fencing_token', item->'fencing_token', 'response', item->'response',
        'problem', problem));
exception when data_exception then
    raise exception 'an item can''t be read: %', problem using errcode = 'PF001';
end
$$;

-- Locks the rows of items that are still the caller's, in the lock order; those that another session holds are left
-- out, and busy_items() names them. Rows in flight are found by their lease here and below, so that the planner finds
-- them by id and never reads the index of all leases for each.
create function lock_claimed(items report_item[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    free bigint[];
begin
    perform refresh_plans();
    free := lock_for_claim(array(select i.queue_id from unnest(items) i));
    return array(
        select q.id from unnest(items) i
         cross join lateral (
             select q.id, q.fencing_token, q.lease_until from pfa_write_queue q where q.id = i.queue_id offset 0) q
         where q.id = any (free) and q.fencing_token = i.fencing_token and q.lease_until is not null
         order by q.id);
end
$$;

-- The items that are still the caller's and were not locked: to be reported again.
create function busy_items(items report_item[], locked bigint[]) returns table (queue_id bigint, status text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    if cardinality(items) > cardinality(locked) then
        return query
            select q.id, 'busy'
              from unnest(items) i
              join pfa_write_queue q on q.id = i.queue_id and q.fencing_token = i.fencing_token
             where q.lease_until is not null and q.id <> all (locked);
    end if;
end
$$;

-- Marks records as about to be sent, right before the request: those that are still claimed by the relay.
create function pfa_sync.mark_sent(relay text, items jsonb, request_timeout interval default '30 s')
    returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform require_between('request_timeout', request_timeout, '0 s', '1 hour');
    perform refresh_plans();
    return query select unnest(mark_as_sent(array(
        select q.id from pfa_write_queue q
          join unnest(report_items(items)) i on i.queue_id = q.id and i.fencing_token = q.fencing_token
         where q.lease_until is not null and q.relay = mark_sent.relay and q.lease_until > clock_timestamp()
         order by q.id for update of q), request_timeout));
end
$$;
comment on function pfa_sync.mark_sent(text, jsonb, interval) is
    'Relay: marks claimed records as sent, right before the request, and extends their leases over '
    'request_timeout (an hour at most). From here on a missing answer makes the outcome ambiguous. Returns the '
    'queue ids that are still claimed by the caller: only these may be sent.';

-- Marks claimed rows as sent and writes WRITE_ATTEMPT to the log; their ids. From here on a missing answer means that
-- the outcome is reconciled before anything is sent again. The lease covers the request's time-out. The caller holds
-- the locks.
create function mark_as_sent(queue_ids bigint[], request_timeout interval) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    at timestamptz := clock_timestamp();
begin
    with sent as (
        update pfa_write_queue q
           set sent_at = now(), lease_until = greatest(q.lease_until, at + request_timeout)
         where q.id = any (queue_ids)
        returning q.id, q.organization_id, q.author, q.pfa_id, q.modification_id, q.job_id, q.batch_id, q.request),
    -- From the rows at hand, without reading them again as log_changes() would.
    logged as (
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id,
                                   batch_id, changes)
        select 'WRITE_ATTEMPT', s.organization_id, s.author, s.pfa_id, s.modification_id, s.id, s.job_id, s.batch_id,
               s.request
          from sent s)
    update sync_batch b set sent_at = at where b.batch_id = any (array(select distinct s.batch_id from sent s));
    return queue_ids;
end
$$;

-- Records what PEMS confirmed. Items carry version (the new one), updated_at and response besides.
create function pfa_sync.complete(relay text, items jsonb) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    reported report_item[] := report_items(items);
    claimed  bigint[] := lock_claimed(reported);
    refused  bigint[];
begin
    refused := refuse_unreadable(reported, claimed) || finalize_completed_singly(array(
        select row(i.queue_id, i.version, i.updated_at, i.response)::completion
          from unnest(reported) i where i.queue_id = any (claimed) and i.problem is null));
    return query select r, 'failed' from unnest(refused) r;
    claimed := array(select c from unnest(claimed) c where c <> all (refused));
    -- Most reports find nothing to correct.
    perform record_pems_health(organizations_of(claimed), false, null)
       from pems p where p.failures > 0 limit 1;
    return query select unnest(claimed), 'completed' union all select * from busy_items(reported, claimed);
end
$$;
comment on function pfa_sync.complete(text, jsonb) is
    'Relay: records what PEMS confirmed: mirror, history, modification, archive and log in one transaction. '
    'Items: queue_id, fencing_token, version, updated_at, response. Returns the new status of each; busy: another '
    'session holds the record, report it again. Items with an older fencing token change nothing and are left out.';

-- Records failed tries. Items carry outcome (throttled, unavailable, outage, unauthorized, rejected, locked,
-- ambiguous), http_status, error, retry_after_ms, response, whole (the request failed, not the record alone) and
-- records (how many changes the request was to write; null: it was a read) besides; retry_policy decides what follows.
create function pfa_sync.fail(relay text, items jsonb)
    returns table (queue_id bigint, status text, retry_in_ms double precision)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    reported      report_item[] := report_items(items);
    down          boolean := reports_outage(reported);
    claimed       bigint[];
    organizations text[];
    failures      failure[];
    throttled     interval;
begin
    if exists (select from unnest(reported) i
                where i.problem is null and coalesce(i.outcome, '') not in
                      ('throttled', 'unavailable', 'outage', 'unauthorized', 'rejected', 'locked', 'ambiguous')) then
        raise exception
            'fail() takes outcomes throttled, unavailable, outage, unauthorized, rejected, locked and ambiguous'
            using errcode = 'PF001';
    end if;
    perform hold_organization(u.organization_id, relay, u.error, u.credentials, u.everywhere)
       from (select q.organization_id, max(i.error) as error, max(i.credentials) as credentials,
                    bool_or(i.http_status = 401) as everywhere
               from unnest(reported) i
               join pfa_write_queue q on q.id = i.queue_id and q.fencing_token = i.fencing_token
                                     and q.lease_until is not null
              where i.outcome = 'unauthorized' or i.http_status = 401
              group by 1 order by 1) u;
    claimed := lock_claimed(reported);
    organizations := organizations_of(claimed);
    return query select r, 'failed', null::double precision from unnest(refuse_unreadable(reported, claimed)) r;
    failures := decide_failures(array(select i from unnest(reported) i where i.problem is null), claimed, down);
    perform apply_failures_singly(failures);

    throttled := (select max(f.delay) from unnest(failures) f where f.outcome = 'throttled');
    if throttled is not null then
        perform delay_slots(organizations, clock_timestamp() + throttled);
    end if;
    perform record_pems_health(organizations, down, (select max(i.error) from unnest(reported) i));
    return query
        select s.queue_id, s.status,
               case when s.status = 'pending' then 1000 * extract(epoch from f.delay) end::double precision
          from row_statuses(claimed) s
          join unnest(failures) f on f.queue_id = s.queue_id
        union all
        select b.queue_id, b.status, null from busy_items(reported, claimed) b;
end
$$;
comment on function pfa_sync.fail(text, jsonb) is
    'Relay: records failed attempts and decides what follows. Items: queue_id, fencing_token, outcome (throttled, '
    'unavailable, outage, unauthorized, rejected, locked, ambiguous), http_status, error, retry_after_ms, '
    'response, whole (the request failed as a whole), records (how many changes it was to write), credentials (the '
    'fingerprint of those used). Returns the new status of each (busy: report it again), and the milliseconds until a '
    'retry. PF001: another outcome.';

-- Whether a report of failed requests says that PEMS is down: requests as a whole that brought no answer or a 5xx.
create function reports_outage(items report_item[]) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return exists (select from unnest(items) i
                    where i.whole and i.outcome in ('unavailable', 'outage', 'ambiguous')
                      and coalesce(i.http_status, 500) >= 500);
end
$$;

-- The organizations of queue rows, live or ended.
create function organizations_of(queue_ids bigint[]) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(select q.organization_id from pfa_write_queue q where q.id = any (queue_ids)
                 union
                 select a.organization_id from pfa_write_queue_archive a where a.id = any (queue_ids));
end
$$;

-- The status of queue rows, live or ended.
create function row_statuses(queue_ids bigint[]) returns table (queue_id bigint, status text)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select q.id, q.status from pfa_write_queue q where q.id = any (queue_ids)
    union all
    select a.id, a.status from pfa_write_queue_archive a where a.id = any (queue_ids)
$$;

-- Gives back what was claimed and not sent; no try is used up.
create function pfa_sync.release(relay text, items jsonb) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    reported report_item[] := report_items(items);
    claimed  bigint[] := lock_claimed(reported);
begin
    perform return_to_pending(claimed, interval '0');
    perform wake();
    return query select unnest(claimed), 'pending' union all select * from busy_items(reported, claimed);
end
$$;
comment on function pfa_sync.release(text, jsonb) is
    'Relay: gives back claimed records that were not sent; no retry is used up. Returns the new '
    'status of each; busy: another session holds the record, release it again.';

-- Extends leases from now on; returns those that are still the caller's.
create function pfa_sync.extend_lease(relay text, items jsonb, lease interval) returns setof bigint
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
    select require_between('lease', $3, '1 second', '1 hour');
    update pfa_write_queue q
       set lease_until = greatest(q.lease_until, statement_timestamp() + $3)
      from unnest(report_items($2)) i
     where q.id = i.queue_id and q.fencing_token = i.fencing_token
       and q.lease_until is not null and q.lease_until > statement_timestamp()
    returning q.id
$$;
comment on function pfa_sync.extend_lease(text, jsonb, interval) is
    'Relay: extends leases to lease (a second to an hour) from now. Returns the queue ids that are still '
    'claimed by the caller.';

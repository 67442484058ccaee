-- What follows when PEMS' record was read because of a change: after a 409, after a request without an answer, and
-- before a write whose version is not known.

-- After a 409: PEMS' record as read back (null: PEMS does not have it) is taken into the mirror, and the change is
-- judged again.
create function pfa_sync.report_conflict(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(report_items(items), false) $$;
comment on function pfa_sync.report_conflict(text, jsonb) is
    'Relay: after a version conflict, takes the record that was read back into the mirror and judges the change '
    'again. Items: queue_id, fencing_token, record (null: PEMS has none), response. Returns the new status of '
    'each; busy: another session holds the record, report it again.';

-- Before a write: PEMS' record as read, because its version was unknown or an earlier outcome is ambiguous.
create function pfa_sync.reconcile(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(report_items(items), true) $$;
comment on function pfa_sync.reconcile(text, jsonb) is
    'Relay: with records that were read before a write, decides whether ambiguous requests were applied, or makes '
    'PEMS'' version known. Items: queue_id, fencing_token, record (null: PEMS has none), unchanged (PEMS'' list '
    'since lost_since() does not show the record). Returns the new status of each; busy: another session holds the '
    'record, report it again.';

-- The time from which PEMS' list of changes shows what it applied of requests without an answer; null = not known.
--
-- It is a time of PEMS' own clock, whatever ours says: the latest stamp that was known of the records of one request
-- before it was sent (rows sent together share sent_at), of the earliest request; five minutes of overlap allow for
-- PEMS clocks that differ, and a stamp ahead of PEMS' clock counts as not known. Should even that be wrong, a request
-- that was applied is sent again, refused by its version, and read.
create function pfa_sync.lost_since(items jsonb) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return (
        select case when bool_and(r.stamp is not null and r.stamp <= r.pems_now + interval '5 minutes')
                    then pems_stamp(min(r.stamp) - interval '5 minutes') end
          from (select max(pems_time(p.pems_updated_at)) as stamp, pems_now(q.organization_id) as pems_now
                  from unnest(report_items(items)) i
                  join pfa_write_queue q on q.id = i.queue_id and q.fencing_token = i.fencing_token
                  left join pems_record p on p.mirror_id = q.mirror_id and p.pems_version = q.expected_version
                 group by q.organization_id, q.sent_at) r);
end
$$;
comment on function pfa_sync.lost_since(jsonb) is
    'Relay: the time, by PEMS'' clock, from which PEMS'' list of changes shows what it applied of ambiguous '
    'requests. Items: queue_id, fencing_token. Null: not known; read record by record.';

-- What a record that was read says of its change.
create type read_outcome as enum ('missing', 'not_applied', 'applied', 'judge', 'judge_without_base',
                                     'went_back');
create type read_decision as (
    queue_id bigint,
    outcome  read_outcome,
    record   jsonb
);

-- One rule for every record that was read because of a change. Items carry record (with version and updatedAt), or
-- unchanged: PEMS' list since lost_since() does not show it, so its request was not applied.
--
-- A request whose outcome is unknown was sent at expected_version, and PEMS counts by one:
--   at a lower version                PEMS was restored from a backup: a conflict
--   still at that version             not applied: another try
--   one further, with our values      applied: completed
--   one further, with other values    another user's change: judged against it
--   more than one further             ours may have been applied and overwritten: every differing field is a conflict
create function decide_reads(items report_item[], queue_ids bigint[], reconciling boolean) returns read_decision[]
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select array(
        select row(q.id, case
                   when i.unchanged and reconciling and q.sent_at is not null then 'not_applied'
                   when r.version is null then 'missing'
                   when r.version < q.expected_version
                        or r.version < p.pems_version and p.known_at < b.claimed_at then 'went_back'
                   when q.sent_at is null or q.expected_version is null then 'judge'
                   when r.version = q.expected_version and reconciling then 'not_applied'
                   when r.version = q.expected_version + 1 and reconciling and m.conflicts = '{}' then 'applied'
                   when r.version > q.expected_version + 1 and reconciling then 'judge_without_base'
                   when q.rejudgements >= setting('max_rejudgements', q.organization_id)::int then 'not_applied'
                   else 'judge' end, i.record)::read_decision
          from unnest(items) i
          join pfa_write_queue q on q.id = i.queue_id
          left join pems_record p on p.mirror_id = q.mirror_id
          left join sync_batch b on b.batch_id = q.batch_id
         cross join lateral (select (i.record->>'version')::bigint) r (version)
         cross join lateral three_way(null, q.request, coalesce(i.record, '{}')) m
         where q.id = any (queue_ids))
$$;

-- Takes records that were read into the mirror and does what they say of their changes. reconciling: they were read
-- before a write, not after a 409.
create function judge_read(items report_item[], reconciling boolean) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    claimed  bigint[] := lock_claimed(items);
    refused  bigint[] := refuse_unreadable(items, claimed);
    readable report_item[] := array(select i from unnest(items) i
                                     where i.queue_id = any (claimed) and i.queue_id <> all (refused));
begin
    begin
        perform judge_read_items(readable, reconciling);
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
        perform apply_singly('read', to_jsonb(readable), jsonb_build_object('reconciling', reconciling));
    end;
    perform wake();
    perform record_pems_health(organizations_of(claimed), false, null);
    return query select * from row_statuses(claimed) union all select * from busy_items(items, claimed);
end
$$;

-- The same of items that are the caller's and locked.
create function judge_read_items(items report_item[], reconciling boolean) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    claimed     bigint[] := array(select i.queue_id from unnest(items) i);
    decisions   read_decision[];
    not_applied report_item[];
    judged      bigint[];
begin
    if not reconciling then
        perform log_changes('WRITE_FAILED', false, array(
            select row(i.queue_id, null, i.response, 'PEMS has another version of the record')::log_entry
              from unnest(items) i where i.queue_id = any (claimed)));
    end if;
    perform ingest_records(q.organization_id, jsonb_agg(i.record), 'read-back')
       from unnest(items) i
       join pfa_write_queue q on q.id = i.queue_id
      where q.id = any (claimed) and jsonb_typeof(i.record) = 'object'
      group by q.organization_id;
    decisions := decide_reads(items, claimed, reconciling);

    perform finalize_dead_letters(array(
        select row(d.queue_id, 'NOT_FOUND', 'PEMS has no such record', null, null)::dead_letter
          from unnest(decisions) d where d.outcome = 'missing'));
    perform finalize_completed(array(
        select row(d.queue_id, (d.record->>'version')::bigint, d.record->>'updatedAt', d.record)::completion
          from unnest(decisions) d where d.outcome = 'applied'));
    perform finalize_conflicts(array(
        select judgement_of_request(d.queue_id, 'VERSIONS_BACK',
                   format('PEMS has version %s of the record, which is lower than was known', d.record->>'version'),
                   d.record)
          from unnest(decisions) d where d.outcome = 'went_back'), 'pems');
    -- What an outage kept from PEMS is no try; a request that PEMS left unanswered, or that was blocked, is one.
    not_applied := array(
        select jsonb_populate_record(null::report_item, jsonb_build_object('queue_id', q.id,
                   'outcome', case when q.last_error like 'blocked: %' then 'blocked' else 'unavailable' end,
                   'http_status', case when reconciling and q.last_error like 'outage: %' then 503 end,
                   'error', coalesce(regexp_replace(q.last_error, '^(unavailable|ambiguous|outage|blocked): ', ''),
                                     'the request was not applied')))
          from unnest(decisions) d
          join pfa_write_queue q on q.id = d.queue_id
         where d.outcome = 'not_applied');
    perform apply_failures(decide_failures(array(select i from unnest(not_applied) i where i.http_status is null),
                                           claimed, down => false));
    perform apply_failures(decide_failures(array(select i from unnest(not_applied) i where i.http_status is not null),
                                           claimed, down => true));

    judged := array(select d.queue_id from unnest(decisions) d where d.outcome in ('judge', 'judge_without_base'));
    update pfa_write_queue q
       set base = case when d.outcome = 'judge' then q.base end,
           accepted = case when d.outcome = 'judge' then q.accepted end,
           rejudgements = q.rejudgements + (q.expected_version is not null)::int
      from unnest(decisions) d
     where q.id = d.queue_id and q.id = any (judged);
    perform return_to_pending(array(select j.queue_id from judge_queued_singly(judged, 'pems') j), interval '0');
end
$$;

-- After a 409: PEMS' record as read back (null: PEMS does not have it) is taken into the mirror, and the change judged anew.
create function pfa_sync.report_conflict(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(items, false) $$;
comment on function pfa_sync.report_conflict(text, jsonb) is 'After a 409, with PEMS'' record read back: rebased and pending again, or a question to a person.';

-- The time from which PEMS' list of changes shows whatever it applied of lost requests; null = not known.
--
-- It is a time of PEMS' own clock, whatever ours says: the latest stamp that was known of the records of one request
-- before it was sent (rows sent together share sent_at), of the earliest request; five minutes of overlap forgive PEMS
-- clocks that differ. Should even that be wrong, a request that was applied is sent again, refused by its version, and read.
create function pfa_sync.lost_since(items jsonb) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
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
comment on function pfa_sync.lost_since(jsonb) is 'The time of PEMS from which its list shows what became of lost requests; null = read record by record.';

-- Before a write: PEMS' record as read, because its version was unknown or an earlier outcome is ambiguous.
create function pfa_sync.reconcile(relay text, items jsonb) returns table (queue_id bigint, status text)
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$ select * from judge_read(items, true) $$;
comment on function pfa_sync.reconcile(text, jsonb) is 'With PEMS'' record read before a write: settles an ambiguous outcome, or makes the version known.';

-- One rule for every record that was read because of a change. Items carry record (with version and updatedAt), or
-- unchanged: PEMS' list since lost_since() does not show it, so its request was not applied.
--
-- A request whose outcome is unknown was sent at expected_version, and PEMS counts by one:
--   still at that version             not applied: another try
--   one further, with our values      applied: completed
--   one further, with other values    somebody else's: judged against it
--   more than one further             ours may have been applied and overwritten: every differing field is a question
create function judge_read(items jsonb, reconciling boolean) returns table (queue_id bigint, status text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    held    bigint[] := lock_claimed(items);
    decided jsonb;
    clean   bigint[];
begin
    if not reconciling then
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
                     when i.unchanged and reconciling and q.sent_at is not null then 'retry'
                     when i.version is null then 'failed'
                     when q.sent_at is null or q.expected_version is null then 'judge'
                     when i.version = q.expected_version and reconciling then 'retry'
                     when i.version = q.expected_version + 1 and reconciling and m.conflicts = '{}' then 'completed'
                     when i.version > q.expected_version + 1 and reconciling then 'judge without base'
                     when q.rejudgements >= setting('max_rejudgements', q.organization_id)::int then 'retry'
                     else 'judge' end)), '[]')
          from (select i.queue_id, i.record, i.unchanged, (i.record->>'version')::bigint as version
                  from jsonb_to_recordset(items) i (queue_id bigint, record jsonb, unchanged boolean)) i
          join pfa_write_queue q on q.id = i.queue_id
         cross join lateral three_way(null, q.request, coalesce(i.record, '{}')) m
         where q.id = any (held));

    perform finalize_dead_letters(jsonb_agg(jsonb_build_object('queue_id', d.queue_id, 'code', 'NOT_FOUND', 'error', 'PEMS has no such record')))
       from jsonb_to_recordset(decided) d (queue_id bigint, verdict text) where d.verdict = 'failed' having count(*) > 0;
    perform finalize_completed((select coalesce(jsonb_agg(d), '[]') from jsonb_array_elements(decided) d where d->>'verdict' = 'completed'));
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
    perform record_pems_health(organizations_of(held), false, null);
    return query select * from row_statuses(held);
end
$$;

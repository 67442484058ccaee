-- Records that a full pull did not meet, at most 100: PEMS is asked for each, since pages may have shifted while they
-- were read. None when a page of the pull is not here any more, or when there are suspiciously many.
create function pfa_sync.missing_records(pull_id bigint, attempt int) returns table (pfa_id text, version int)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    pull    sync_pull;
    missing text[];
    known   bigint;
    most    int;
begin
    select * into pull from sync_pull p
     where p.pull_id = missing_records.pull_id and p.attempt = missing_records.attempt and p.status = 'running' and p.whole and p.kind = 'full'
       for no key update;
    if not found or pull.pages <> (select count(*) from sync_pull_page g where g.pull_id = pull.pull_id) then
        return;
    end if;
    select count(*) into known from mirror r where r.organization_id = pull.organization_id;
    missing := array(
        with met as materialized (
            select e->>'pfaId' as pfa_id from sync_pull_page g cross join lateral jsonb_array_elements(g.records) e
             where g.pull_id = pull.pull_id and jsonb_typeof(e) = 'object')
        select r.mirror_id from mirror r
         where r.organization_id = pull.organization_id and r.pfa_id not in (select m.pfa_id from met m where m.pfa_id is not null)
           -- What is marked already has no version in PEMS.
           and not (r.is_discontinued is true and not exists (select from pems_record p where p.mirror_id = r.mirror_id))
         order by r.pfa_id);
    most := greatest(10, known * setting('discontinue_limit', pull.organization_id)::int / 100);
    if cardinality(missing) > most then
        update sync_pull p set last_error = format('%s of %s records were not in PEMS'' list, more than setting discontinue_limit allows; none is marked discontinued',
                                                   cardinality(missing), known)
         where p.pull_id = pull.pull_id;
        return;
    end if;
    return query select r.pfa_id, r.version from mirror r where r.mirror_id = any (missing[1:100]) order by 1;
end
$$;
comment on function pfa_sync.missing_records(bigint, int) is 'Records that a whole full pull did not meet: PEMS is to be asked for each.';

-- What PEMS said of them: items {pfa_id, version, record}; record null = PEMS has none. Such a record is marked discontinued
-- in the mirror, unless that moved since, and never deleted. PEMS' version of it is unknown from then on.
create function pfa_sync.report_missing(pull_id bigint, attempt int, items jsonb) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    pull    sync_pull;
    changes mirror_change[];
    waiting text[];
    gone    jsonb := (select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(items) i where coalesce(i->'record', 'null') = 'null');
begin
    select * into pull from sync_pull p
     where p.pull_id = report_missing.pull_id and p.attempt = report_missing.attempt and p.status = 'running' for no key update;
    if not found then
        return 0;
    end if;
    perform ingest_records(pull.organization_id,
        (select coalesce(jsonb_agg(i->'record'), '[]') from jsonb_array_elements(items) i where i->'record' <> 'null'), 'full pull');
    waiting := lock_queued_modifications(array(select r.mirror_id from mirror r join jsonb_to_recordset(gone) i (pfa_id text) on i.pfa_id = r.pfa_id
                                   where r.organization_id = pull.organization_id));
    perform from mirror r
      where r.organization_id = pull.organization_id and r.pfa_id in (select i->>'pfa_id' from jsonb_array_elements(gone) i)
      order by r.mirror_id for no key update;
    changes := array(
        select row(r.mirror_id, r.data || '{"isDiscontinued": true}', null, 'PEMS_SYNC', 'PEMS no longer has the record', true)::mirror_change
          from mirror r join jsonb_to_recordset(gone) i (pfa_id text, version int) on i.pfa_id = r.pfa_id and i.version = r.version
         where r.organization_id = pull.organization_id);
    perform change_mirrors(changes);
    delete from pems_record p where p.mirror_id in (select c.mirror_id from unnest(changes) c);
    perform rejudge_queued(waiting, changes);
    insert into pfa_audit_log (event_type, organization_id, pfa_id, success, changes)
    select 'DISCONTINUED', r.organization_id, r.pfa_id, true, '{"isDiscontinued": true}'
      from mirror r where r.mirror_id in (select c.mirror_id from unnest(changes) c);
    update sync_pull p set discontinued = p.discontinued + cardinality(changes), lease_until = clock_timestamp() + setting('lease')::interval
     where p.pull_id = pull.pull_id;
    return cardinality(changes);
end
$$;
comment on function pfa_sync.report_missing(bigint, int, jsonb) is 'What PEMS said of records that a full pull did not meet; how many were marked discontinued.';

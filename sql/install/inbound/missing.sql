-- Records that PEMS no longer has.

-- Records that a full pull did not meet, at most 100: PEMS is asked for each, since pages may have shifted while they
-- were read. None when a page of the pull is not here any more, or when more are missing than discontinue_limit allows.
create function pfa_sync.missing_records(pull_id bigint, fencing_token int) returns table (pfa_id text, version int)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    pull    sync_pull := lock_pull(pull_id, fencing_token);
    missing text[];
    known   bigint;
    most    int;
begin
    if pull.pull_id is null or not pull.whole or pull.kind <> 'full'
       or pull.pages <> (select count(*) from sync_pull_page g where g.pull_id = pull.pull_id) then
        return;
    end if;
    select count(*) into known from mirror m where m.organization_id = pull.organization_id;
    missing := array(
        with met as materialized (
            select e->>'pfaId' as pfa_id from sync_pull_page g cross join lateral jsonb_array_elements(g.records) e
             where g.pull_id = pull.pull_id and jsonb_typeof(e) = 'object')
        select m.mirror_id from mirror m
         where m.organization_id = pull.organization_id
           and m.pfa_id not in (select t.pfa_id from met t where t.pfa_id is not null)
           -- What is marked already has no version in PEMS.
           and not (m.is_discontinued is true
                    and not exists (select from pems_record p where p.mirror_id = m.mirror_id))
         order by m.pfa_id);
    most := greatest(10, known * setting('discontinue_limit', pull.organization_id)::int / 100);
    if cardinality(missing) > most then
        update sync_pull p
           set last_error = format('%s of %s records were not in PEMS'' list, more than setting discontinue_limit '
                                   'allows; none is marked discontinued', cardinality(missing), known)
         where p.pull_id = pull.pull_id;
        return;
    end if;
    return query select m.pfa_id, m.version from mirror m where m.mirror_id = any (missing[1:100]) order by 1;
end
$$;
comment on function pfa_sync.missing_records(bigint, int) is
    'Relay: records that a complete full pull did not contain, at most 100, with their mirror versions: PEMS is '
    'to be asked for each. No row when there are more than discontinue_limit allows.';

-- What PEMS answered for them: items {pfa_id, version, record}; record null = PEMS has none. Such a record is marked
-- discontinued in the mirror, unless that moved since, and never deleted. PEMS' version of it is unknown from then on.
create function pfa_sync.report_missing(pull_id bigint, fencing_token int, items jsonb) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    pull   sync_pull := lock_pull(pull_id, fencing_token);
    marked bigint;
begin
    perform require_objects('items', items);
    if pull.pull_id is null then
        return 0;
    end if;
    begin
        marked := take_missing(pull.organization_id, items);
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
        select coalesce(sum(n::bigint), 0) into marked
          from jsonb_array_elements_text(apply_singly(
                   'missing', items, jsonb_build_object('organization_id', pull.organization_id))) n;
    end;
    update sync_pull p
       set discontinued = p.discontinued + marked, lease_until = clock_timestamp() + setting('lease')::interval
     where p.pull_id = pull.pull_id;
    return marked;
end
$$;
comment on function pfa_sync.report_missing(bigint, int, jsonb) is
    'Relay: takes PEMS'' answers about missing records. Items: pfa_id, version, record. A record that PEMS no '
    'longer has (record null) is marked discontinued if the mirror is still at version. Returns how many were '
    'marked.';

-- The same of one organization; how many were marked.
create function take_missing(organization_id text, items jsonb) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    gone    jsonb;
    changes mirror_change[];
    mirrors text[];
    queued  text[];
begin
    gone := (select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(items) i
              where coalesce(i->'record', 'null') = 'null');
    perform ingest_records(take_missing.organization_id,
        (select coalesce(jsonb_agg(i->'record'), '[]') from jsonb_array_elements(items) i
          where i->'record' <> 'null'), 'full pull');
    mirrors := array(
        select m.mirror_id from mirror m join jsonb_to_recordset(gone) i (pfa_id text) on i.pfa_id = m.pfa_id
         where m.organization_id = take_missing.organization_id);
    queued := lock_queued_modifications(mirrors);
    -- A record that another session holds is looked for by the next pull.
    mirrors := lock_records(mirrors, skip_locked => true);
    changes := array(
        select row(m.mirror_id, m.data || '{"isDiscontinued": true}', null, 'PEMS_SYNC',
                   'PEMS no longer has the record', true)::mirror_change
          from mirror m
          join jsonb_to_recordset(gone) i (pfa_id text, version int) on i.pfa_id = m.pfa_id and i.version = m.version
         where m.mirror_id = any (mirrors));
    perform change_mirrors(changes);
    delete from pems_record p where p.mirror_id in (select c.mirror_id from unnest(changes) c);
    perform rejudge_queued(queued, changes);
    perform log_event('DISCONTINUED', m.organization_id, pfa_id => m.pfa_id, changes => '{"isDiscontinued": true}')
       from mirror m where m.mirror_id in (select c.mirror_id from unnest(changes) c);
    return cardinality(changes);
end
$$;

-- Inbound: pages of PEMS' records as they came (bronze), typed and checked (silver), into the mirror.

-- Takes a page of records of one organization, as PEMS lists them, into the mirror. One transaction, set based: only
-- rows that differ are written. A record that can't be typed, or belongs to another organization, is refused by itself.
-- stopped: why the page was kept but not promoted; null = it was.
create function pfa_sync.ingest(organization text, page jsonb, source text default 'pems', pull_id bigint default null)
    returns table (records_read bigint, records_changed bigint, records_unchanged bigint, records_rejected bigint,
                   rejects jsonb, stopped text, records_busy bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    records inbound_record[];
    refused jsonb;
    results jsonb;
    drift   text;
    changed bigint := 0;
    busy    bigint := 0;
begin
    if jsonb_typeof(page) is distinct from 'array' then
        raise exception 'a page is a JSON array of records, not %', coalesce(jsonb_typeof(page), 'null')
            using errcode = 'PF001';
    end if;
    if scope is null then
        raise exception 'a page belongs to an organization; name it' using errcode = 'PF001';
    end if;
    records := parse_page(scope, page);
    drift := detect_drift(scope, records);
    refused := (
        select coalesce(jsonb_agg(jsonb_build_object('row', r.row_number, 'pfaId', r.pfa_id, 'reason', r.problem)
                                  order by r.row_number), '[]')
          from unnest(records) r where r.problem is not null);
    if drift is null then
        results := promote_singly(scope, records, source, pull_id);
        select coalesce(sum((r->>'changed')::bigint), 0), coalesce(sum((r->>'busy')::bigint), 0),
               refused || coalesce(jsonb_agg(r->'refused') filter (where r ? 'refused'), '[]')
          into changed, busy, refused
          from jsonb_array_elements(results) r;
    end if;
    -- A page that is not taken whole is handed in again.
    if busy = 0 then
        insert into sync_pull_page (pull_id, organization_id, source, records, rejects)
            values (ingest.pull_id, scope, source, page, refused);
    end if;
    return query
        select p.n, changed,
               case when drift is null then p.n - changed - busy - jsonb_array_length(refused) else 0 end,
               jsonb_array_length(refused)::bigint, refused, drift, busy
          from (select jsonb_array_length(page)::bigint) p (n);
end
$$;
comment on function pfa_sync.ingest(text, jsonb, text, bigint) is
    'Relay: takes a page of PEMS'' records of an organization into the mirror. Returns counts of read, changed, '
    'unchanged and rejected records; each rejected record with its reason; stopped: why nothing was promoted, null: it '
    'was; and records_busy: how many another session holds, for which the page is to be handed in again. PF001: not an '
    'array, or no organization.';

-- Records that were read because of a change: not a page of a list, so they are neither kept as bronze nor compared
-- with the known shape.
create function ingest_records(organization_id text, page jsonb, source text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform promote_records(organization_id, parse_page(organization_id, page), source);
end
$$;

-- The records of a page that may differ from the mirror, typed and checked. One that is, to the letter, what PEMS
-- listed last is left out before it costs anything, unless the mirror has been changed by another writer since. One
-- with the field $unreadable lacks what the relay could not read, as that field says.
create function parse_page(organization_id text, page jsonb) returns inbound_record[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_custom_plan
as $$
declare
    code text := (select o.code from organization o where o.organization_id = parse_page.organization_id);
begin
    return array(
        with fresh as materialized (
            select e.row_number, e.record, h.record_hash
              from jsonb_array_elements(page) with ordinality e (record, row_number)
             cross join lateral (select jsonb_hash_extended(e.record, 0)) h (record_hash)
             -- One index scan for each record, whatever the planner estimates of a mirror that was never analyzed.
             where (select p.record_hash from mirror r
                      join pems_record p on p.mirror_id = r.mirror_id and p.mirror_version = r.version
                     where r.organization_id = parse_page.organization_id and r.pfa_id = e.record->>'pfaId')
                   is distinct from h.record_hash),
        versioned as (
            select f.*, readable(f.record::text) as is_readable, case when jsonb_typeof(f.record->'version') = 'number'
                                  and f.record->>'version' ~ '^[0-9]{1,18}$'
                             then (f.record->>'version')::bigint end as pems_version
              from fresh f)
        select row(v.row_number, v.record, v.record_hash, with_derived(t.data - 'version' - 'updatedAt'),
                   t.data->>'pfaId', v.record->>'updatedAt', v.pems_version,
                   case when not v.is_readable
                            then 'the record is nested too deeply, or has a number that can''t be read'
                        when jsonb_typeof(v.record) <> 'object' then 'the record is not a JSON object'
                        when v.record ? '$unreadable' then v.record->>'$unreadable'
                        when t.problem is not null then t.problem
                        when coalesce(t.data->>'pfaId', '') = '' then 'pfaId is missing'
                        when t.data->>'organization' is distinct from code
                            then format('belongs to organization %s, not %s',
                                        coalesce(t.data->>'organization', 'of no name'), code)
                        when v.pems_version is null then 'version is not a whole number'
                        when v.record->>'updatedAt' is not null and pems_time(v.record->>'updatedAt') is null
                            then 'updatedAt is not a time'
                        when row_number() over (partition by t.data->>'pfaId'
                                                order by v.pems_version desc nulls last, v.row_number) > 1
                            then 'a second record of this pfaId in the page'
                   end)::inbound_record
          from versioned v
         cross join lateral typed(case when v.is_readable and jsonb_typeof(v.record) = 'object' then v.record
                                       else '{}' end) t
         order by v.row_number);
end
$$;

-- Takes records into the mirror. Versions decide: an older one changes nothing, unless a user has accepted that
-- versions have gone back (and only if the newer one was known before the page can have been read); a newer one makes a
-- new mirror version when its data differs; the same version with other data (PEMS spelled it otherwise, or stored
-- another value than it confirmed) is replaced in place. changed counts the mirror rows that were made or changed; busy
-- counts those that another session holds, which stay as they are. What is queued for the changed ones is judged again
-- at once.
create function promote_records(organization_id text, records inbound_record[], source text,
                                pull_id bigint default null, out changed bigint, out busy bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    pull     sync_pull;
    begun    timestamptz;
    accepted boolean;
    known    text[];
    queued   text[];
    locked   text[];
    changes  mirror_change[];
    inserted bigint;
begin
    changed := 0;
    busy := 0;
    records := array(select r from unnest(records) r where r.problem is null);
    if cardinality(records) = 0 then
        return;
    end if;
    known := array(
        select m.mirror_id from mirror m
         where m.organization_id = promote_records.organization_id
           and m.pfa_id in (select r.pfa_id from unnest(records) r));
    queued := lock_queued_modifications(known);
    locked := lock_records(known, skip_locked => true);
    inserted := insert_mirrors(organization_id, records);
    changed := inserted;
    if inserted = cardinality(records) then
        return;
    end if;
    busy := cardinality(known) - cardinality(locked);
    if busy > 0 then
        records := array(
            select r from unnest(records) r
             where r.pfa_id not in (select m.pfa_id from mirror m
                                     where m.mirror_id = any (known) and m.mirror_id <> all (locked)));
    end if;

    select * into pull from sync_pull p where p.pull_id = promote_records.pull_id;
    begun := coalesce(pull.started_at, clock_timestamp() - interval '5 minutes');
    accepted := coalesce(pull.kind = 'full' and begun >= (
        select s.versions_accepted_at from sync_organization s
         where s.organization_id = promote_records.organization_id), false);
    if not accepted and busy = 0 then
        perform record_versions_back(organization_id, records, begun, pull.pull_id);
    end if;

    -- Looked up first and compared after: with the comparison in the join, the planner would read the whole mirror.
    changes := array(
        with known as materialized (
            select m.mirror_id, m.data as before, r.data, r.pems_stamp, r.pems_version, p.pems_version as known_version,
                   accepted and p.known_at < begun as may_go_back
              from unnest(records) r
              join mirror m on m.organization_id = promote_records.organization_id and m.pfa_id = r.pfa_id
              left join pems_record p on p.mirror_id = m.mirror_id)
        select row(k.mirror_id, k.data, k.pems_stamp, 'PEMS_SYNC', source,
                   k.known_version is distinct from k.pems_version)::mirror_change
          from known k
         where (k.known_version is null or k.known_version <= k.pems_version or k.may_go_back)
           and k.before is distinct from k.data
           and (select with_derived(t.data) from typed(k.before) t) is distinct from k.data);
    perform log_stored_differently(changes);
    perform change_mirrors(changes);
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at, record_hash)
    select m.mirror_id, r.pems_version, m.version, r.pems_stamp, r.record_hash
      from unnest(records) r
      join mirror m on m.organization_id = promote_records.organization_id and m.pfa_id = r.pfa_id
      left join pems_record known on known.mirror_id = m.mirror_id
     where known.mirror_id is null or known.pems_version < r.pems_version
        or (accepted and known.known_at < begun and known.pems_version > r.pems_version)
        or (known.pems_version = r.pems_version
            and (known.mirror_version <> m.version or known.record_hash is distinct from r.record_hash))
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version,
                  pems_updated_at = excluded.pems_updated_at, record_hash = excluded.record_hash,
                  known_at = excluded.known_at
        where p.pems_version <= excluded.pems_version or accepted;
    perform rejudge_queued(queued, changes);
    changed := inserted + cardinality(changes);
end
$$;

-- The same, one record at a time where it fails: a record that the application's table refuses is refused by itself. A
-- JSON array of objects: changed and busy, as promote_records() counts them; refused, an entry for the page's rejects.
create function promote_singly(organization_id text, records inbound_record[], source text, pull_id bigint)
    returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select jsonb_build_array(to_jsonb(p)) from promote_records(organization_id, records, source, pull_id) p);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    return apply_singly('promote', to_jsonb(array(select r from unnest(records) r where r.problem is null)),
                        jsonb_build_object('organization_id', organization_id, 'source', source, 'pull_id', pull_id));
end
$$;

-- Locks the modifications that wait to be sent for mirror rows, before the mirror rows themselves are locked. Those
-- behind a change that is in flight are judged when it ends, those that another session holds when they are claimed.
create function lock_queued_modifications(mirror_ids text[]) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return lock_modifications(array(
        select q.modification_id from pfa_write_queue q
          join pfa_write_queue h on h.mirror_id = q.mirror_id and place_in_record(h.head, h.id) = 0
                                and h.status = 'pending'
         where q.mirror_id = any (mirror_ids) and q.status = 'pending'), skip_locked => true);
end
$$;

-- Judges the queued changes of mirror rows that moved. When a head ends, the change behind it is judged next.
create function rejudge_queued(modification_ids text[], moved mirror_change[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    judged bigint[] := '{}';
    heads  bigint[];
begin
    if cardinality(modification_ids) = 0 then
        return;
    end if;
    loop
        heads := array(
            select q.id from pfa_write_queue q
             where q.modification_id = any (modification_ids)
               and q.mirror_id in (select c.mirror_id from unnest(moved) c)
               and q.head and q.status = 'pending' and q.id <> all (judged)
             order by q.id for update);
        exit when cardinality(heads) = 0;
        perform from judge_queued_singly(heads, 'pems');
        judged := judged || heads;
    end loop;
end
$$;

-- The way in: pages of PEMS' records (bronze), typed and checked (silver), to the mirror.

create type inbound_record as (
    row_number   bigint,
    record       jsonb,
    record_hash  bigint,
    data         jsonb,
    pfa_id       text,
    pems_stamp   text,
    pems_version bigint,
    problem      text
);
comment on type inbound_record is 'One record of a page that may be news: as it came, as canonical data, and what is wrong with it.';

-- Takes a page of records of one organization, as PEMS lists them, into the mirror. One transaction, set based: only
-- rows that differ are written. A record that can't be typed, or belongs to another organization, is refused by itself.
-- stopped: why the page was kept but not promoted; null = it was.
create function pfa_sync.ingest(organization text, page jsonb, source text default 'pems', pull_id bigint default null)
    returns table (records_read bigint, records_changed bigint, records_unchanged bigint, records_rejected bigint, rejects jsonb, stopped text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    served   text := organization_of(organization);
    arrivals inbound_record[];
    refused  jsonb;
    halted   text;
    changed  bigint := 0;
begin
    if jsonb_typeof(page) is distinct from 'array' then
        raise exception 'a page is a JSON array of records, not %', coalesce(jsonb_typeof(page), 'nothing') using errcode = 'PF001';
    end if;
    if served is null then
        raise exception 'a page belongs to an organization; name it' using errcode = 'PF001';
    end if;
    arrivals := parse_page(served, page);
    halted := detect_drift(served, arrivals);
    refused := (select coalesce(jsonb_agg(jsonb_build_object('row', a.row_number, 'pfaId', a.pfa_id, 'reason', a.problem) order by a.row_number), '[]')
                  from unnest(arrivals) a where a.problem is not null);
    insert into sync_pull_page (pull_id, organization_id, source, records, rejects) values (ingest.pull_id, served, source, page, refused);
    if halted is null then
        changed := promote_records(served, arrivals, source);
    end if;
    return query
        select n, changed, case when halted is null then n - changed - jsonb_array_length(refused) else 0 end, jsonb_array_length(refused)::bigint,
               refused, halted
          from (select jsonb_array_length(page)::bigint) p (n);
end
$$;
comment on function pfa_sync.ingest(text, jsonb, text, bigint) is
    'Takes a page of PEMS'' records into the mirror; counts, each refused record with its reason, and why nothing was promoted, if so.';

-- Records read because of a change: no page of a list, so neither bronze nor a shape to compare.
create function ingest_records(organization_id text, page jsonb, source text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform promote_records(organization_id, parse_page(organization_id, page), source);
end
$$;

-- The records of a page that may be news, typed and checked. One that is, to the letter, what PEMS listed last is left
-- out before it costs anything, unless the mirror has moved on by another hand since.
create function parse_page(organization_id text, page jsonb) returns inbound_record[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set plan_cache_mode = force_custom_plan
as $$
declare
    organization_code text := (select o.code from organization o where o.organization_id = parse_page.organization_id);
begin
    return array(
        with news as materialized (
            select e.row_number, e.record, h.record_hash
              from jsonb_array_elements(page) with ordinality e (record, row_number)
             cross join lateral (select jsonb_hash_extended(e.record, 0)) h (record_hash)
             -- A look-up for each record, whatever the planner believes of a mirror that was never analyzed.
             where (select p.record_hash from mirror r
                      join pems_record p on p.mirror_id = r.mirror_id and p.mirror_version = r.version
                     where r.organization_id = parse_page.organization_id and r.pfa_id = e.record->>'pfaId') is distinct from h.record_hash),
        versioned as (
            select n.*, case when jsonb_typeof(n.record->'version') = 'number' and n.record->>'version' ~ '^[0-9]{1,18}$'
                             then (n.record->>'version')::bigint end as pems_version
              from news n)
        select row(v.row_number, v.record, v.record_hash, with_derived(t.data - 'version' - 'updatedAt'), t.data->>'pfaId', v.record->>'updatedAt', v.pems_version,
                   case when jsonb_typeof(v.record) <> 'object' then 'the record is no JSON object'
                        when t.problem is not null then t.problem
                        when coalesce(t.data->>'pfaId', '') = '' then 'pfaId is missing'
                        when t.data->>'organization' is distinct from organization_code
                            then format('belongs to organization %s, not %s', coalesce(t.data->>'organization', 'of no name'), organization_code)
                        when v.pems_version is null then 'version is no whole number'
                        when not is_time(v.record->>'updatedAt') then 'updatedAt is no time'
                        when row_number() over (partition by t.data->>'pfaId' order by v.pems_version desc nulls last, v.row_number) > 1
                            then 'a second record of this pfaId in the page'
                   end)::inbound_record
          from versioned v
         cross join lateral typed(case when jsonb_typeof(v.record) = 'object' then v.record else '{}' end) t
         order by v.row_number);
end
$$;

-- Whether a text is a time as PEMS spells it; PEMS may leave it out.
create function is_time(stamp text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return stamp is null or (stamp ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d' and stamp::timestamptz is not null);
exception when data_exception then
    return false;
end
$$;

-- Versions decide what a record is to the mirror: an older one is no news; a newer one makes a new mirror version when
-- its data differs; the same version with other data (PEMS spelled it otherwise) is replaced in place. Returns how many
-- mirror rows were made or changed. What is queued for those is judged again at once.
create function promote_records(organization_id text, arrivals inbound_record[], source text) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    waiting  text[];
    changes  mirror_change[];
    inserted bigint;
begin
    arrivals := array(select a from unnest(arrivals) a where a.problem is null);
    if cardinality(arrivals) = 0 then
        return 0;
    end if;
    waiting := lock_queued_modifications(array(select r.mirror_id from mirror r
                                   where r.organization_id = promote_records.organization_id and r.pfa_id in (select a.pfa_id from unnest(arrivals) a)));
    perform from mirror r
      where r.organization_id = promote_records.organization_id and r.pfa_id in (select a.pfa_id from unnest(arrivals) a)
      order by r.mirror_id for no key update;

    with fresh as (
        insert into mirror (mirror_id, organization_id, pfa_id, data, version, pems_version, last_synced_at, created_at, updated_at,
               category, class, source, dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start, forecast_end,
               original_start, original_end, actual_start, actual_end, is_actualized, is_discontinued, is_funds_transferable, has_plan, has_actuals)
        select gen_random_uuid()::text, promote_records.organization_id, a.pfa_id, a.data, 1, a.pems_stamp,
               now() at time zone 'utc', now() at time zone 'utc', now() at time zone 'utc', t.*
          from unnest(arrivals) a
         cross join lateral typed_columns(a.data) t
         where not exists (select from mirror r where r.organization_id = promote_records.organization_id and r.pfa_id = a.pfa_id)
        on conflict do nothing
        returning mirror_id, pfa_id),
    known as (
        insert into pems_record (mirror_id, pems_version, mirror_version, pems_updated_at, record_hash)
        select f.mirror_id, a.pems_version, 1, a.pems_stamp, a.record_hash
          from fresh f join unnest(arrivals) a on a.pfa_id = f.pfa_id)
    select count(*) into inserted from fresh;
    if inserted = cardinality(arrivals) then
        return inserted;
    end if;

    -- Looked up first and compared after: with the comparison in the join, the planner would rather read the whole mirror.
    changes := array(
        with known as materialized (
            select r.mirror_id, r.data as before, a.data, a.pems_stamp, a.pems_version, p.pems_version as known_version
              from unnest(arrivals) a
              join mirror r on r.organization_id = promote_records.organization_id and r.pfa_id = a.pfa_id
              left join pems_record p on p.mirror_id = r.mirror_id)
        select row(k.mirror_id, k.data, k.pems_stamp, 'PEMS_SYNC', source, k.known_version is distinct from k.pems_version)::mirror_change
          from known k
         where (k.known_version is null or k.known_version <= k.pems_version)
           and k.before is distinct from k.data
           and (select with_derived(t.data) from typed(k.before) t) is distinct from k.data);
    perform change_mirrors(changes);
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at, record_hash)
    select r.mirror_id, a.pems_version, r.version, a.pems_stamp, a.record_hash
      from unnest(arrivals) a
      join mirror r on r.organization_id = promote_records.organization_id and r.pfa_id = a.pfa_id
      left join pems_record known on known.mirror_id = r.mirror_id
     where known.mirror_id is null or known.pems_version < a.pems_version
        or (known.pems_version = a.pems_version and (known.mirror_version <> r.version or known.record_hash is distinct from a.record_hash))
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version, pems_updated_at = excluded.pems_updated_at,
                  record_hash = excluded.record_hash
        where p.pems_version <= excluded.pems_version;
    perform rejudge_queued(waiting, changes);
    return inserted + cardinality(changes);
end
$$;

-- Locks the modifications that wait to be sent for mirror rows, before the mirror rows themselves are locked. Those
-- behind a change that is under way are judged when it ends.
create function lock_queued_modifications(mirror_ids text[]) returns text[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select m.modification_id from modification m
         where m.modification_id in (
            select q.modification_id from pfa_write_queue q
              join pfa_write_queue h on h.mirror_id = q.mirror_id and h.head and h.status = 'pending'
             where q.mirror_id = any (mirror_ids) and q.status = 'pending')
         order by m.modification_id for no key update);
end
$$;

-- Judges the waiting changes of mirror rows that moved. When a head ends, the change behind it is judged as the next.
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
             where q.modification_id = any (modification_ids) and q.mirror_id in (select c.mirror_id from unnest(moved) c)
               and q.head and q.status = 'pending' and q.id <> all (judged)
             order by q.id for update);
        exit when cardinality(heads) = 0;
        perform from judge_queued(heads, 'pems');
        judged := judged || heads;
    end loop;
end
$$;

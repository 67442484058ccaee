-- The way in: pages of PEMS' records to the mirror.

create type inbound_record as (
    row_number   bigint,
    data         jsonb,
    pfa_id       text,
    pems_stamp   text,
    pems_version bigint,
    problem      text
);
comment on type inbound_record is 'One record of a page: canonical data, and what is wrong with it.';

-- Takes a page of records of one organization, as PEMS lists them, into the mirror. One transaction, set based: only
-- rows that differ are written. A record that can't be typed, or belongs to another organization, is refused by itself.
create function ingest(organization text, page jsonb, source text default 'pems')
    returns table (records_read bigint, records_changed bigint, records_unchanged bigint, records_rejected bigint, rejects jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    if jsonb_typeof(page) is distinct from 'array' then
        raise exception 'a page is a JSON array of records, not %', coalesce(jsonb_typeof(page), 'nothing') using errcode = 'PF001';
    end if;
    return query select * from ingest_records(organization_of(organization), page, source);
end
$$;
comment on function ingest(text, jsonb, text) is 'Takes a page of PEMS'' records into the mirror; counts, and each refused record with its reason.';

-- Versions decide what a record is to the mirror: an older one is no news; a newer one makes a new mirror version when
-- its data differs; the same version with other data (PEMS spelled it otherwise) is replaced in place.
create function ingest_records(organization_id text, page jsonb, source text)
    returns table (records_read bigint, records_changed bigint, records_unchanged bigint, records_rejected bigint, rejects jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    organization_code text := (select o.code from organization o where o.organization_id = ingest_records.organization_id);
    arrivals inbound_record[];
    changes  mirror_change[];
    inserted bigint;
begin
    arrivals := array(
        select row(e.row_number, with_derived(t.data - 'version' - 'updatedAt'), t.data->>'pfaId', e.record->>'updatedAt',
                   case when jsonb_typeof(e.record->'version') = 'number' and e.record->>'version' ~ '^[0-9]{1,18}$' then (e.record->>'version')::bigint end,
                   case when jsonb_typeof(e.record) <> 'object' then 'the record is no JSON object'
                        when t.problem is not null then t.problem
                        when coalesce(t.data->>'pfaId', '') = '' then 'pfaId is missing'
                        when t.data->>'organization' is distinct from organization_code
                            then format('belongs to organization %s, not %s', coalesce(t.data->>'organization', 'of no name'), organization_code)
                        when e.record->>'version' !~ '^[0-9]{1,18}$' or e.record->>'version' is null then 'version is no whole number'
                        when count(*) over (partition by t.data->>'pfaId') > 1
                             and row_number() over (partition by t.data->>'pfaId' order by (e.record->>'version') desc, e.row_number) > 1
                            then 'a second record of this pfaId in the page'
                   end)::inbound_record
          from jsonb_array_elements(page) with ordinality e (record, row_number)
         cross join lateral typed(case when jsonb_typeof(e.record) = 'object' then e.record else '{}' end) t);

    perform from mirror r
      where r.organization_id = ingest_records.organization_id and r.pfa_id in (select a.pfa_id from unnest(arrivals) a)
      order by r.mirror_id for no key update;

    with fresh as (
        insert into mirror (mirror_id, organization_id, pfa_id, data, version, pems_version, last_synced_at, updated_at,
               category, class, source, dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start, forecast_end,
               original_start, original_end, actual_start, actual_end, is_actualized, is_discontinued, is_funds_transferable, has_plan, has_actuals)
        select gen_random_uuid()::text, ingest_records.organization_id, a.pfa_id, a.data, 1, a.pems_stamp,
               now() at time zone 'utc', now() at time zone 'utc', t.*
          from unnest(arrivals) a
         cross join lateral typed_columns(a.data) t
         where a.problem is null
           and not exists (select from mirror r where r.organization_id = ingest_records.organization_id and r.pfa_id = a.pfa_id)
        on conflict do nothing
        returning mirror_id, pfa_id),
    known as (
        insert into pems_record (mirror_id, pems_version, mirror_version, pems_updated_at)
        select f.mirror_id, a.pems_version, 1, a.pems_stamp
          from fresh f join unnest(arrivals) a on a.pfa_id = f.pfa_id and a.problem is null)
    select count(*) into inserted from fresh;

    changes := array(
        select row(r.mirror_id, a.data, a.pems_stamp, 'PEMS_SYNC', source, p.pems_version is distinct from a.pems_version)::mirror_change
          from unnest(arrivals) a
          join mirror r on r.organization_id = ingest_records.organization_id and r.pfa_id = a.pfa_id
          left join pems_record p on p.mirror_id = r.mirror_id
         where a.problem is null
           and (p.pems_version is null or p.pems_version <= a.pems_version)
           and r.data is distinct from a.data
           and (select with_derived(t.data) from typed(r.data) t) is distinct from a.data);
    perform change_mirrors(changes);
    insert into pems_record as p (mirror_id, pems_version, mirror_version, pems_updated_at)
    select r.mirror_id, a.pems_version, r.version, a.pems_stamp
      from unnest(arrivals) a
      join mirror r on r.organization_id = ingest_records.organization_id and r.pfa_id = a.pfa_id
      left join pems_record known on known.mirror_id = r.mirror_id
     where a.problem is null
       and (known.mirror_id is null or known.pems_version < a.pems_version
            or (known.pems_version = a.pems_version and known.mirror_version <> r.version))
    on conflict on constraint pems_record_pkey
    do update set pems_version = excluded.pems_version, mirror_version = excluded.mirror_version, pems_updated_at = excluded.pems_updated_at
        where p.pems_version <= excluded.pems_version;

    return query
        select count(*), inserted + cardinality(changes), count(*) filter (where a.problem is null) - inserted - cardinality(changes),
               count(*) filter (where a.problem is not null),
               coalesce(jsonb_agg(jsonb_build_object('row', a.row_number, 'pfaId', a.pfa_id, 'reason', a.problem) order by a.row_number)
                            filter (where a.problem is not null), '[]')
          from unnest(arrivals) a;
end
$$;

-- Organizations whose records may be pulled: active ones; with an id or code given, only that one.
create function inbound_organizations(organization text default null) returns table (organization_id text, organization_code text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    only_organization text;
begin
    -- A copy of the database may not use up the limit of its original either.
    perform ensure_sending();
    only_organization := organization_of(organization);
    return query
        select o.organization_id, o.code from organization o
         where o.may_sync and (only_organization is null or o.organization_id = only_organization)
         order by 2;
end
$$;
comment on function inbound_organizations(text) is 'The active organizations, whose records may be pulled.';

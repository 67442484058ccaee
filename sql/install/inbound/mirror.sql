-- The mirror: every write of ours to it stands here.

create type mirror_change as (
    mirror_id   text,
    data        jsonb,
    pems_stamp  text,
    changed_by  text,
    reason      text,
    new_version boolean
);
comment on type mirror_change is
    'The new whole record of a mirror row. new_version false = replaced in place: PEMS spelled the same version '
    'otherwise.';

-- Inserts the records that the mirror does not have; how many.
create function insert_mirrors(organization_id text, records inbound_record[]) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    inserted bigint;
begin
    with made as (
        insert into mirror (mirror_id, organization_id, pfa_id, data, version, pems_version, last_synced_at, created_at,
                            updated_at, category, class, source, dor, area_silo, manufacturer, model, monthly_rate,
                            purchase_price, forecast_start, forecast_end, original_start, original_end, actual_start,
                            actual_end, is_actualized, is_discontinued, is_funds_transferable, has_plan, has_actuals)
        select gen_random_uuid()::text, insert_mirrors.organization_id, r.pfa_id, r.data, 1, r.pems_stamp,
               now() at time zone 'utc', now() at time zone 'utc', now() at time zone 'utc', t.*
          from unnest(records) r
         cross join lateral typed_columns(r.data) t
         where not exists (select from mirror m
                            where m.organization_id = insert_mirrors.organization_id and m.pfa_id = r.pfa_id)
        on conflict do nothing
        returning mirror_id, pfa_id),
    known as (
        insert into pems_record (mirror_id, pems_version, mirror_version, pems_updated_at, record_hash)
        select m.mirror_id, r.pems_version, 1, r.pems_stamp, r.record_hash
          from made m join unnest(records) r on r.pfa_id = m.pfa_id)
    select count(*) into inserted from made;
    return inserted;
end
$$;

-- Applies changes: the current row goes into history, the new one gets the next version, typed columns follow data.
-- The caller holds the mirror locks.
create function change_mirrors(changes mirror_change[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set timezone = 'UTC'
as $$
begin
    insert into mirror_history (history_id, mirror_id, organization_id, pfa_id, data, version, category, class, source,
                                dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start,
                                forecast_end, original_start, original_end, actual_start, actual_end, is_actualized,
                                is_discontinued, is_funds_transferable, has_plan, has_actuals, pems_version,
                                last_synced_at, sync_batch_id, updated_at, changed_by, change_reason)
    select gen_random_uuid()::text, m.mirror_id, m.organization_id, m.pfa_id, m.data, m.version, m.category, m.class,
           m.source, m.dor, m.area_silo, m.manufacturer, m.model, m.monthly_rate, m.purchase_price, m.forecast_start,
           m.forecast_end, m.original_start, m.original_end, m.actual_start, m.actual_end, m.is_actualized,
           m.is_discontinued, m.is_funds_transferable, m.has_plan, m.has_actuals, m.pems_version, m.last_synced_at,
           m.sync_batch_id, m.updated_at, c.changed_by, c.reason
      from unnest(changes) c
      join mirror m on m.mirror_id = c.mirror_id
     where c.new_version;

    update mirror m
       set data = c.data,
           version = m.version + c.new_version::int,
           pems_version = coalesce(c.pems_stamp, m.pems_version),
           last_synced_at = now() at time zone 'utc',
           updated_at = now() at time zone 'utc',
           (category, class, source, dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start,
            forecast_end, original_start, original_end, actual_start, actual_end, is_actualized, is_discontinued,
            is_funds_transferable, has_plan, has_actuals)
           = (select t.* from typed_columns(c.data) t)
      from unnest(changes) c
     where m.mirror_id = c.mirror_id;
end
$$;

-- A record with PEMS' derived fields as the dates that they follow make them.
create function with_derived(data jsonb) returns jsonb
    language sql stable security invoker
    return data || jsonb_build_object(
        'hasPlan', data->>'originalStart' is not null and data->>'originalEnd' is not null,
        'hasActuals', data->>'actualStart' is not null and data->>'actualEnd' is not null);

-- The mirror moves here and nowhere else, whoever brings the news.

create type mirror_change as (
    mirror_id   text,
    data        jsonb,
    pems_stamp  text,
    changed_by  text,
    reason      text,
    new_version boolean
);
comment on type mirror_change is 'The new whole record of a mirror row. new_version false = replaced in place: PEMS spelled the same version otherwise.';

-- Applies changes: the current row goes into history, the new one gets the next version, typed columns follow data.
-- The caller holds the mirror locks.
create function change_mirrors(changes mirror_change[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set timezone = 'UTC'
as $$
begin
    insert into mirror_history (history_id, mirror_id, organization_id, pfa_id, data, version,
           category, class, source, dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start, forecast_end,
           original_start, original_end, actual_start, actual_end, is_actualized, is_discontinued, is_funds_transferable, has_plan, has_actuals,
           pems_version, last_synced_at, sync_batch_id, updated_at, changed_by, change_reason)
    select gen_random_uuid()::text, r.mirror_id, r.organization_id, r.pfa_id, r.data, r.version,
           r.category, r.class, r.source, r.dor, r.area_silo, r.manufacturer, r.model, r.monthly_rate, r.purchase_price, r.forecast_start, r.forecast_end,
           r.original_start, r.original_end, r.actual_start, r.actual_end, r.is_actualized, r.is_discontinued, r.is_funds_transferable, r.has_plan, r.has_actuals,
           r.pems_version, r.last_synced_at, r.sync_batch_id, r.updated_at, c.changed_by, c.reason
      from unnest(changes) c
      join mirror r on r.mirror_id = c.mirror_id
     where c.new_version;

    update mirror r
       set data = c.data,
           version = r.version + c.new_version::int,
           pems_version = coalesce(c.pems_stamp, r.pems_version),
           last_synced_at = now() at time zone 'utc',
           updated_at = now() at time zone 'utc',
           (category, class, source, dor, area_silo, manufacturer, model, monthly_rate, purchase_price, forecast_start, forecast_end,
            original_start, original_end, actual_start, actual_end, is_actualized, is_discontinued, is_funds_transferable, has_plan, has_actuals)
           = (select t.* from typed_columns(c.data) t)
      from unnest(changes) c
     where r.mirror_id = c.mirror_id;
end
$$;

-- The record with PEMS' derived fields as the dates that they follow make them.
create function with_derived(data jsonb) returns jsonb
    language sql stable security invoker
    return data || jsonb_build_object(
        'hasPlan', data->>'originalStart' is not null and data->>'originalEnd' is not null,
        'hasActuals', data->>'actualStart' is not null and data->>'actualEnd' is not null);

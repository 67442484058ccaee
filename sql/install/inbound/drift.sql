-- Drift: PEMS changes the shape of its records without notice. What counts as drift, and when it stops promotion.

-- Compares records with the fields as PEMS has sent them so far, records what is new, and logs each drift:
--   low     a field appears that was never seen
--   medium  a field has a type never seen, or one that was in every record is missing
--   high    the same of a field that has a rule here, in all of at least 10 records: to promote them would empty or
--           garble a column of the mirror
-- Records that are not whole ($unreadable) say nothing about the shape.
-- Returns what is wrong when it is high, and then records nothing: the next page is compared with the same shape. Else
-- null.
create function detect_drift(organization_id text, arrived inbound_record[]) returns text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    records bigint;
    shape   jsonb;
    drift   jsonb;
    danger  text;
begin
    arrived := array(select a from unnest(arrived) a
                      where jsonb_typeof(a.record) = 'object' and not a.record ? '$unreadable');
    records := cardinality(arrived);
    if records = 0 then
        return null;
    end if;
    select jsonb_agg(s) into shape
      from (select e.key as field, count(*) as records,
                   coalesce(array_agg(distinct t.type order by t.type) filter (where t.type <> 'null'), '{}') as types
              from unnest(arrived) a
             cross join lateral jsonb_each(a.record) e
             cross join lateral jsonb_typeof(e.value) t (type)
             group by e.key) s;
    if not exists (select from pems_shape k where k.organization_id = detect_drift.organization_id) then
        perform record_shape(organization_id, shape, records);
        return null;
    end if;
    with seen as (
        select * from jsonb_to_recordset(shape) s (field text, types text[], records bigint)),
    found as (
        select coalesce(s.field, k.field) as field, k.types as before, s.types as now,
               case when k.field is null then 'appeared'
                    when s.field is null then 'vanished'
                    when not s.types <@ k.types then 'changed type'
               end as kind,
               s.field is null or (not s.types && k.types and s.types <> '{}') as in_all
          from seen s
          full join (select * from pems_shape k where k.organization_id = detect_drift.organization_id) k
            on k.field = s.field
         where k.field is null
            or (s.field is null and k.in_every_record)
            or (cardinality(k.types) > 0 and not s.types <@ k.types)),
    weighed as (
        select f.*, case when f.kind = 'appeared' then 'low'
                         when f.in_all and records >= 10
                              and exists (select from field_rules r where r.name = f.field) then 'high'
                         else 'medium' end as severity
          from found f)
    select jsonb_agg(to_jsonb(w) order by w.field),
           string_agg(format('%s %s%s', w.field, w.kind, coalesce(' to ' || array_to_string(w.now, ', '), '')),
                      '; ' order by w.field)
               filter (where w.severity = 'high')
      into drift, danger
      from weighed w;
    perform log_event('SCHEMA_DRIFT', organization_id, success => d.severity <> 'high',
                      changes => jsonb_build_object('field', d.field, 'kind', d.kind, 'severity', d.severity,
                                                    'before', d.before, 'now', d.now),
                      error => format('PEMS'' records: %s %s', d.field, d.kind))
       from jsonb_to_recordset(drift) d (field text, kind text, severity text, before text[], now text[]);
    if danger is not null then
        return format('PEMS'' records have changed their shape (%s); nothing is promoted until PEMS is as before, '
                      'or accept_shape() accepts the new shape', danger);
    end if;
    perform record_shape(organization_id, shape, records);
    return null;
end
$$;

-- Adds a page's fields to the known shape; writes only what differs. records: how many the page holds.
create function record_shape(organization_id text, shape jsonb, records bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    insert into pems_shape as k (organization_id, field, types, in_every_record)
    select record_shape.organization_id, s.field,
           array(select unnest(s.types || coalesce(o.types, '{}')) union select unnest('{}'::text[]) order by 1),
           s.records = record_shape.records
               and coalesce(o.in_every_record,
                            not exists (select from pems_shape a
                                         where a.organization_id = record_shape.organization_id))
      from jsonb_to_recordset(shape) s (field text, types text[], records bigint)
      left join pems_shape o on o.organization_id = record_shape.organization_id and o.field = s.field
     where o.field is null or not s.types <@ o.types or (o.in_every_record and s.records < record_shape.records)
     order by s.field
        on conflict on constraint pems_shape_pkey
        do update set types = excluded.types, in_every_record = excluded.in_every_record;
    update pems_shape k set in_every_record = false
     where k.organization_id = record_shape.organization_id and k.in_every_record
       and not exists (select from jsonb_to_recordset(shape) s (field text) where s.field = k.field);
end
$$;

-- Takes the shape of PEMS' next records as the known one.
create function pfa_sync.accept_shape(organization text, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    delete from pems_shape k where k.organization_id = scope;
    perform log_event('SHAPE_ACCEPTED', scope, actor);
end
$$;
comment on function pfa_sync.accept_shape(text, text) is
    'Accepts the fields and types of an organization''s records as PEMS sends them next, after a drift that '
    'stopped promotion. Needs perm_ManageSettings.';

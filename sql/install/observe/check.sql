-- Invariants that hold between any two transactions; a row for each that is broken.
create function pfa_sync.check() returns table (invariant text, object text, detail text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    perform ensure_bound();
    return query
        select 'the first live change of a record is its head', 'queue ' || q.id,
               format('record %s, head %s', q.pfa_id, q.head)
          from (select n.mirror_id, min(n.id) as id from pfa_write_queue n group by n.mirror_id) first
          join pfa_write_queue q on q.mirror_id = first.mirror_id
         where q.head <> (q.id = first.id);
    return query
        select 'a queued change has a known operation and priority', 'queue ' || q.id,
               format('operation %s, priority %s', q.operation, q.priority)
          from pfa_write_queue q
         where q.operation not in ('UPDATE', 'DELETE')
            or q.priority not in (select p.priority from priority_levels(null) p);
    return query
        select 'a change in flight has a lease, and one that waits has none', 'queue ' || q.id,
               format('status %s, lease until %s', q.status, q.lease_until)
          from pfa_write_queue q
         where q.status <> case when q.lease_until is null then 'pending' else 'processing' end;
    return query
        select 'a job has a known kind', 'job ' || j.job_id, j.kind from sync_job j where j.kind <> all (job_kinds());
    return query
        select 'a watermark lies behind the clock', 'organization ' || s.organization_id, w.watermark::text
          from sync_organization s, unnest(s.watermarks || s.lease_watermark) w (watermark)
         where w.watermark > clock_timestamp();
    return query
        select 'a queued modification is committed, one in flight is syncing', 'modification ' || m.modification_id,
               format('queue %s, modification %s', q.status, m.sync_state)
          from pfa_write_queue q join modification m on m.modification_id = q.modification_id
         where m.sync_state <> case q.status when 'pending' then 'committed' else 'syncing' end;
    return query
        select 'syncStatus follows from syncState', 'modification ' || m.modification_id,
               m.sync_state || ' / ' || m.sync_status
          from modification m
         where m.sync_status <> sync_status_of(m.sync_state)
           -- What attach() found and no sweep has queued yet.
           and not (m.sync_state = 'committed' and m.sync_status = 'committed');
    return query
        select 'a modification in flight has a queue row', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'syncing'
           and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id);
    return query
        select 'a modification in conflict has an open conflict', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'conflict'
           and not exists (select from pfa_sync_conflict c
                            where c.modification_id = m.modification_id and c.status = 'unresolved');
    return query
        select 'the application''s tables fit', 'schema ' || i.app_schema, f.fault
          from installation i
         cross join lateral (select * from application_faults(i.app_schema, attached => true)
                             union all
                             select * from owner_faults(i.app_schema)
                             union all
                             select c.fault from foreign_code(i.app_schema) c) f (fault);
    return query
        select 'only pfa_sync writes to PEMS', 'table ' || foreign_queue(i.app_schema), n.notice
          from installation i
         cross join lateral (select foreign_queue_notice()) n (notice)
         where n.notice is not null;
    return query
        select 'what reads PEMS into the mirror is chosen', 'organization ' || o.code,
               'nothing reads PEMS'' changes: select pfa_sync.set(''inbound'', ''relay''); ''application'' where it '
               'has a reader of its own, ''off'' to do without'
          from organization o
         where o.may_sync and not exists (select from setting_value v
                                           where v.name = 'inbound' and v.organization_id in ('', o.organization_id));
end
$$;
comment on function pfa_sync.check() is
    'Checks invariants that hold between any two transactions. Returns a row for each that is broken: the '
    'invariant, the object, details. No row: all hold.';

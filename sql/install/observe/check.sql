-- Invariants that hold between any two transactions; a row for each that is broken.
create function pfa_sync.check() returns table (invariant text, object text, detail text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select 'the first live change of a record is its head', 'queue ' || q.id, format('record %s, head %s', q.pfa_id, q.head)
          from pfa_write_queue q
         where q.head <> (q.id = (select min(n.id) from pfa_write_queue n where n.mirror_id = q.mirror_id));
    return query
        select 'a front lies behind the clock', 'organization ' || s.organization_id, greatest(s.high_watermark, s.normal_watermark, s.low_watermark, s.lease_watermark)::text
          from sync_organization s
         where greatest(s.high_watermark, s.normal_watermark, s.low_watermark, s.lease_watermark) > clock_timestamp();
    return query
        select 'a queued modification tells so', 'modification ' || m.modification_id, format('queue %s, modification %s', q.status, m.sync_state)
          from pfa_write_queue q join modification m on m.modification_id = q.modification_id
         where m.sync_state <> case q.status when 'pending' then 'committed' else 'syncing' end;
    return query
        select 'syncState and syncStatus tell the same story', 'modification ' || m.modification_id, m.sync_state || ' / ' || m.sync_status
          from modification m
         where m.sync_status not in (case m.sync_state when 'committed' then 'queued' when 'sync_error' then 'failed' else m.sync_state end,
                                     case m.sync_state when 'committed' then 'committed' else m.sync_state end);
    return query
        select 'a modification under way has a queue row', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'syncing' and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id);
    return query
        select 'a modification in conflict has an open conflict', 'modification ' || m.modification_id, m.sync_state
          from modification m
         where m.sync_state = 'conflict'
           and not exists (select from pfa_sync_conflict c where c.modification_id = m.modification_id and c.status = 'unresolved');
end
$$;
comment on function pfa_sync.check() is 'Broken invariants; no row = all hold.';

-- Confirmed is not stored: PEMS answers with success and the next version, and stores another value than was sent, such
-- as one that it cut or rounded. No other user changed the record, so it is not a conflict: the change stays synced,
-- and its author and the record's history learn of it by STORED_DIFFERENTLY.

-- What was written and what PEMS stores of it, of the fields that differ; null = none does.
create function stored_differently(written jsonb, stored jsonb) returns jsonb
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select jsonb_build_object('fields', jsonb_agg(f order by f), 'ours', jsonb_object_agg(f, written->f),
                              'theirs', jsonb_object_agg(f, stored->f))
      from three_way(null, written, stored) m, unnest(m.conflicts) f
    having count(*) > 0
$$;

-- Logs it of changes that have ended, when PEMS' record of the version that they made is read: moved are the mirror
-- rows that it replaces. The caller holds the locks and has not written them yet.
create function log_stored_differently(moved mirror_change[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform log_event('STORED_DIFFERENTLY', w.organization_id, w.author, d.differs, success => false,
                      pfa_id => w.pfa_id, modification_id => w.modification_id, queue_id => w.id, job_id => w.job_id)
       from unnest(moved) c
       join mirror m on m.mirror_id = c.mirror_id
       join pfa_write_queue_archive w on w.mirror_id = c.mirror_id and w.status = 'completed'
                                     and w.mirror_version = m.version
      cross join lateral stored_differently(coalesce(w.request, w.payload), c.data) d (differs)
      where not c.new_version and d.differs is not null;
end
$$;

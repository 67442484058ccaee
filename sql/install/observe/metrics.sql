-- What a monitor asks: figures by name and labels, as they are now. All of them are gauges.

create function pfa_sync.metrics() returns table (name text, labels jsonb, value double precision, help text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_bound();
    return query
    with by_organization as materialized (
        select coalesce(s.code, s.organization_id) as organization, s.* from status() s),
    -- The last pull of each kind that has ended.
    pull as (
        select distinct on (p.organization_id, p.kind) p.*,
               jsonb_build_object('organization', coalesce(o.code, p.organization_id), 'kind', p.kind) as labels
          from sync_pull p
          left join organization o using (organization_id)
         where p.ended_at is not null and p.organization_id in (select b.organization_id from by_organization b)
         order by p.organization_id, p.kind, p.pull_id desc)
    select 'pfa_sync_changes', jsonb_build_object('organization', s.organization, 'state', c.state),
           c.changes::double precision,
           'changes that wait and are in flight, and those that ended within a day; open conflicts'
      from by_organization s
     cross join lateral (values ('queued', s.queued), ('processing', s.processing), ('completed', s.completed),
                                ('failed', s.failed), ('conflict', s.conflicts)) c (state, changes)
    union all
    select 'pfa_sync_healthy', jsonb_build_object('organization', s.organization, 'health', s.health),
           is_healthy(s.health)::int, '1 = changes go on to PEMS'
      from by_organization s
    union all
    select 'pfa_sync_oldest_waiting_seconds', jsonb_build_object('organization', s.organization),
           coalesce(extract(epoch from now() - s.oldest_waiting_at), 0)::double precision,
           'how long the oldest change that waits has waited'
      from by_organization s
    union all
    select 'pfa_sync_sync_seconds', jsonb_build_object('organization', s.organization),
           s.avg_sync_seconds::double precision, 'from commit to PEMS'' confirmation, on average over a day'
      from by_organization s where s.avg_sync_seconds is not null
    union all
    select 'pfa_sync_pull_records', p.labels || jsonb_build_object('outcome', r.outcome), r.records::double precision,
           'records of the last pull'
      from pull p
     cross join lateral (values ('read', p.records_read), ('changed', p.records_changed),
                                ('unchanged', p.records_unchanged), ('rejected', p.records_rejected),
                                ('discontinued', p.discontinued)) r (outcome, records)
    union all
    select 'pfa_sync_pull_seconds', p.labels, extract(epoch from p.ended_at - p.started_at)::double precision,
           'how long the last pull took'
      from pull p
    union all
    select 'pfa_sync_pull_age_seconds', p.labels, extract(epoch from now() - p.ended_at)::double precision,
           'how long ago the last pull ended'
      from pull p
    union all
    select 'pfa_sync_pull_completed', p.labels, (p.status = 'completed')::int, '0 = the last pull failed'
      from pull p
    union all
    select 'pfa_sync_breaker_open', jsonb_build_object('pems', p.pems), (p.open_until is not null)::int,
           '1 = PEMS is taken to be down'
      from pems p
    union all
    select 'pfa_sync_relay_seen_seconds', jsonb_build_object('relay', r.relay),
           extract(epoch from now() - r.seen_at)::double precision, 'how long ago a relay sent its last heartbeat'
      from relay r;
end
$$;
comment on function pfa_sync.metrics() is
    'Gauges for a monitor: name, labels, value, help text. They cover all organizations that the session sees.';

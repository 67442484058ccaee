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
    drifting as materialized (select f.organization_id from health_findings() f where f.code = 'drift'),
    forecast as materialized (select f.* from drain_forecast() f),
    figure as materialized (select k.* from kpis() k),
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
    select 'pfa_sync_dead_letters', jsonb_build_object('organization', s.organization),
           count(d.queue_id)::double precision,
           'open dead letters'
      from by_organization s
      left join pfa_write_queue_dlq d on d.organization_id = s.organization_id and d.status = 'open' group by 2
    union all
    select 'pfa_sync_conflicts', jsonb_build_object('organization', s.organization), c.conflicts::double precision,
           'open conflicts'
      from by_organization s
     cross join lateral open_conflicts_of(s.organization_id) c
    union all
    select 'pfa_sync_oldest_conflict_seconds', jsonb_build_object('organization', s.organization),
           coalesce(extract(epoch from now() - c.since), 0)::double precision,
           'how long the oldest open conflict has waited'
      from by_organization s
     cross join lateral open_conflicts_of(s.organization_id) c
    union all
    select 'pfa_sync_ended_changes', jsonb_build_object('organization', s.organization, 'outcome', o.outcome),
           o.changes::double precision, 'changes that ended within an hour'
      from by_organization s
     cross join lateral ended_within_hour(s.organization_id) e
     cross join lateral (values ('completed', e.completed), ('failed', e.failed)) o (outcome, changes)
    union all
    select 'pfa_sync_success_ratio', jsonb_build_object('organization', s.organization),
           e.completed::double precision / (e.completed + e.failed),
           'share of the changes that ended within an hour and reached PEMS'
      from by_organization s
     cross join lateral ended_within_hour(s.organization_id) e
     where e.completed + e.failed > 0
    union all
    select n.name, jsonb_build_object('organization', s.organization), (n.holds)::int, n.help
      from by_organization s
      join sync_organization o on o.organization_id = s.organization_id
     cross join lateral (values
         ('pfa_sync_held', o.held_since is not null, '1 = PEMS refused the credentials of the organization'),
         ('pfa_sync_paused', o.paused and coalesce(o.paused_until > now(), true), '1 = a user stopped sending'),
         ('pfa_sync_drift', exists (select from drifting d where d.organization_id = s.organization_id),
          '1 = PEMS'' records are not as before')) n (name, holds, help)
    union all
    select 'pfa_sync_pull_overdue_seconds', jsonb_build_object('organization', s.organization),
           greatest(0, extract(epoch from now() - d.due_at))::double precision,
           'for how long the next pull has been due'
      from by_organization s
      join due_pulls() d on d.organization_id = s.organization_id and d.scheduled and d.due_at > '-infinity'
    union all
    select 'pfa_sync_queue_per_minute', jsonb_build_object('organization', s.organization, 'direction', r.direction),
           r.changes::double precision, 'changes that are queued (in) and that end (out) in a minute'
      from by_organization s
      join forecast f on f.organization_id = s.organization_id
     cross join lateral (values ('in', f.per_minute_in), ('out', f.per_minute_out)) r (direction, changes)
     where r.changes is not null
    union all
    select 'pfa_sync_drain_seconds', jsonb_build_object('organization', s.organization),
           extract(epoch from f.clears_at - now())::double precision, 'until the queue will be empty, while it drains'
      from by_organization s
      join forecast f on f.organization_id = s.organization_id and f.clears_at is not null
    union all
    select 'pfa_sync_kpi', jsonb_build_object('organization', s.organization, 'kpi', k.name), k.value::double precision,
           'key figures of the last day, in their unit'
      from by_organization s
      join figure k on k.organization_id = s.organization_id and k.value is not null
    union all
    select 'pfa_sync_kpi_met', jsonb_build_object('organization', s.organization, 'kpi', k.name), k.met::int,
           '1 = the key figure of the last day meets its target'
      from by_organization s
      join figure k on k.organization_id = s.organization_id and k.met is not null
    union all
    select 'pfa_sync_relays', '{}', count(*)::double precision, 'relays that are alive'
      from relay r where r.seen_at >= clock_timestamp() - relay_silence()
    union all
    select 'pfa_sync_log_partition_days', '{}', log_partition_days()::double precision,
           'for how many days ahead the log has partitions'
    union all
    select 'pfa_sync_credentials_age_days',
           jsonb_build_object('pems', c.pems, 'organization', coalesce(o.code, c.organization_id, '')),
           (extract(epoch from now() - c.created_at) / 86400)::double precision, 'age of the sealed credentials in use'
      from organization_api_credentials c
      left join sync_organization o on o.organization_id = c.organization_id
     where c.status = 'active'
    union all
    select 'pfa_sync_pems_clock_skew_seconds', jsonb_build_object('pems', k.pems), k.seconds::double precision,
           'how far the clock of a PEMS is ahead'
      from clock_skews() k
    union all
    select 'pfa_sync_alerts', jsonb_build_object('rule', r.rule, 'severity', coalesce(a.severity, r.severity)),
           count(a.alert_id)::double precision, 'alerts that are raised'
      from alert_rule r
      left join alert a on a.rule = r.rule and a.raised_at is not null and a.resolved_at is null
     group by 2
    union all
    select 'pfa_sync_relay_seen_seconds', jsonb_build_object('relay', r.relay),
           extract(epoch from now() - r.seen_at)::double precision, 'how long ago a relay sent its last heartbeat'
      from relay r;
end
$$;
comment on function pfa_sync.metrics() is
    'Gauges for a monitor: name, labels, value, help text. They cover all organizations that the session sees.';

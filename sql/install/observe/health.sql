-- Health: the worst that is the matter with each organization, and what to do about it.

-- The organizations that are reported on: those that the application has, and those that it has deleted while changes
-- of theirs are live.
create function listed_organizations() returns setof sync_organization
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return query
        select s.* from sync_organization s
         where exists (select from organization o where o.organization_id = s.organization_id)
            or exists (select from pfa_write_queue q where q.organization_id = s.organization_id);
end
$$;

-- How many changes of an organization ended within an hour, as counted by the rollups.
create function ended_within_hour(organization_id text, out completed bigint, out failed bigint)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select coalesce(sum(r.samples) filter (where r.measure = 'completed'), 0)::bigint,
           coalesce(sum(r.samples) filter (where r.measure = 'failed'), 0)::bigint
      from kpi_rollup r
     where r.organization_id = $1 and r.period > clock_timestamp() - interval '1 hour'
       and r.measure in ('completed', 'failed')
$$;

-- The open conflicts of an organization, and since when the oldest waits.
create function open_conflicts_of(organization_id text, out conflicts bigint, out since timestamptz)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select count(*), min(c.created_at) from pfa_sync_conflict c
     where c.organization_id = $1 and c.status = 'unresolved'
$$;

-- The states of health that hold for each of them.
create function health_findings() returns table (organization_id text, code text, reason text, since timestamptz)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    at    timestamptz := clock_timestamp();
    polls interval := 3 * setting('poll')::interval;
    seen  timestamptz := (select max(r.seen_at) from relay r);
begin
    return query
    with known as materialized (
        select s.*, l.*, t.soon, t.stall, t.slow, l.waiting + l.processing as changes, may_send(s) as sends,
               -- What waited while nothing could be sent is not overdue. Null = nothing is due.
               case when l.due_at is not null
                    then greatest(l.due_at, s.released_at, s.paused_until) end as due_since
          from listed_organizations() s
         cross join lateral (
             select at + setting('health_throttle', s.organization_id)::interval as soon,
                    at - greatest(polls, setting('health_stall', s.organization_id)::interval) as stall,
                    at - setting('health_queue_age', s.organization_id)::interval as slow) t
         cross join lateral live_changes_of(s.organization_id, t.soon) l)
    select k.organization_id, 'no_relay',
           concat_ws('; ', case when seen is null then 'no relay has sent a heartbeat'
                                else format('the last heartbeat of a relay was at %s', pems_stamp(seen)) end,
                     case when k.changes > 0 then format('changes that wait: %s', bounded_count(k.changes)) end),
           coalesce(seen, k.oldest_of_all)
      from known k where coalesce(seen, k.oldest_of_all) < at - relay_silence()
    union all
    select k.organization_id, 'unserved',
           coalesce((select string_agg(distinct f.reason, '; ')
                       from relay r
                      cross join lateral jsonb_to_recordset(r.faults) f (organization_id text, reason text)
                      where f.organization_id = k.organization_id and r.seen_at >= at - relay_silence()),
                    'no relay that runs serves it'), null
      from known k
     where seen >= at - relay_silence()
       and not exists (select from relay r
                        where r.seen_at >= at - relay_silence()
                          and (r.organizations is null or k.organization_id = any (r.organizations)))
    union all
    select k.organization_id, 'pems_down',
           format('%s requests in a row to PEMS %s had no answer; the next one is at %s', p.failures, p.pems,
                  pems_stamp(p.open_until)), p.opened_at
      from known k join pems p on p.pems = k.pems where p.open_until is not null
    union all
    select k.organization_id, 'held', coalesce(k.hold_reason, 'PEMS refused the credentials'), k.held_since
      from known k where k.held_since is not null
    union all
    select k.organization_id, 'throttled',
           case when p.next_slot > k.soon
                then format('PEMS is sent the next request at %s; changes that wait for it: %s',
                            pems_stamp(p.next_slot), bounded_count(k.changes))
                else format('records whose change waits for another try: %s, the last of them until %s',
                            bounded_count(k.delayed), pems_stamp(k.delayed_until)) end, null
      from known k join pems p on p.pems = k.pems
     where k.changes > 0 and (p.next_slot > k.soon or k.delayed > 0)
    union all
    select k.organization_id, 'stalled',
           format('changes that wait: %s; the first is due since %s, and none has ended since %s',
                  bounded_count(k.changes), pems_stamp(k.due_since),
                  coalesce(pems_stamp(e.last_at), 'the beginning')), k.due_since
      from known k
      join pems p on p.pems = k.pems
     cross join lateral (
         select max(a.completed_at) as last_at from pfa_write_queue_archive a
          where a.organization_id = k.organization_id) e
     where k.due_since is not null and greatest(k.due_since, p.closed_at) < k.stall
       and k.sends and p.open_until is null and p.next_slot <= k.soon
       and coalesce(e.last_at < k.stall, true)
    union all
    select k.organization_id, 'slow',
           format('changes that wait: %s; the first is due since %s; %s', bounded_count(k.changes),
                  pems_stamp(k.due_since),
                  case queue_trend(r.per_minute_in, r.per_minute_out, r.measured)
                      when 'stalled' then 'none has ended since ' || pems_stamp(at - r.measured)
                      else format('%s are queued in a minute, and %s end', r.per_minute_in, r.per_minute_out) end),
           k.due_since
      from known k
      join pems p on p.pems = k.pems
     cross join lateral queue_rates(k.organization_id, greatest(k.due_since, p.closed_at)) r
     where k.due_since is not null and greatest(k.due_since, p.closed_at) < k.slow
       and k.sends and p.open_until is null and p.next_slot <= k.soon
       and queue_trend(r.per_minute_in, r.per_minute_out, r.measured) <> 'draining'
    union all
    select k.organization_id, 'drift', l.last_error, l.ended_at
      from known k
     cross join lateral (
         select p.last_error, p.ended_at, p.has_drifted from sync_pull p
          where p.organization_id = k.organization_id and p.ended_at is not null
          order by p.ended_at desc, p.pull_id desc limit 1) l
     where l.has_drifted and exists (select from pems_shape h where h.organization_id = k.organization_id)
    union all
    -- Since the last full pull: one that finds no lower version any more ends it.
    select k.organization_id, 'drift',
           concat_ws('; ', format('records with a lower version in PEMS than was known: %s', v.records),
                     case when k.versions_accepted_at is not null then 'the next full pull takes them as they are' end),
           v.since
      from known k
     cross join lateral (
         select max(b.records) as records, min(b.since) as since
           from (select p.records_back, p.started_at from sync_pull p
                  where p.organization_id = k.organization_id and p.records_back > 0
                    and p.pull_id >= coalesce((
                        select max(f.pull_id) from sync_pull f
                         where f.organization_id = k.organization_id and f.kind = 'full' and f.status = 'completed'), 0)
                 union all
                 select count(*), min(c.created_at) from pfa_sync_conflict c
                  where c.organization_id = k.organization_id and c.status = 'unresolved'
                    and c.code = 'VERSIONS_BACK') b (records, since)) v
     where v.records > 0
    union all
    select k.organization_id, 'unreliable',
           format('of %s changes that ended within an hour, %s failed', e.completed + e.failed, e.failed), null
      from known k
     cross join lateral ended_within_hour(k.organization_id) e
     where e.completed + e.failed >= setting('health_success_samples', k.organization_id)::int
       and 100 * e.completed < setting('health_success', k.organization_id)::int * (e.completed + e.failed)
    union all
    select k.organization_id, 'failing', format('open dead letters: %s', d.letters), d.since
      from known k
     cross join lateral (
         select count(*) as letters, min(d.failed_at) as since from pfa_write_queue_dlq d
          where d.organization_id = k.organization_id and d.status = 'open') d
     where d.letters > 0
    union all
    select k.organization_id, 'paused',
           case when k.paused then coalesce(k.pause_reason, 'a user stopped it')
                else 'the application has switched the organization off' end,
           case when k.paused then k.paused_since end
      from known k where k.held_since is null and not k.sends
    union all
    select k.organization_id, 'waiting_for_resolution', format('open conflicts: %s', c.conflicts), c.since
      from known k
     cross join lateral open_conflicts_of(k.organization_id) c
     where c.conflicts > 0
    union all
    select k.organization_id, 'ok', null, null from known k;
end
$$;

-- The code of the worst state for which nothing of an organization is sent; null = its changes are sent.
create function what_stops(organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if is_copy() then
        return 'not_attached';
    end if;
    return (select f.code from health_findings() f join cause c on c.code = f.code and c.stops
             where f.organization_id = what_stops.organization_id
             order by c.rank limit 1);
end
$$;

-- The state of an organization, and what to do about it; without an organization, of all of them.
create type health_finding as (
    organization_id text,
    code            text,
    severity        text,
    reason          text,
    since           timestamptz,
    action          text
);

-- The worst state of each organization, for callers that show a user those that this user may see.
create function worst_findings() returns health_finding[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    hint text;
begin
    begin
        perform ensure_sending();
    exception when sqlstate 'PF004' or sqlstate 'PF005' or sqlstate 'PF009' then
        get stacked diagnostics hint = pg_exception_hint;
        return array(
            select row(null, c.code, c.severity, sqlerrm, null, coalesce(nullif(hint, ''), c.action))::health_finding
              from cause c where c.code = 'not_attached');
    end;
    return array(
        select distinct on (f.organization_id)
               row(f.organization_id, f.code, c.severity, coalesce(f.reason, c.meaning), f.since,
                   c.action)::health_finding
          from health_findings() f
          join cause c on c.code = f.code
         order by f.organization_id, c.rank);
end
$$;

-- The reason of a state, as the session may see it: PEMS' own words may quote prices.
create function finding_reason(code text, reason text, organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return masked(reason, code <> 'held' or organization_id = any (priced_organizations()));
end
$$;

-- The worst state of each organization.
create function pfa_sync.health(organization text default null)
    returns table (organization_id text, code text, severity text, reason text, since timestamptz, action text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    findings          health_finding[] := worst_findings();
    of_all            boolean := findings[1].code = 'not_attached';
    only_organization text;
    visible           text[];
begin
    if of_all is not true then
        only_organization := organization_of(organization);
        visible := visible_organizations();
    end if;
    return query
        select f.organization_id, f.code, f.severity, finding_reason(f.code, f.reason, f.organization_id), f.since,
               f.action
          from unnest(findings) f
         where of_all
            or f.organization_id = any (visible)
               and (only_organization is null or f.organization_id = only_organization)
         order by f.organization_id;
end
$$;
comment on function pfa_sync.health(text) is
    'The worst state of each visible organization: code, severity (ok, warning or critical), reason in words, since '
    'when (null: not known) and what to do. Codes, the worst first: not_attached, no_relay, unserved, pems_down, held, '
    'throttled, stalled, slow, drift, unreliable, failing, paused, waiting_for_resolution, ok. The settings health_… '
    'are its limits. While nothing is sent from this database the answer is one row not_attached without an '
    'organization, and no error. PF008: no such organization.';

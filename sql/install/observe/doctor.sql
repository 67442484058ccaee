-- What an operator would look at in the database, one row for each check.

create function pfa_sync.doctor() returns table (subject text, state text, detail text, next_step text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    organizations bigint;
    paused        bigint;
    names         text;
    days          int := log_partition_days();
begin
    perform ensure_bound();
    return query
        select 'wake-up', 'ok', case wake_in_force() when 'doorbell' then 'by shared memory' else 'by NOTIFY' end,
               case when wake_in_force() <> 'doorbell'
                    then 'where many sessions commit at once, preload the library pfa_sync and restart the server' end;
    select count(*), count(*) filter (where s.paused) into organizations, paused
      from sync_organization s join organization o on o.organization_id = s.organization_id and o.may_sync;
    return query
        select 'sending', case when paused = organizations then 'note' else 'ok' end,
               format('%s of %s active organizations are paused', paused, organizations),
               case when paused = organizations then 'select * from pfa_sync.resume() lets them send' end;
    return query
        select 'log', case when days < 31 then 'wrong' else 'ok' end, format('partitions for %s days ahead', days),
               case when days < 31 then 'select * from pfa_sync.maintain(); it needs a moment without sessions that '
                                        'hold the log' end;
    return query
        select 'disk', 'ok', string_agg(format('%s %s', t.name, pg_size_pretty(t.bytes)), ', ' order by t.place),
               'docs/admin-guide.md says what grows, and how to drop months of the log'
          from (values (1, 'queue', pg_total_relation_size('pfa_write_queue')::numeric),
                       (2, 'archive', pg_total_relation_size('pfa_write_queue_archive')::numeric),
                       (3, 'log', (select sum(pg_total_relation_size(i.inhrelid)) from pg_inherits i
                                    where i.inhparent = 'pfa_audit_log'::regclass)),
                       (4, 'pages of pulls', pg_total_relation_size('sync_pull_page')::numeric)) t (place, name, bytes);
    select string_agg(p.pubname, ', ' order by p.pubname) into names from pg_publication p where p.puballtables;
    return query
        select 'publications', case when names is null then 'ok' else 'note' end,
               coalesce(format('%s: subscribers get queue, log and prices too', names), 'none of all tables'),
               case when names is not null then 'publish tables by name, if subscribers are not to have them' end;
    select string_agg(r.rolname, ', ' order by r.rolname) into names
      from pg_roles r
     where not starts_with(r.rolname, 'pg_') and not r.rolsuper and r.rolcanlogin
       and pg_has_role(r.rolname, 'pg_read_all_data', 'usage');
    return query
        select 'backup', 'ok', coalesce(format('logins that can dump everything: %s', names),
                                        'superusers alone can dump everything'),
               case when names is null then 'a login in pg_read_all_data is enough for pg_dump' end;
    return query
        select 'retention', 'ok',
               format('pages of pulls %s, alerts %s, notifications %s, key figures %s', setting('bronze_retention'),
                      setting('alert_retention'), setting('notification_retention'), setting('kpi_retention')),
               null::text;
    return query
        select 'clock of PEMS ' || k.pems, case when abs(k.seconds) > 30 then 'wrong' else 'ok' end,
               format('%s s %s', round(abs(k.seconds), 1), case when k.seconds > 0 then 'ahead' else 'behind' end),
               case when abs(k.seconds) > 30 then 'set the clocks by NTP' end
          from clock_skews() k;
    return query
        select format('credentials %s of PEMS %s', c.credential_id, c.pems),
               case when a.days >= 90 then 'wrong' when a.days >= 80 then 'note' else 'ok' end,
               format('%s days old', a.days), case when a.days >= 80 then 'pfa-relay credentials rotate' end
          from organization_api_credentials c
         cross join lateral (select floor(extract(epoch from now() - c.created_at) / 86400) as days) a
         where c.status = 'active' order by c.credential_id;
    return query
        select 'alert ' || a.rule, 'note', concat_ws(': ', a.organization_id, a.reason), r.action
          from alert a join alert_rule r on r.rule = a.rule
         where a.raised_at is not null and a.resolved_at is null
         order by a.alert_id;
end
$$;
comment on function pfa_sync.doctor() is
    'What an operator would look at in the database: how relays are woken, pauses, partitions of the log, disk use, '
    'publications, logins for backups, retention, clocks, age of credentials, raised alerts. state: ok, note or wrong; '
    'next_step: what to do, null: nothing.';

-- What a maintainer needs to find out what is wrong: no values of records, no prices, no secrets.
create function pfa_sync.support_bundle() returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    bundle jsonb;
begin
    bundle := jsonb_build_object(
        'made_at', pems_stamp(now()),
        'postgres', version(),
        'extension', installed_version(),
        'installation', (select to_jsonb(i) from installation i),
        'in_recovery', pg_is_in_recovery(),
        'wake', wake_in_force(),
        'check', (select coalesce(jsonb_agg(to_jsonb(c)), '[]') from pfa_sync.check() c),
        'doctor', (select coalesce(jsonb_agg(to_jsonb(d)), '[]') from doctor() d),
        'health', (select coalesce(jsonb_agg(to_jsonb(h)), '[]') from health() h),
        'metrics', (select coalesce(jsonb_agg(jsonb_build_object('name', m.name, 'labels', m.labels,
                                                                 'value', m.value)), '[]')
                      from metrics() m),
        'settings', (select coalesce(jsonb_agg(to_jsonb(v)), '[]') from setting_value v),
        'systems', (select coalesce(jsonb_agg(to_jsonb(y) - 'options'), '[]') from pems_system y),
        'slots', (select coalesce(jsonb_agg(to_jsonb(p)), '[]') from pems p),
        'credentials', (select coalesce(jsonb_agg(to_jsonb(c) - '{nonce,ciphertext,user_name}'::text[]), '[]')
                          from organization_api_credentials c),
        'relays', (select coalesce(jsonb_agg(to_jsonb(r)), '[]') from relay r),
        'organizations', (select coalesce(jsonb_agg(to_jsonb(s)), '[]') from sync_organization s),
        'queue', (select coalesce(jsonb_agg(to_jsonb(q)), '[]')
                    from (select q.organization_id, q.status, q.priority, count(*) as changes,
                                 count(*) filter (where q.head) as heads, min(q.scheduled_at) as first_due,
                                 min(q.lease_until) as first_lease
                            from pfa_write_queue q group by 1, 2, 3 order by 1, 2, 3) q),
        'dead_letters', (select coalesce(jsonb_agg(to_jsonb(d)), '[]')
                           from (select d.organization_id, d.code, count(*) as letters, max(d.failed_at) as latest
                                   from pfa_write_queue_dlq d where d.status = 'open' group by 1, 2 order by 1, 2) d),
        'conflicts', (select coalesce(jsonb_agg(to_jsonb(c)), '[]')
                        from (select c.organization_id, c.code, count(*) as conflicts, min(c.created_at) as oldest
                                from pfa_sync_conflict c where c.status = 'unresolved' group by 1, 2 order by 1, 2) c),
        'pulls', (select coalesce(jsonb_agg(to_jsonb(p) - '{next_page,last_error}'::text[]
                                         || jsonb_build_object('last_error', masked(p.last_error, false))), '[]')
                    from (select * from sync_pull p order by p.pull_id desc limit 50) p),
        'jobs', (select coalesce(jsonb_agg(to_jsonb(b) - 'operation'), '[]')
                   from (select * from bulk_job b order by b.job_id desc limit 20) b),
        'alerts', (select coalesce(jsonb_agg(to_jsonb(a)), '[]')
                     from (select * from alert a order by a.alert_id desc limit 100) a),
        'log', (select coalesce(jsonb_agg(to_jsonb(l)), '[]')
                  from (select l.event_type, l.organization_id, count(*) as entries, max(l.at) as latest
                          from pfa_audit_log l where l.at > now() - interval '1 day' group by 1, 2 order by 1, 2) l),
        'failures', (select coalesce(jsonb_agg(to_jsonb(l)), '[]')
                       from (select l.at, l.organization_id, l.queue_id, l.batch_id,
                                    masked(l.error_message, false) as error_message
                               from pfa_audit_log l
                              where l.event_type in ('WRITE_FAILED', 'DEAD_LETTER') and l.at > now() - interval '1 day'
                              order by l.at desc limit 100) l),
        'sizes', (select jsonb_object_agg(c.relname, pg_total_relation_size(c.oid))
                    from pg_class c where c.relnamespace = 'pfa_sync_private'::regnamespace and c.relkind = 'r'),
        'sessions', (select coalesce(jsonb_agg(to_jsonb(a)), '[]')
                       from (select a.application_name, a.state, a.wait_event_type, a.wait_event, a.xact_start,
                                    cardinality(pg_blocking_pids(a.pid)) as blockers
                               from pg_stat_activity a
                              where a.datname = current_database() and a.xact_start is not null) a));
    return masked(bundle, false);
end
$$;
comment on function pfa_sync.support_bundle() is
    'Relay: what a maintainer needs to find out what is wrong: versions, findings, health, figures, settings, numbers '
    'of the queue, pulls, jobs, alerts, failures of a day, sizes, sessions. No values of records and no secrets; '
    'numbers in errors are shown as #.';

-- What relays would send next, without claiming it: the heads that are due, in the order of their organizations.
create function pfa_sync.next_requests(max_rows int default 100)
    returns table (organization_code text, pems text, pfa_id text, operation text, fields text[], outcome text,
                   stopped text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    perform ensure_sending();
    return query
        with due as materialized (
            select q.id, q.organization_id, q.pfa_id, q.operation, q.modification_id
              from pfa_write_queue q
             where q.status = 'pending' and q.head and q.scheduled_at <= clock_timestamp()
             order by q.priority desc, q.scheduled_at, q.id limit max_rows),
        judged as materialized (
            select j from unnest(judge_modifications(array(select d.modification_id from due d))) j)
        select coalesce(s.code, d.organization_id), s.pems, d.pfa_id, d.operation,
               array(select k from jsonb_object_keys((j).to_send) k order by k),
               case when (j).errors <> '[]' then 'invalid' when (j).missing <> '{}' then 'forbidden'
                    when cardinality((j).conflicts) > 0 then 'conflict'
                    when (j).to_send = '{}' then 'nothing to send' else 'send' end,
               what_stops(d.organization_id)
          from due d
          join sync_organization s on s.organization_id = d.organization_id
          left join judged j on (j.j).modification_id = d.modification_id
         order by 1, d.id;
end
$$;
comment on function pfa_sync.next_requests(int) is
    'Relay: what would be sent next, without claiming it: the changes that are due, their fields, and whether they '
    'would be sent now (send), or end as conflict, invalid, forbidden or with nothing to send. stopped: the state of '
    'health for which nothing of the organization is sent; null: it is.';

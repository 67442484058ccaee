-- Alert rules: what is worth telling an administrator. Shipped rules stand here; what administrators change of them is
-- theirs.

create table alert_rule (
    rule      text     not null,
    scope     text     not null,
    severity  text     not null,
    threshold numeric  not null,
    unit      text     not null,
    hold_for  interval not null,
    meaning   text     not null,
    action    text     not null,
    constraint alert_rule_pkey primary key (rule),
    constraint alert_rule_scope check (scope in ('organization', 'fleet')),
    constraint alert_rule_severity check (severity in ('warning', 'critical'))
);
comment on table alert_rule is 'Every alert rule with its defaults. Replaced by upgrades.';
comment on column alert_rule.scope is
    'organization: one alert for each that it holds for; fleet: one for the installation, a PEMS or a relay';
comment on column alert_rule.threshold is 'an alert begins beyond this value';
comment on column alert_rule.hold_for is 'for how long the value must be beyond it';

insert into alert_rule (rule, scope, severity, threshold, unit, hold_for, meaning, action) values
    ('not_sending', 'fleet', 'critical', 0, 'databases', '1 minute',
     'nothing is sent from this database: it is not attached, or not as attach() left it',
     'call pfa_sync.attach(); for a copy that takes the place of its original, pfa_sync.adopt()'),
    ('no_relay', 'fleet', 'critical', 0, 'relays', '0 s',
     'no relay has sent a heartbeat for health_relay_silence',
     'start pfa-relay; pfa-relay doctor names what keeps it from working'),
    ('listener_silent', 'fleet', 'warning', 0, 'relays', '5 minutes',
     'the listening connection of a relay does not receive what it sends to itself: commits do not wake it',
     'connect the relay to Postgres directly, or through a pooler in session mode'),
    ('breaker_open', 'fleet', 'critical', 0, 'PEMS', '1 minute',
     'PEMS gave no answer several times in a row',
     'find out with the operators of PEMS why it does not answer; sending goes on by itself'),
    ('clock_skew', 'fleet', 'warning', 30, 'seconds', '5 minutes',
     'the clocks of this database and of PEMS differ',
     'set the clocks by NTP; pulls read by PEMS'' clock meanwhile'),
    ('log_partition_missing', 'fleet', 'warning', 7, 'days', '1 hour',
     'the log has no partition for the days ahead: entries would go to the default partition',
     'end the session that keeps maintain() from locking the log; select * from pfa_sync.maintain()'),
    ('credentials_age', 'fleet', 'warning', 80, 'days', '0 s',
     'credentials of a PEMS are soon to be rotated: 90 days is their limit',
     'pfa-relay credentials rotate'),
    ('credentials_expired', 'fleet', 'critical', 90, 'days', '0 s',
     'credentials of a PEMS are older than 90 days',
     'pfa-relay credentials rotate'),
    ('credentials_refused', 'organization', 'critical', 0, 'refusals', '0 s',
     'PEMS refused the credentials; nothing is sent or read for the organization',
     'pfa-relay credentials rotate, or pfa_sync.resume() once PEMS accepts the present ones'),
    ('unserved', 'organization', 'critical', 0, 'relays', '2 minutes',
     'no relay that runs can log in to the PEMS of the organization',
     'store credentials with pfa-relay credentials set, or give a relay the key that they are sealed with'),
    ('oldest_waiting', 'organization', 'warning', 120, 'seconds', '0 s',
     'the oldest change that may be sent has waited too long',
     'look at pfa_sync.health() and pfa_sync.drain_forecast() of the organization'),
    ('queue_growing', 'organization', 'warning', 0, 'changes queued in a minute', '10 minutes',
     'more changes are queued than reach PEMS',
     'find out what edits so much; raise what PEMS takes, or shorten slot_interval'),
    ('success_rate', 'organization', 'warning', 99, 'percent', '0 s',
     'of the changes that ended within an hour (100 or more), too few reached PEMS',
     'look at pfa_sync.failures for the cause that most of them share'),
    ('dead_letters', 'organization', 'warning', 0, 'dead letters', '0 s',
     'changes have failed for good, and no user has decided about them',
     'look at pfa_sync.dead_letters; requeue or discard each'),
    ('conflicts_waiting', 'organization', 'warning', 86400, 'seconds', '0 s',
     'a conflict has waited for a user for too long',
     'resolve the rows of pfa_sync.conflicts, or ask their authors to'),
    ('pull_overdue', 'organization', 'warning', 900, 'seconds', '0 s',
     'no pull has completed for too long beyond pull_interval',
     'look at pfa_sync.pulls for its error, and at the relay''s log'),
    ('drift', 'organization', 'warning', 0, 'pulls', '0 s',
     'PEMS'' records are not as before: another shape, or lower versions',
     'find out what changed in PEMS; then pfa_sync.accept_shape() or pfa_sync.accept_versions()');

create table alert_rule_change (
    rule            text        not null,
    organization_id text        not null default '',
    enabled         boolean,
    severity        text,
    threshold       numeric,
    hold_for        interval,
    changed_at      timestamptz not null default now(),
    changed_by      text        not null,
    constraint alert_rule_change_pkey primary key (rule, organization_id),
    constraint alert_rule_change_severity check (severity in ('warning', 'critical'))
);
comment on table alert_rule_change is 'What administrators have changed of alert rules; null: not changed.';
comment on column alert_rule_change.organization_id is 'empty: the whole fleet';
select pg_catalog.pg_extension_config_dump('alert_rule_change', '');

create type alert_limit as (enabled boolean, severity text, threshold numeric, hold_for interval);

-- A rule as it is in force for an organization (null: the fleet).
create function alert_limit_of(rule text, organization_id text) returns alert_limit
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
    select row(coalesce(o.enabled, f.enabled, true), coalesce(o.severity, f.severity, r.severity),
               coalesce(o.threshold, f.threshold, r.threshold),
               coalesce(o.hold_for, f.hold_for, r.hold_for))::alert_limit
      from alert_rule r
      left join alert_rule_change f on f.rule = r.rule and f.organization_id = ''
      left join alert_rule_change o on o.rule = r.rule and o.organization_id = alert_limit_of.organization_id
                                   and o.organization_id <> ''
     where r.rule = alert_limit_of.rule
$$;

-- Raises PF002 unless the acting user may configure alerts of an organization (null: of the fleet).
create function require_alert_permission(actor text, organization_id text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    granted text[] := acting_permissions(actor, organization_id);
begin
    if not (granted is null or 'perm_ConfigureAlerts' = any (granted)) then
        perform require_permission(actor, organization_id, 'perm_ManageSettings');
    end if;
end
$$;

-- Changes a rule for an organization, or for the fleet. What is null has its value of before.
create function pfa_sync.set_alert_rule(rule text, organization text default null, enabled boolean default null,
                                        severity text default null, threshold numeric default null,
                                        hold_for interval default null, user_id text default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    changed alert_rule;
begin
    perform require_alert_permission(actor, scope);
    select r.* into changed from alert_rule r where r.rule = set_alert_rule.rule;
    if not found then
        raise exception 'there is no alert rule %', left(rule, 60)
            using errcode = 'PF008', hint = 'pfa_sync.alert_rules lists them.';
    end if;
    if scope is not null and changed.scope = 'fleet' then
        raise exception 'the rule % is one of the whole fleet', rule
            using errcode = 'PF001', hint = 'Pass organization => null.';
    end if;
    perform require_word('severity', severity, array['warning', 'critical']);
    perform require_between('threshold', threshold, 0::numeric, 1e9::numeric);
    perform require_between('hold_for', hold_for, '0 s', '7 days');
    insert into alert_rule_change as c (rule, organization_id, enabled, severity, threshold, hold_for, changed_by)
        values (set_alert_rule.rule, coalesce(scope, ''), set_alert_rule.enabled, set_alert_rule.severity,
                set_alert_rule.threshold, set_alert_rule.hold_for, actor)
        on conflict on constraint alert_rule_change_pkey
        do update set enabled = coalesce(excluded.enabled, c.enabled),
                      severity = coalesce(excluded.severity, c.severity),
                      threshold = coalesce(excluded.threshold, c.threshold),
                      hold_for = coalesce(excluded.hold_for, c.hold_for), changed_by = excluded.changed_by,
                      changed_at = now();
    perform log_event('ALERT_RULE_CHANGED', scope, actor, jsonb_strip_nulls(jsonb_build_object(
        'rule', rule, 'enabled', enabled, 'severity', severity, 'threshold', threshold, 'hold_for', hold_for)));
end
$$;
comment on function pfa_sync.set_alert_rule(text, text, boolean, text, numeric, interval, text) is
    'Changes an alert rule for an organization (id or code; null: the fleet): enabled, severity (warning, critical), '
    'threshold in its unit, hold_for (for how long the value must be beyond the threshold). null: as before. Needs '
    'perm_ConfigureAlerts or perm_ManageSettings. PF001: a rule of the fleet for an organization; PF008: no such rule.';

create view pfa_sync.alert_rules with (security_barrier) as
    select r.rule, r.scope, null::text as organization_id, coalesce(c.enabled, true) as enabled,
           coalesce(c.severity, r.severity) as severity, coalesce(c.threshold, r.threshold) as threshold, r.unit,
           coalesce(c.hold_for, r.hold_for) as hold_for, r.meaning, r.action, c.changed_at, c.changed_by
      from alert_rule r
      left join alert_rule_change c on c.rule = r.rule and c.organization_id = ''
    union all
    select r.rule, r.scope, c.organization_id, l.enabled, l.severity, l.threshold, r.unit, l.hold_for, r.meaning,
           r.action, c.changed_at, c.changed_by
      from alert_rule r
      join alert_rule_change c on c.rule = r.rule and c.organization_id <> ''
     cross join lateral alert_limit_of(r.rule, c.organization_id) l
     where c.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.alert_rules is
    'Every alert rule as it is in force for the fleet, and one more row for each organization that has its own.';
comment on column pfa_sync.alert_rules.rule is 'name of the rule';
comment on column pfa_sync.alert_rules.scope is
    'organization: one alert for each; fleet: one for the installation, a PEMS or a relay';
comment on column pfa_sync.alert_rules.organization_id is 'the organization that has its own; null: the fleet';
comment on column pfa_sync.alert_rules.enabled is 'whether it is evaluated';
comment on column pfa_sync.alert_rules.severity is 'warning or critical';
comment on column pfa_sync.alert_rules.threshold is 'an alert begins beyond this value';
comment on column pfa_sync.alert_rules.unit is 'unit of the threshold';
comment on column pfa_sync.alert_rules.hold_for is 'for how long the value must be beyond it';
comment on column pfa_sync.alert_rules.meaning is 'what it means';
comment on column pfa_sync.alert_rules.action is 'what to do';
comment on column pfa_sync.alert_rules.changed_at is 'when it was changed; null: as shipped';
comment on column pfa_sync.alert_rules.changed_by is 'who changed it';

-- Settings of the fleet and of single organizations. Definitions are shipped; values are the DBA's.

create table setting_definition (
    name             text    not null,
    type             text    not null,
    default_value    text    not null,
    minimum          text,
    maximum          text,
    choices          text[],
    per_organization boolean not null,
    per_field        boolean not null default false,
    pattern          text,
    description      text    not null,
    constraint setting_definition_pkey primary key (name),
    constraint setting_definition_type check (type in ('interval', 'integer', 'choice', 'text')),
    constraint setting_definition_bounds check ((type = 'choice') = (choices is not null)
        and (type <> 'choice') = (minimum is not null and maximum is not null))
);
comment on table setting_definition is 'Every setting with its default and bounds. Replaced by upgrades.';
comment on column setting_definition.minimum is 'of a text, and maximum: of its length in characters';
comment on column setting_definition.pattern is 'of a text: the regular expression that it matches';
comment on column setting_definition.per_field is 'may also be set as name.field, for a single field';

insert into setting_definition (name, type, default_value, minimum, maximum, per_organization, description) values
    ('slot_interval', 'interval', '105 ms', '1 ms', '60 s', false,
     'time between two requests to PEMS, of all relays together; PEMS allows 10 a second, 105 ms leaves room for '
     'jitter'),
    ('max_retries', 'integer', '3', '0', '100', true,
     'tries after the first one before a change becomes a dead letter'),
    ('retry_delay', 'interval', '5 s', '0 s', '1 hour', true,
     'wait before the first retry; doubles with each further one'),
    ('retry_delay_max', 'interval', '60 s', '0 s', '1 day', true,
     'longest wait between two tries'),
    ('retry_after_max', 'interval', '1 hour', '1 minute', '1 day', false,
     'longest wait that PEMS may ask for with Retry-After; a request slot further ahead comes from a clock that was '
     'corrected, and is reset'),
    ('breaker_threshold', 'integer', '3', '1', '1000', false,
     'requests in a row without an answer, or with a 5xx, after which requests to PEMS stop; below 1 + max_retries, so '
     'that an outage makes no dead letters'),
    ('breaker_delay', 'interval', '5 s', '1 ms', '1 hour', false,
     'time without requests before one request probes PEMS; doubles with each probe that fails'),
    ('breaker_delay_max', 'interval', '60 s', '1 ms', '1 day', false,
     'longest time between two such probes'),
    ('max_rejudgements', 'integer', '10', '1', '1000', true,
     'how often PEMS may move between the judgement of a change and its write before that counts as a failed try'),
    ('lease', 'interval', '60 s', '1 s', '1 hour', false,
     'how long claimed changes belong to a relay before others may claim them; the relay extends it while it works'),
    ('poll', 'interval', '60 s', '1 s', '1 hour', false,
     'how often relays look for work without being notified, sweep, and read settings'),
    ('pull_interval', 'interval', '60 s', '1 s', '1 day', true,
     'time from the end of one pull of PEMS'' changes to the next'),
    ('full_pull_interval', 'interval', '1 day', '1 s', '365 days', true,
     'how often a pull reads all records and finds those that PEMS no longer has'),
    ('pull_overlap', 'interval', '5 s', '0 s', '1 day', true,
     'how far before the latest known change a pull begins, for what PEMS made visible late'),
    ('discontinue_limit', 'integer', '10', '0', '100', true,
     'percent of an organization''s records that one pull may find missing in PEMS; with more of them (and more than '
     '10 records) none is marked discontinued'),
    ('bronze_retention', 'interval', '90 days', '1 day', '3650 days', false,
     'how long pages of records are kept as they came, and the results of pulls'),
    ('text_limit', 'integer', '80', '1', '4000', false,
     'longest text that PEMS takes, in characters, where a field has no limit of its own'),
    ('health_relay_silence', 'interval', '1 minute', '1 s', '1 day', false,
     'health is no_relay when no relay has sent a heartbeat for this time, three poll intervals at least'),
    ('health_throttle', 'interval', '1 minute', '1 minute', '1 day', true,
     'health is throttled when the next request or another try lies further ahead than this'),
    ('health_stall', 'interval', '10 minutes', '1 minute', '7 days', true,
     'health is stalled when changes are due and none has ended for this time, three poll intervals at least'),
    ('health_queue_age', 'interval', '2 minutes', '10 s', '7 days', true,
     'health is slow when changes have been due for this time and drain_forecast() says stalled or growing; a long '
     'queue that drains is not slow'),
    ('health_success', 'integer', '95', '0', '100', true,
     'health is unreliable when fewer percent of the changes that ended in an hour reached PEMS; 0 turns it off'),
    ('health_success_samples', 'integer', '100', '1', '1000000', true,
     'number of changes that must have ended in that hour before their share counts'),
    ('kpi_retention', 'interval', '400 days', '7 days', '3650 days', false,
     'how long the figures behind kpis() are kept'),
    ('alert_retention', 'interval', '90 days', '1 day', '3650 days', false,
     'how long alerts are kept after they were resolved'),
    ('notification_retention', 'interval', '30 days', '1 day', '3650 days', false,
     'how long notifications are kept'),
    ('instance_name', 'text', '', '0', '80', false,
     'name of this installation, as front ends show it; the bounds are those of its length in characters');
insert into setting_definition (name, type, default_value, choices, per_organization, per_field, description) values
    ('auto_resolution', 'choice', 'ask', array['ask', 'use_pems', 'use_local', 'newest'], true, true,
     'how a conflict is resolved: by a person (ask), or by the rule that PEMS'' value, ours, or the later of both wins '
     '(PEMS'' where its time is not known)'),
    ('inbound', 'choice', 'off', array['relay', 'application', 'off'], true, false,
     'what reads PEMS'' changes into the mirror: the relay, the application''s own reader, or nothing; check() asks '
     'for a choice'),
    ('instance_colour', 'choice', 'grey', array['grey', 'blue', 'green', 'teal', 'purple', 'orange', 'red'], false,
     false, 'colour by which front ends tell this installation from others'),
    ('production', 'choice', 'off', array['off', 'on'], false, false,
     'whether edits here reach the PEMS that people work with; front ends show it');

insert into setting_definition (name, type, default_value, minimum, maximum, per_organization, pattern, description)
    values ('instance_links', 'text', '', '0', '2000', false,
            '^( *[^, ][^,]* https?://[^, ]+ *(, *[^, ][^,]* https?://[^, ]+ *)*)?$',
            'other installations that front ends link to, separated by commas, each a name and an address: Test '
            'https://test.example.com, Training https://training.example.com');

create table setting_value (
    name            text        not null,
    organization_id text        not null default '',
    value           text        not null,
    changed_at      timestamptz not null default now(),
    changed_by      text        not null,
    constraint setting_value_pkey primary key (name, organization_id)
);
comment on column setting_value.name is 'of the setting, or name.field for a single field';
comment on column setting_value.organization_id is 'empty = the whole fleet';
select pg_catalog.pg_extension_config_dump('setting_value', '');

create function setting(name text, organization_id text default null) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select coalesce(
                (select v.value from setting_value v
                  where v.name = setting.name and v.organization_id = setting.organization_id),
                (select v.value from setting_value v where v.name = setting.name and v.organization_id = ''),
                d.default_value)
              from setting_definition d
             where d.name = split_part(setting.name, '.', 1));
end
$$;
comment on function setting(text, text) is
    'The value in force: the organization''s, else the fleet''s, else the default.';

create function fleet_setting(name text) returns text
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$ select setting(name) $$;
comment on function fleet_setting(text) is
    'The value in force for the whole fleet; the view settings shows those of organizations.';

create view pfa_sync.settings with (security_barrier) as
    select d.name, null::text as organization_id, coalesce(v.value, d.default_value) as value, d.default_value,
           d.description, v.changed_at, v.changed_by
      from setting_definition d
      left join setting_value v on v.name = d.name and v.organization_id = ''
    union all
    select v.name, nullif(v.organization_id, ''), v.value, d.default_value, d.description, v.changed_at, v.changed_by
      from setting_value v
      join setting_definition d on d.name = split_part(v.name, '.', 1)
     where (v.organization_id <> '' or v.name <> d.name)
       and (v.organization_id = '' or v.organization_id = any ((select visible_organizations())::text[]))
     order by name, organization_id nulls first;
comment on view pfa_sync.settings is
    'Every setting with its fleet value, and one more row for each value of an organization or of a field. Change '
    'them with set().';
comment on column pfa_sync.settings.name is 'name of the setting; name.field for the value of a single field';
comment on column pfa_sync.settings.organization_id is 'id of the organization that the value is for; null: the fleet';
comment on column pfa_sync.settings.value is 'the value; for the fleet, the default where none is set';
comment on column pfa_sync.settings.default_value is 'the value that applies where none is set';
comment on column pfa_sync.settings.description is 'what the setting does';
comment on column pfa_sync.settings.changed_at is 'when the value was set; null: the default applies';
comment on column pfa_sync.settings.changed_by is 'the user who set it; null: the default applies';

-- Sets a value; null returns to the default. Raises on an unknown name or a value outside its bounds.
create function pfa_sync.set(name text, value text, organization text default null, user_id text default null)
    returns text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    definition setting_definition;
    field text := nullif(substr(name, length(split_part(name, '.', 1)) + 2), '');
    scope text := coalesce(organization_of(organization), '');
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, nullif(scope, ''), 'perm_ManageSettings');
    perform require_text('value', value, 2000);
    select * into definition from setting_definition d
     where d.name = split_part(set.name, '.', 1)
       and (set.name = d.name
            or d.per_field and exists (select from field_rules f where f.name = field and f.permission is not null));
    if not found then
        raise exception 'there is no setting %', set.name
            using errcode = 'PF008', hint = 'select name, description from pfa_sync.settings lists them.';
    end if;
    if scope <> '' and not definition.per_organization then
        raise exception 'setting % holds for the whole fleet; leave the organization out', set.name
            using errcode = 'PF001';
    end if;
    if set.value is null then
        delete from setting_value v where v.name = set.name and v.organization_id = scope;
    else
        perform require_setting(definition, set.value);
        insert into setting_value (name, organization_id, value, changed_by) values (set.name, scope, set.value, actor)
            on conflict on constraint setting_value_pkey
            do update set value = excluded.value, changed_at = now(), changed_by = excluded.changed_by;
    end if;
    perform log_event('SETTING_CHANGED', nullif(scope, ''), actor, jsonb_build_object(set.name, set.value));
    return setting(set.name, nullif(scope, ''));
end
$$;
comment on function pfa_sync.set(text, text, text, text) is
    'Sets a setting for the fleet, or for an organization (id or code) where the setting allows it; value null: '
    'back to the default. Returns the value that applies now. Needs perm_ManageSettings. PF001: value outside of '
    'its bounds, or a fleet setting with an organization; PF008: no such setting.';

-- Raises PF001 unless a value is within the bounds of its setting.
create function require_setting(definition setting_definition, value text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    allowed text := case when definition.type = 'choice' then 'one of ' || array_to_string(definition.choices, ', ')
                         when definition.type = 'text'
                         then format('a text of %s to %s characters', definition.minimum, definition.maximum)
                              || case when definition.pattern is not null
                                      then format(' (%s)', definition.description) else '' end
                         else format('an %s from %s to %s', definition.type, definition.minimum, definition.maximum)
                    end;
    inside  boolean;
begin
    inside := case definition.type
        when 'interval' then value::interval between definition.minimum::interval and definition.maximum::interval
        when 'integer' then value::int between definition.minimum::int and definition.maximum::int
        when 'text' then length(value) between definition.minimum::int and definition.maximum::int
                         and coalesce(value ~ definition.pattern, true)
        else value = any (definition.choices)
    end;
    if inside is not true then
        raise data_exception;
    end if;
exception when data_exception then
    raise exception 'setting % must be %, not %', definition.name, allowed, value using errcode = 'PF001';
end
$$;

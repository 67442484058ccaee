-- What a field of a PFA record may hold, and who may change it. The pure rules (crate pfa_rules) take these rows
-- as their argument; rules that span several fields stand there.

create table field (
    name       text    not null,
    type       text    not null,
    scale      int,
    minimum    numeric,
    maximum    numeric,
    max_length int,
    choices    text[],
    nullable   boolean not null default true,
    permission text,
    price      boolean not null default false,
    constraint field_pkey primary key (name),
    constraint field_name check (name ~ '^[A-Za-z][A-Za-z0-9_]{0,62}$'),
    constraint field_type check (type in ('text', 'decimal', 'datetime', 'boolean')),
    constraint field_scale check (scale between 0 and 28),
    constraint field_range check (minimum <= maximum),
    constraint field_max_length check (max_length > 0),
    constraint field_choices check (cardinality(choices) > 0 and array_position(choices, null) is null)
);
comment on table field is 'Shipped field rules. Replaced by upgrades: put your own into field_override.';
comment on column field.scale is 'decimals allowed after the point';
comment on column field.max_length is 'characters; null = setting text_limit';
comment on column field.permission is 'permission that allows an edit; null = locked, never editable';
comment on column field.price is 'shown to holders of perm_ViewFinancials only';

insert into field (name, type, scale, minimum, choices, nullable, permission, price) values
    ('pfaId',               'text',     null, null, null,                        false, null,                false),
    ('organization',        'text',     null, null, null,                        false, null,                false),
    ('areaSilo',            'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('category',            'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('forecastCategory',    'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('class',               'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('manufacturer',        'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('model',               'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('contract',            'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('equipment',           'text',     null, null, null,                        true,  'perm_EditForecast', false),
    ('source',              'text',     null, null, array['Rental', 'Purchase'], true,  'perm_EditForecast', false),
    ('dor',                 'text',     null, null, array['BEO', 'PROJECT'],     true,  'perm_EditForecast', false),
    ('monthlyRate',         'decimal',  2,    0,    null,                        true,  'perm_EditForecast', true),
    ('purchasePrice',       'decimal',  2,    0,    null,                        true,  'perm_EditForecast', true),
    ('forecastStart',       'datetime', null, null, null,                        true,  'perm_EditForecast', false),
    ('forecastEnd',         'datetime', null, null, null,                        true,  'perm_EditForecast', false),
    ('isDiscontinued',      'boolean',  null, null, null,                        true,  'perm_EditForecast', false),
    ('isFundsTransferable', 'boolean',  null, null, null,                        true,  'perm_EditForecast', false),
    ('actualStart',         'datetime', null, null, null,                        true,  'perm_EditActuals',  false),
    ('actualEnd',           'datetime', null, null, null,                        true,  'perm_EditActuals',  false),
    ('isActualized',        'boolean',  null, null, null,                        true,  'perm_EditActuals',  false),
    ('originalStart',       'datetime', null, null, null,                        true,  null,                false),
    ('originalEnd',         'datetime', null, null, null,                        true,  null,                false),
    ('hasPlan',             'boolean',  null, null, null,                        true,  null,                false),
    ('hasActuals',          'boolean',  null, null, null,                        true,  null,                false);

create table field_override (like field including defaults including constraints);
alter table field_override add constraint field_override_pkey primary key (name);
comment on table field_override is
    'A DBA''s own field rules: a row replaces the shipped row of that name, or adds a field. It takes effect with the '
    'next statement.';
select pg_catalog.pg_extension_config_dump('field_override', '');

-- Backends compile the rules once and compare this number once per statement. It comes from a sequence, which no
-- rollback sets back, so that different rules never have one number.
create sequence rules_version_seq;
create table rules_version (
    version bigint not null default nextval('pfa_sync_private.rules_version_seq'),
    constraint rules_version_pkey primary key (version)
);
insert into rules_version default values;
comment on table rules_version is
    'One row, which changes with the rules, so that backends know when to compile them anew.';

create function rules_changed() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    fault text := rules_fault();
begin
    if fault is not null then
        raise exception '%', fault using errcode = 'PF001';
    end if;
    update rules_version set version = default;
    return null;
end
$$;
create trigger field_override_changed after insert or update or delete or truncate on field_override
    for each statement execute function rules_changed();
create trigger setting_value_changed after insert or update or delete or truncate on setting_value
    for each statement execute function rules_changed();

-- A rule that can't be compiled would fail every commit, so it is refused when it is written.
create function rules_fault() returns text
    language c volatile security definer set search_path = pg_catalog, pg_temp
    as 'MODULE_PATHNAME', 'rules_fault_wrapper';
comment on function rules_fault() is 'Why the field rules as they are now can''t be compiled; null = they can.';

-- The functions of the library are immutable in their arguments and the rules. They resolve no names (the rules are
-- read with qualified ones), so a search_path of their own would only cost time.
create function pfa_sync.validate(record jsonb, delta jsonb, severity text default 'error')
    returns table (field text, code text, message text)
    language c stable security definer set search_path = pg_catalog, pg_temp
    parallel safe as 'MODULE_PATHNAME', 'validate_wrapper';
comment on function pfa_sync.validate(jsonb, jsonb, text) is
    'Validates a record with a delta laid over it by the field rules. Returns a row for each error: field (null: '
    'the delta as a whole), code, message. No row: valid. severity ''warning'': returns instead the faults that '
    'the record has already in fields that the delta leaves alone.';

create function pfa_sync.three_way(base jsonb, ours jsonb, theirs jsonb, accepted jsonb default null)
    returns table (apply jsonb, same text[], conflicts text[])
    language c stable security definer set search_path = pg_catalog, pg_temp
    parallel safe as 'MODULE_PATHNAME', 'three_way_wrapper';
comment on function pfa_sync.three_way(jsonb, jsonb, jsonb, jsonb) is
    'Merges a delta (ours) into a record (theirs) field by field. Returns one row: apply, the fields to send; '
    'same, fields that theirs holds already; conflicts, fields that changed to something else. base: the record '
    'as the author saw it; null: unknown, then every differing field conflicts. accepted: values that theirs may '
    'hold without a conflict.';

create function pfa_sync.canonical(delta jsonb) returns jsonb
    language c stable strict security definer set search_path = pg_catalog, pg_temp
    parallel safe as 'MODULE_PATHNAME', 'canonical_wrapper';
comment on function pfa_sync.canonical(jsonb) is
    'The delta in the form in which it is sent: dates in UTC with milliseconds, plain decimals, empty text as '
    'null. Values that cannot be read as their field''s type are left as they are.';

create function pfa_sync.cost(record jsonb) returns numeric
    language c immutable strict security definer set search_path = pg_catalog, pg_temp
    parallel safe as 'MODULE_PATHNAME', 'cost_wrapper';
comment on function pfa_sync.cost(jsonb) is
    'The forecast cost of a record, to two decimals: of a Rental, the days from forecastStart to forecastEnd as months '
    'of 30.44 days, times monthlyRate; of a Purchase, purchasePrice. Null: a value that it takes is missing or '
    'cannot be read.';

create function typed(record jsonb, out data jsonb, out problem text)
    language c stable strict security invoker parallel safe as 'MODULE_PATHNAME', 'typed_wrapper';
comment on function typed(jsonb) is
    'A record in canonical form, without the fields whose value can''t be read as their type; problem names the first '
    'of those.';

create function readable(value text) returns boolean
    language c immutable strict security invoker parallel safe as 'MODULE_PATHNAME', 'readable_wrapper';
comment on function readable(text) is 'Whether the other functions of the library can read a JSON value.';

create function judge(record jsonb, delta jsonb, base jsonb, accepted jsonb, granted text[],
                      unmoved boolean default false, may_revive boolean default false, out errors jsonb,
                      out missing text[], out operation text,
                      out delta jsonb, out base jsonb, out seen jsonb, out to_send jsonb, out conflicts text[])
    language c stable security invoker parallel safe as 'MODULE_PATHNAME', 'judge_wrapper';
comment on function judge(jsonb, jsonb, jsonb, jsonb, text[], boolean, boolean) is
    'validate, canonical and three_way of one change in a single call, with its operation and what it needs beyond the '
    'permissions granted (null = all are); unmoved = the record is as its author saw it, and base is left out, in the '
    'answer too; may_revive = the change may revive a discontinued record; base and seen: the changed fields of base '
    'and record.';

-- Every field rule in force, in the form the library compiles.
create view pfa_sync.field_rules with (security_barrier) as
    select f.name, f.type, f.scale, f.minimum, f.maximum,
           case when f.type = 'text' then coalesce(f.max_length, fleet_setting('text_limit')::int) end as max_length,
           f.choices, f.nullable, f.permission, f.price
      from (select * from field_override
            union all
            select * from field s where not exists (select from field_override o where o.name = s.name)) f;
comment on view pfa_sync.field_rules is
    'The rules of the fields of a record that are in force: shipped rules, replaced or extended by rows of '
    'field_override.';
comment on column pfa_sync.field_rules.name is 'name of the field in a record';
comment on column pfa_sync.field_rules.type is 'text, decimal, datetime or boolean';
comment on column pfa_sync.field_rules.scale is
    'digits allowed after the decimal point; null: no limit, or not a decimal';
comment on column pfa_sync.field_rules.minimum is 'smallest value allowed; null: no limit';
comment on column pfa_sync.field_rules.maximum is 'largest value allowed; null: no limit';
comment on column pfa_sync.field_rules.max_length is
    'longest text allowed, in characters: the rule''s own, or the setting text_limit; null: not a text';
comment on column pfa_sync.field_rules.choices is 'the values allowed; null: any value of the type';
comment on column pfa_sync.field_rules.nullable is 'whether the field may be empty';
comment on column pfa_sync.field_rules.permission is
    'the permission that an edit of the field needs; null: the field is locked and cannot be edited';
comment on column pfa_sync.field_rules.price is
    'whether the field is a price, which only holders of perm_ViewFinancials see';

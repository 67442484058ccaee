-- One append-only log: audit trail, timeline of a record and live events are three ways to read it.
--
-- The parent has no key, index or partition here: partitions of a member table that has any do not restore.
-- attach() and maintain() create each month with its own indexes.
create sequence pfa_audit_log_id_seq;
create table pfa_audit_log (
    id              bigint      not null default nextval('pfa_sync_private.pfa_audit_log_id_seq'),
    at              timestamptz not null default clock_timestamp(),
    xid             xid8        not null default pg_current_xact_id(),
    event_type      text        not null,
    organization_id text,
    user_id         text,
    pfa_id          text,
    modification_id text,
    queue_id        bigint,
    job_id          bigint,
    batch_id        bigint,
    changes         jsonb,
    pems_response   jsonb,
    success         boolean,
    error_message   text
) partition by range (at);
comment on table pfa_audit_log is 'Everything that happened, one row each; never updated.';
comment on column pfa_audit_log.xid is
    'the writing transaction: an event position is a pg_snapshot, and a row that it does not show is new to its reader';
select pg_catalog.pg_extension_config_dump('pfa_audit_log_id_seq', '');

create table event_type (
    event_type text not null,
    event      text,
    meaning    text not null,
    constraint event_type_pkey primary key (event_type)
);
comment on table event_type is 'Every kind of log entry. Replaced by upgrades.';
comment on column event_type.event is 'the live event that the entry is; null = none';
insert into event_type (event_type, event, meaning) values
    ('COMMITTED',           'queued',         'a committed change was queued'),
    ('WRITE_ATTEMPT',       'syncing',        'a request is about to be sent; changes holds its fields'),
    ('WRITE_FAILED',        'attempt_failed', 'PEMS did not confirm a request; error_message says why'),
    ('SYNCED',              'synced',         'PEMS confirmed a change, or held its values already'),
    ('STORED_DIFFERENTLY',  'stored_differently',
                                              'PEMS confirmed a change and stores other values; changes holds both'),
    ('CONFLICT_DETECTED',   'conflict',       'a change conflicts with one in PEMS; changes holds the three sides'),
    ('CONFLICT_RESOLVED',   'resolved',       'a conflict was resolved by a user or by a rule'),
    ('DEAD_LETTER',         'failed',         'a change failed for good'),
    ('REQUEUED',            null,             'a dead letter was queued again; changes names its author and the fix'),
    ('DISCARDED',           'discarded',      'a dead letter was given up, with its reason'),
    ('FAILURE_NOTED',       null,             'a user noted something about a failure: note, owner or state'),
    ('WITHDRAWN',           'withdrawn',      'a committed change was taken back before it was sent'),
    ('WRITE_SYNC',          null,             'a user asked for changes to be sent first'),
    ('ROLLBACK',            'rollback',       'a job was rolled back, or a record set to a version'),
    ('RESOLUTION_UNDONE',   'conflict',       'a resolution was undone: the conflict is open again'),
    ('DISCARD_UNDONE',      'failed',         'a discarded dead letter was opened again'),
    ('JOB_STARTED',         'job',            'a bulk job goes on beyond its call'),
    ('JOB_SLICE',           'job',            'a slice of a bulk job was carried out; changes counts its items'),
    ('JOB_STOPPED',         'job',            'a bulk job was stopped, by a user or since too many changes failed'),
    ('JOB_CONTINUED',       'job',            'a user let a stopped bulk job go on'),
    ('JOB_FINISHED',        'job',            'a bulk job has ended; changes counts its items'),
    ('BREAKER_OPENED',      'breaker',        'PEMS gave no answer several times in a row; requests to it stop'),
    ('BREAKER_CLOSED',      'breaker',        'PEMS answers again'),
    ('PAUSED',              'pause',          'sending for an organization was stopped by a user'),
    ('RESUMED',             'pause',          'sending for an organization was allowed by a user'),
    ('CREDENTIALS_REFUSED', 'pause',          'PEMS refused the credentials; the organization is held'),
    ('CREDENTIALS_CHANGED', 'pause',          'a relay has other credentials; a held organization is sent for again'),
    ('CREDENTIALS_STORED',  'credentials',    'a sealed secret for PEMS was stored; it is not in use yet'),
    ('CREDENTIALS_ROTATED', 'credentials',    'a sealed secret for PEMS was taken into use'),
    ('CREDENTIALS_REMOVED', 'credentials',    'a sealed secret for PEMS was erased; changes says why'),
    ('PEMS_DEFINED',        null,             'a PEMS was defined, or its definition was changed'),
    ('PEMS_ASSIGNED',       null,             'an organization was given another PEMS'),
    ('PEMS_RETIRED',        null,             'the use of a PEMS has ended'),
    ('ALERT_RAISED',        'alert',          'an alert rule holds'),
    ('ALERT_ACKNOWLEDGED',  'alert',          'a user acknowledged an alert'),
    ('ALERT_RESOLVED',      'alert',          'the condition of an alert has ended'),
    ('ALERT_RULE_CHANGED',  null,             'an alert rule was changed'),
    ('ALERT_CHANNEL_CHANGED', null,           'a channel of alerts was added, changed or removed'),
    ('NOTIFIED',            'notification',   'a user has new notifications'),
    ('SETTING_CHANGED',     null,             'a setting was changed'),
    ('READER_SET',          null,             'a reader''s login was given the visibility of a user'),
    ('SCHEMA_DRIFT',        null,             'PEMS'' records have other fields or types than before'),
    ('SHAPE_ACCEPTED',      null,             'the new shape of PEMS'' records was accepted'),
    ('VERSIONS_BACK',       null,             'PEMS has lower versions of records than were known; changes names some'),
    ('ORGANIZATION_RENAMED', null,            'an organization has another id in the application'),
    ('VERSIONS_ACCEPTED',   null,             'lower versions of PEMS'' records were accepted'),
    ('RECORD_REFUSED',      null,             'a table of the application refuses what is to be stored about a record'),
    ('DISCONTINUED',        null,             'PEMS no longer has a record; the mirror marks it discontinued'),
    ('ADOPTED',             null,             'this database took the place of the one it is a copy of');

-- What a log entry of a queued change holds besides the columns of its queue row. changes null = the fields of its last
-- request.
create type log_entry as (
    queue_id bigint,
    changes  jsonb,
    response jsonb,
    error    text
);

-- Writes one log entry for each queued change. user_id null = the change's author.
create function log_changes(event_type text, success boolean, entries log_entry[], user_id text default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if cardinality(entries) = 0 then
        return;
    end if;
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id,
                               batch_id, changes, pems_response, success, error_message)
    select log_changes.event_type, q.organization_id, coalesce(log_changes.user_id, q.author), q.pfa_id,
           q.modification_id, q.id, q.job_id, q.batch_id, coalesce(e.changes, q.request), e.response,
           log_changes.success, e.error
      from unnest(entries) e
      join pfa_write_queue q on q.id = e.queue_id;
end
$$;

-- Writes one log entry that belongs to no queued change. user_id null = no user acted.
create function log_event(event_type text, organization_id text default null, user_id text default null,
                          changes jsonb default null, error text default null, success boolean default true,
                          pfa_id text default null, modification_id text default null,
                          queue_id bigint default null, job_id bigint default null)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, changes,
                               success, error_message)
        values (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, changes, success,
                error);
end
$$;

-- Makes the log's partitions from this month to the given number of months ahead, and the default partition, which
-- takes entries when the right partition was not made in time; they move when that month is made.
create function create_log_partitions(months_ahead int default 6) returns setof text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set timezone = 'UTC' set lock_timeout = '1s'
as $$
declare
    month date;
    part  name;
begin
    -- Two relays at once would each make the same partition. Readers and writers of the log are not locked out by this.
    lock table pfa_audit_log in share update exclusive mode;
    for ahead in 0 .. months_ahead loop
        month := (date_trunc('month', now()) + make_interval(months => ahead))::date;
        part := 'pfa_audit_log_' || to_char(month, 'YYYYMM');
        continue when to_regclass('pfa_sync_private.' || part) is not null;
        execute format('create table pfa_sync_private.%I (like pfa_audit_log including defaults)', part);
        if to_regclass('pfa_sync_private.pfa_audit_log_default') is not null then
            execute format('with moved as (delete from pfa_audit_log_default where at >= %L and at < %L returning *)
                            insert into %I select * from moved', month, month + interval '1 month', part);
        end if;
        perform complete_log_partition(part);
        execute format('alter table pfa_audit_log attach partition %I for values from (%L) to (%L)',
                       part, month, month + interval '1 month');
        return next part;
    end loop;
    if to_regclass('pfa_sync_private.pfa_audit_log_default') is null then
        create table pfa_sync_private.pfa_audit_log_default (like pfa_audit_log including defaults);
        perform complete_log_partition('pfa_audit_log_default');
        alter table pfa_audit_log attach partition pfa_audit_log_default default;
        return next 'pfa_audit_log_default';
    end if;
end
$$;

-- For how many days from today on the log has partitions of their own.
create function log_partition_days() returns int
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set timezone = 'UTC'
as $$
declare
    month date := date_trunc('month', now())::date;
begin
    while to_regclass('pfa_sync_private.pfa_audit_log_' || to_char(month, 'YYYYMM')) is not null loop
        month := (month + interval '1 month')::date;
    end loop;
    return greatest(0, month - now()::date);
end
$$;

-- What the parent can't give its partitions: indexes, a replica identity, and no grants of the
-- site's default privileges.
create function complete_log_partition(part name) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    execute format('create index on %I (organization_id, pfa_id, id)', part);
    execute format('create index on %I (organization_id, at)', part);
    execute format('create index on %I (xid)', part);
    -- A table without a key can't be updated or emptied while a publication has it.
    execute format('alter table %I replica identity full', part);
    perform revoke_grants(format('pfa_sync_private.%I', part)::regclass);
end
$$;

-- The id of the newest entry; 0 = the log is empty.
create function last_event() returns bigint
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select coalesce(max(l.id), 0) from pfa_audit_log l $$;

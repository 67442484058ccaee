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
comment on column pfa_audit_log.xid is 'the writing transaction: an event cursor is a pg_snapshot, and rows invisible to it are news';
select pg_catalog.pg_extension_config_dump('pfa_audit_log_id_seq', '');

-- Makes the log's partitions from this month to the given number of months ahead, and the default one, which keeps
-- writers going if nobody made the right one in time; its rows move where they belong when that month is made.
create function create_log_partitions(months_ahead int default 2) returns setof text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set timezone = 'UTC'
as $$
declare
    month date;
    part  name;
begin
    for ahead in 0 .. months_ahead loop
        month := (date_trunc('month', now()) + make_interval(months => ahead))::date;
        part := 'pfa_audit_log_' || to_char(month, 'YYYYMM');
        continue when to_regclass('pfa_sync_private.' || part) is not null;
        execute format('create table pfa_sync_private.%I (like pfa_audit_log including defaults)', part);
        if to_regclass('pfa_sync_private.pfa_audit_log_default') is not null then
            execute format('with moved as (delete from pfa_audit_log_default where at >= %L and at < %L returning *)
                            insert into %I select * from moved', month, month + interval '1 month', part);
        end if;
        perform index_log_partition(part);
        execute format('alter table pfa_audit_log attach partition %I for values from (%L) to (%L)', part, month, month + interval '1 month');
        return next part;
    end loop;
    if to_regclass('pfa_sync_private.pfa_audit_log_default') is null then
        create table pfa_sync_private.pfa_audit_log_default (like pfa_audit_log including defaults);
        perform index_log_partition('pfa_audit_log_default');
        alter table pfa_audit_log attach partition pfa_audit_log_default default;
        return next 'pfa_audit_log_default';
    end if;
end
$$;

create function last_event() returns bigint
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select coalesce(max(l.id), 0) from pfa_audit_log l $$;

create function index_log_partition(part name) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    -- A partition is read through its parent, under the parent's policies; by itself it shows nothing.
    execute format('alter table %I enable row level security, force row level security', part);
    execute format('create index on %I (organization_id, pfa_id, id)', part);
    execute format('create index on %I (organization_id, at)', part);
    execute format('create index on %I (xid)', part);
end
$$;

-- The binding of the extension to one database and one schema of the application.

-- The schema of the application that the extension is bound to.
create table installation (
    singleton         boolean     not null default true,
    app_schema        name        not null,
    attached_version  text        not null,
    attached_at       timestamptz not null default now(),
    log_epoch         bigint      not null default 0,
    constraint installation_pkey primary key (singleton),
    constraint installation_singleton check (singleton)
);
comment on column installation.log_epoch is
    'the last entry of the log when this database was attached or adopted: up to it transaction ids may be those of '
    'another cluster';
select pg_catalog.pg_extension_config_dump('installation', '');

create table origin (
    system_identifier bigint not null,
    database_oid      oid    not null,
    constraint origin_pkey primary key (system_identifier, database_oid)
);
comment on table origin is
    'The databases that the data is of: the one in which pfa_sync was attached or adopted. Data that was restored from '
    'another database brings the row of that one, and nothing is sent until adopt().';
select pg_catalog.pg_extension_config_dump('origin', '');

-- These are in PL/pgSQL since every claim calls them: a function in SQL that is not inlined is planned at each call.
create function system_identifier() returns bigint
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select c.system_identifier from pg_control_system() c);
end
$$;

create function database_oid() returns oid
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select d.oid from pg_database d where d.datname = current_database());
end
$$;

-- Names this database among those of all clusters.
create function database_identity() returns text
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return format('%s/%s', system_identifier(), database_oid());
end
$$;

create function installed_version() returns text
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select e.extversion from pg_extension e where e.extname = 'pfa_sync');
end
$$;

-- Whether the data is of another database: this one is a copy of it, or its data was restored into this one.
create function is_copy() returns boolean
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return exists (select from origin o
                    where (o.system_identifier, o.database_oid) <> (system_identifier(), database_oid()));
end
$$;

-- Makes this database the only one that the data is of.
create function record_origin() returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    delete from origin;
    insert into origin (system_identifier, database_oid) values (system_identifier(), database_oid())
$$;

-- Raises unless attach() has bound the extension to the application's tables; the binding.
create function ensure_attached() returns installation
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here installation;
begin
    select * into here from installation;
    if not found then
        raise exception 'pfa_sync is not attached to the application''s tables'
            using errcode = 'PF004', hint = 'select * from pfa_sync.attach(); then pfa_sync.resume().';
    end if;
    return here;
end
$$;

-- Raises unless the tables and triggers are still those of attach().
create function ensure_bound(here installation, copy boolean) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    faults text[] := array(select binding_faults(here, copy));
    found  name;
begin
    if cardinality(faults) > 0 then
        -- The schema may have been renamed.
        select n.nspname into found
          from bound_table b join pg_class c on c.oid = b.relation join pg_namespace n on n.oid = c.relnamespace
         where b.table_name = 'pfa_modification' and c.relname = b.table_name;
        raise exception 'pfa_sync is no longer bound to the application''s tables: %', array_to_string(faults, '; ')
            using errcode = 'PF004',
                  hint = format('Nothing is queued or sent until select * from pfa_sync.attach(%L).',
                                coalesce(found, here.app_schema));
    end if;
end
$$;

-- The same, and raises unless the extension is attached.
create function ensure_bound() returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here installation := ensure_attached();
begin
    perform ensure_bound(here, is_copy());
end
$$;

-- Whether the extension is attached, and bound as attach() left it.
create function is_bound() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here installation;
begin
    select * into here from installation;
    return found and not exists (select from binding_faults(here, is_copy()));
end
$$;

-- Raises unless this database may send: attached, not a copy of another one, by this version, and still bound.
create function ensure_sending() returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here installation := ensure_attached();
begin
    if is_copy() then
        raise exception 'this database is a copy of the one in which pfa_sync was attached: it sends nothing to PEMS'
            using errcode = 'PF005',
                  hint = 'If this database is to write to PEMS from now on: select * from pfa_sync.adopt().';
    end if;
    if here.attached_version <> installed_version() then
        raise exception 'pfa_sync % is installed, but % is attached', installed_version(), here.attached_version
            using errcode = 'PF009', hint = 'select * from pfa_sync.attach().';
    end if;
    perform ensure_bound(here, false);
end
$$;

-- Sets sequences that are behind the ids of their tables, as logical replication leaves them; their names.
create function advance_sequences() returns setof name
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    owned  record;
    newest bigint;
begin
    for owned in
        select s.relname as sequence, s.oid::regclass as relation, t.oid::regclass as of_table, a.attname as of_column
          from pg_depend d
          join pg_class s on s.oid = d.objid and s.relkind = 'S'
          join pg_class t on t.oid = d.refobjid
          join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
         where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('i', 'a')
           and s.relnamespace = 'pfa_sync_private'::regnamespace
        union all
        select 'pfa_audit_log_id_seq', 'pfa_audit_log_id_seq'::regclass, 'pfa_audit_log'::regclass, 'id'
         order by 1
    loop
        execute format('select max(%I) from %s', owned.of_column, owned.of_table) into newest;
        -- Ids of ended changes stand in the archive.
        if owned.of_table = 'pfa_write_queue'::regclass then
            newest := greatest(newest, (select max(a.id) from pfa_write_queue_archive a));
        end if;
        if newest > coalesce(pg_sequence_last_value(owned.relation), 0) then
            perform setval(owned.relation, newest);
            return next owned.sequence;
        end if;
    end loop;
end
$$;

-- Lets this database write to PEMS: for a copy that takes the place of its original.
create function pfa_sync.adopt() returns table (object text, action text, detail text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    perform ensure_attached();
    if is_copy() then
        perform rebind();
    end if;
    perform from advance_sequences();
    update installation set log_epoch = last_event();
    perform record_origin();
    perform log_event('ADOPTED', user_id => session_user);
    return query
        select 'database ' || current_database(), 'adopted', format('%s changes are queued', count(*))
          from pfa_write_queue;
end
$$;
comment on function pfa_sync.adopt() is
    'Makes a copied database the one that sends to PEMS, after a restore that takes the place of the original. '
    'Returns a row with the number of queued changes. Event positions from before have expired. PF004: not '
    'attached.';

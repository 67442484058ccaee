-- The binding: the tables and triggers that attach() found or made, compared with those of the catalog before anything
-- relies on them. A table that was renamed and replaced, or a trigger that was dropped or disabled, would otherwise go
-- unnoticed: its commits would be neither judged nor queued.

create table bound_table (
    table_name name not null,
    relation   oid  not null,
    constraint bound_table_pkey primary key (table_name)
);
comment on table bound_table is 'The application''s tables that attach() found in installation.app_schema.';
comment on column bound_table.relation is
    'their oid: another table that takes the name is not bound. pg_upgrade keeps it, a restore does not';
select pg_catalog.pg_extension_config_dump('bound_table', '');

create table bound_trigger (
    trigger_name  name     not null,
    function_name name     not null,
    type          smallint not null,
    constraint bound_trigger_pkey primary key (trigger_name)
);
comment on table bound_trigger is 'The triggers that attach() made on pfa_modification.';
comment on column bound_trigger.function_name is 'the trigger''s function in pfa_sync_private';
comment on column bound_trigger.type is 'when it fires, as pg_trigger.tgtype';
select pg_catalog.pg_extension_config_dump('bound_trigger', '');

-- How the catalog differs from the binding, in words; no row = it does not. In a copy, the tables are known by their
-- names alone. Called by every claim: each catalog row is found by an index, which subqueries make sure of.
create function binding_faults(here installation, copy boolean) returns setof text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
    home oid;
begin
    if not exists (select from bound_table) then
        return next 'the binding is not recorded';
        return;
    end if;
    select n.oid into home from pg_namespace n where n.nspname = here.app_schema;
    return query
    with found as materialized (
        select b.table_name, b.relation,
               (select c.oid from pg_class c
                 where c.relname = b.table_name and c.relnamespace = home and c.relkind in ('r', 'p')) as oid
          from bound_table b)
    select case when f.oid is null then format('table %I.%I is missing', here.app_schema, f.table_name)
                else format('table %I.%I is not the one that was attached', here.app_schema, f.table_name) end
      from found f
     where f.oid is null or not copy and f.oid <> f.relation
    union all
    select format('trigger %I on %I.%I %s', b.trigger_name, here.app_schema, f.table_name,
                  coalesce(t.fault, 'is missing'))
      from found f
     cross join bound_trigger b
      left join lateral (
          select case when t.tgenabled not in ('O', 'A') then 'is disabled'
                      when t.tgtype <> b.type or t.tgqual is not null or t.tgattr <> ''::int2vector
                           or not exists (select from pg_proc p
                                           where p.oid = t.tgfoid and p.proname = b.function_name
                                             and p.pronamespace = 'pfa_sync_private'::regnamespace)
                           then 'is not the one that attach() makes'
                      else '' end as fault
            from pg_trigger t
           where t.tgrelid = f.oid and t.tgname = b.trigger_name
          offset 0) t on true
     where f.table_name = 'pfa_modification' and (copy or f.oid = f.relation) and t.fault is distinct from ''
     order by 1;
end
$$;

-- The bound table of modifications. That its trigger belongs to this table is all that a commit checks. The triggers
-- read it by themselves, since the call of a function costs each commit as much as the look.
create view bound_modification_table as
    select b.relation, i.app_schema as table_schema, b.table_name
      from installation i
     cross join bound_table b
     where b.table_name = 'pfa_modification';

-- Refuses a commit in a table that is not the bound one. A copy accepts commits as its original does.
create function refuse_unbound_table(table_schema name, table_name name) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    here installation := ensure_attached();
begin
    if not (table_name = 'pfa_modification' and table_schema = here.app_schema and is_copy()) then
        raise exception 'table %.% is not the one that pfa_sync is attached to', table_schema, table_name
            using errcode = 'PF004',
                  hint = format('select * from pfa_sync.attach(%L) binds the tables that are there now.',
                                here.app_schema);
    end if;
end
$$;

-- Records the tables that bear the names now: at attach(), and where a copy takes the place of its original.
create function rebind() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update bound_table b
       set relation = c.oid
      from installation i, pg_namespace n, pg_class c
     where n.nspname = i.app_schema and c.relnamespace = n.oid and c.relname = b.table_name
       and c.relkind in ('r', 'p') and c.oid <> b.relation;
end
$$;

-- Ends what waits for modifications that were taken back or deleted while no trigger watched them; how many. Called by
-- attach(), once the triggers are in place.
create function withdraw_unwatched() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    moved text[];
begin
    perform lock_modifications(array(select q.modification_id from pfa_write_queue q
                                       join modification m on m.modification_id = q.modification_id
                                      where q.status = 'pending' and m.sync_state not in ('committed', 'syncing')));
    moved := array(
        select q.modification_id from pfa_write_queue q
          left join modification m on m.modification_id = q.modification_id
         where q.status = 'pending' and coalesce(m.sync_state not in ('committed', 'syncing'), true));
    perform withdraw_queued(moved);
    perform withdraw_orphans();
    return cardinality(moved);
end
$$;

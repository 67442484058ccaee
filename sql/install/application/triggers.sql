-- The triggers on the application's modifications.

-- Before a row of pfa_modification is written; one function for all, in the library, since each call costs every row:
--   the delta is within bounds: each list of records reads it
--   the content of a committed modification stays: what is queued is what was judged
--   syncStatus and committedAt follow syncState, also when they alone were set
create function modification_stamped() returns trigger
    language c volatile security invoker as 'MODULE_PATHNAME', 'modification_stamped_wrapper';

-- Says why a row is not written. modification_stamped() calls it; an empty text stands for none. delta_fault: why the
-- delta is beyond its bounds; without one, the change of a committed modification is refused. left_organization: the
-- one that it leaves for another, where nothing else of it changes.
create function refuse_modification(modification_id text, delta_fault text, mirror_id text, left_organization text)
    returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if delta_fault <> '' then
        raise exception 'the delta of modification % %', modification_id, delta_fault
            using errcode = 'PF001', hint = 'A delta has at most 64 kB, 16 levels and numbers of 30 digits.';
    end if;
    -- Rows follow an organization whose id is changed.
    if left_organization <> '' and not organization_exists(left_organization) then
        return;
    end if;
    raise exception 'an edit of record % is committed and can''t be changed',
                    coalesce((select r.pfa_id from mirror r where r.mirror_id = refuse_modification.mirror_id),
                             '(no pfaId)')
        using errcode = 'PF003', detail = 'modification ' || modification_id,
              hint = 'Set it back to draft first ("syncState" = ''draft''), as long as it has not been sent; '
                     'or commit a further modification.';
end
$$;

-- After each statement: rows that came into committed are judged and queued, rows that left it are withdrawn.
create function modifications_inserted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    committed edit[] := array(
        select row(id, "mirrorId", "organizationId", "userId", "changeReason", "baseVersion", delta, "createdAt")::edit
          from new_rows where "syncState" = 'committed');
begin
    if cardinality(committed) > 0 then
        if not exists (select from bound_modification_table b
                        where b.relation = tg_relid and b.table_schema = tg_table_schema
                          and b.table_name = tg_table_name) then
            perform refuse_unbound_table(tg_table_schema, tg_table_name);
        end if;
        perform enqueue(committed, 'commit', true);
    end if;
    return null;
end
$$;

create function modifications_updated() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    committed edit[];
    leaving   boolean;
    withdrawn text[];
    given_up  text[];
begin
    select array(
        select row(id, "mirrorId", "organizationId", "userId", "changeReason", "baseVersion", delta, "createdAt")::edit
          from new_rows
         where "syncState" = 'committed' and id not in (select id from old_rows where "syncState" = 'committed')),
        exists (select from old_rows where "syncState" in ('committed', 'syncing', 'conflict', 'sync_error'))
      into committed, leaving;
    -- A statement that changes drafts alone, as most do, withdraws nothing and needs no join.
    if leaving then
        select array_agg(o.id) filter (
                   where o."syncState" in ('committed', 'syncing', 'conflict')
                     and coalesce(n."syncState", '') not in ('committed', 'syncing', 'conflict')),
               array_agg(o.id) filter (
                   where o."syncState" = 'sync_error' and coalesce(n."syncState", '') <> 'committed')
          into withdrawn, given_up
          from old_rows o
          left join new_rows n on n.id = o.id
         where n."syncState" is distinct from o."syncState";
    end if;
    if cardinality(committed) = 0 and withdrawn is null and given_up is null then
        return null;
    end if;
    if not exists (select from bound_modification_table b
                    where b.relation = tg_relid and b.table_schema = tg_table_schema
                      and b.table_name = tg_table_name) then
        perform refuse_unbound_table(tg_table_schema, tg_table_name);
    end if;
    if withdrawn is not null then
        perform withdraw_modifications(withdrawn);
    end if;
    if given_up is not null then
        perform close_dead_letters(given_up, 'withdrawn', null, null);
    end if;
    if cardinality(committed) > 0 then
        perform enqueue(committed, 'commit', true);
    end if;
    return null;
end
$$;

create function modifications_deleted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform withdraw_queued(array(select id from old_rows where "syncState" in ('committed', 'syncing', 'conflict')));
    perform close_dead_letters(array(select id from old_rows where "syncState" = 'sync_error'),
                               'withdrawn', null, null);
    return null;
end
$$;

create function modifications_truncated() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform withdraw_orphans();
    return null;
end
$$;

-- The triggers on pfa_modification: name, function, type (as pg_trigger.tgtype) and definition. None has a WHEN clause
-- or a list of columns: those would keep the application from changing its columns.
create function application_triggers()
    returns table (trigger_name name, function_name name, type smallint, fires text, granularity text)
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    values
        ('pfa_sync_stamped'::name, 'modification_stamped'::name, 23::smallint, 'before insert or update', 'row'),
        ('pfa_sync_inserted', 'modifications_inserted', 4,
         'after insert', 'referencing new table as new_rows for each statement'),
        ('pfa_sync_updated', 'modifications_updated', 16,
         'after update', 'referencing old table as old_rows new table as new_rows for each statement'),
        ('pfa_sync_deleted', 'modifications_deleted', 8,
         'after delete', 'referencing old table as old_rows for each statement'),
        ('pfa_sync_truncated', 'modifications_truncated', 32, 'after truncate', 'for each statement')
$$;

-- Triggers of ours on tables of the application, in whatever table: a table that was renamed keeps its own.
create function triggers_in_place() returns table (relation regclass, trigger_name name, object text)
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select t.tgrelid::regclass, t.tgname, format('trigger %I on %s', t.tgname, t.tgrelid::regclass)
      from pg_trigger t
      join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'pfa_sync_private'::regnamespace
      join pg_class c on c.oid = t.tgrelid and c.relnamespace <> 'pfa_sync_private'::regnamespace
     where not t.tgisinternal and t.tgparentid = 0
     order by 1, 2
$$;

-- Creates the triggers that are missing, and mends those that are disabled or are not as they should be.
create function create_application_triggers(app_schema name) returns table (trigger_name name, action text)
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    bound  regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted record;
    found  pg_trigger;
begin
    for wanted in select * from application_triggers() loop
        trigger_name := wanted.trigger_name;
        action := 'created';
        select t.* into found from pg_trigger t where t.tgrelid = bound and t.tgname = wanted.trigger_name;
        if found.oid is not null then
            if found.tgtype = wanted.type and found.tgqual is null and found.tgattr = ''::int2vector
               and found.tgfoid = (select p.oid from pg_proc p where p.pronamespace = 'pfa_sync_private'::regnamespace
                                                                  and p.proname = wanted.function_name) then
                continue when found.tgenabled in ('O', 'A');
                execute format('alter table %s enable trigger %I', bound, wanted.trigger_name);
                action := 'enabled';
                return next;
                continue;
            end if;
            execute format('drop trigger %I on %s', wanted.trigger_name, bound);
            action := 'replaced';
        end if;
        execute format('create trigger %I %s on %s %s execute function pfa_sync_private.%I()',
                       wanted.trigger_name, wanted.fires, bound,
                       case wanted.granularity when 'row' then 'for each row' else wanted.granularity end,
                       wanted.function_name);
        return next;
    end loop;
end
$$;

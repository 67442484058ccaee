-- The triggers on the application's modifications.

-- Before a row of pfa_modification changes state: syncStatus always follows syncState, also when it alone was set.
create function modification_stamped() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    new."syncStatus" := sync_status_of(new."syncState");
    if new."syncState" = 'committed' then
        new."committedAt" := coalesce(new."committedAt", now() at time zone 'utc');
    elsif new."syncState" = 'draft' then
        new."committedAt" := null;
        new."syncError" := null;
    end if;
    return new;
end
$$;

-- Before a delta is stored: it is listed and read with each list of records, whoever wrote it.
create function modification_bounded() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if (tg_op = 'INSERT' or new.delta is distinct from old.delta) and not is_bounded(new.delta) then
        raise exception 'the delta of modification % is larger than 64 kB, nested too deeply or has a number of more '
                        'than 30 digits', new.id using errcode = 'PF001';
    end if;
    return new;
end
$$;

-- Before the content of a committed modification would change: what is queued is what was judged.
create function modification_locked() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    raise exception 'an edit of record % is committed and can''t be changed',
                    coalesce((select r.pfa_id from mirror r where r.mirror_id = old."mirrorId"), '(no pfaId)')
        using errcode = 'PF003', detail = 'modification ' || old.id,
              hint = 'Set it back to draft first ("syncState" = ''draft''), as long as it has not been sent; or commit '
                     'a further modification.';
end
$$;

-- After each statement: rows that came into committed are judged and queued, rows that left it are withdrawn.
create function modifications_inserted() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform commit_modifications(array(select id from new_rows where "syncState" = 'committed'));
    return null;
end
$$;

create function modifications_updated() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    committed text[];
    withdrawn text[];
    given_up  text[];
begin
    select array_agg(n.id) filter (where n."syncState" = 'committed'),
           array_agg(o.id) filter (where o."syncState" in ('committed', 'syncing', 'conflict')
                                     and coalesce(n."syncState", '') not in ('committed', 'syncing', 'conflict')),
           array_agg(o.id) filter (where o."syncState" = 'sync_error' and coalesce(n."syncState", '') <> 'committed')
      into committed, withdrawn, given_up
      from new_rows n
      full join old_rows o on o.id = n.id
     where n."syncState" is distinct from o."syncState";
    perform withdraw_modifications(withdrawn);
    perform close_dead_letters(given_up, 'withdrawn', null, null);
    perform commit_modifications(committed);
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

-- Creates the triggers that are missing.
create function create_application_triggers(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    relation regclass := format('%I.pfa_modification', app_schema)::regclass;
    wanted   record;
begin
    for wanted in values
        ('pfa_sync_bounded', 'modification_bounded', 'before insert or update of delta', 'for each row'),
        ('pfa_sync_stamped_on_insert', 'modification_stamped',
         'before insert', 'for each row when (new."syncState" <> ''draft'')'),
        ('pfa_sync_stamped', 'modification_stamped',
         'before update', 'for each row when (
             new."syncState" is distinct from old."syncState" or new."syncStatus" is distinct from old."syncStatus")'),
        ('pfa_sync_locked', 'modification_locked',
         'before update', 'for each row when (
             old."syncState" in (''committed'', ''syncing'', ''conflict'') and new."syncState" <> ''draft''
             and (new.id, new."mirrorId", new."organizationId", new."userId", new.delta)
                 is distinct from (old.id, old."mirrorId", old."organizationId", old."userId", old.delta))'),
        ('pfa_sync_inserted', 'modifications_inserted',
         'after insert', 'referencing new table as new_rows for each statement'),
        ('pfa_sync_updated', 'modifications_updated',
         'after update', 'referencing old table as old_rows new table as new_rows for each statement'),
        ('pfa_sync_deleted', 'modifications_deleted',
         'after delete', 'referencing old table as old_rows for each statement')
    loop
        continue when exists (select from pg_trigger where tgrelid = relation and tgname = wanted.column1);
        execute format('create trigger %I %s on %s %s execute function pfa_sync_private.%I()',
                       wanted.column1, wanted.column3, relation, wanted.column4, wanted.column2);
        return next wanted.column1;
    end loop;
end
$$;

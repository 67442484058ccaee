-- A write queue of the application's own: an installation that tried a phase 4 of its own has a table pfa_write_queue
-- beside its others. Rows that wait there are a second writer to PEMS: attach() and check() name it.

-- That table, if it has the columns of one; null = there is none.
create function foreign_queue(app_schema name) returns regclass
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select c.oid::regclass
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = app_schema
     where c.relname = 'pfa_write_queue' and c.relkind in ('r', 'p')
       and 3 = (select count(*) from pg_attribute a
                 where a.attrelid = c.oid and a.attname in ('id', 'modificationId', 'status') and not a.attisdropped)
$$;

-- Its rows that wait or are being sent, of modifications; no row = it has none, or there is no such table.
create function foreign_rows() returns table (row_id text, modification_id text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue regclass := (select foreign_queue(i.app_schema) from installation i);
begin
    if queue is not null then
        return query execute format('select id::text, "modificationId"::text from %s '
                                    'where status::text in (''pending'', ''processing'') order by id', queue);
    end if;
end
$$;

-- What attach() and check() say of it; null = nothing. check() may not read a table that came after attach().
create function foreign_queue_notice() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue   regclass := (select foreign_queue(i.app_schema) from installation i);
    waiting bigint;
begin
    if queue is null then
        return null;
    elsif not has_table_privilege(queue, 'select') then
        return 'made after attach(), which lets pfa_sync read it: select * from pfa_sync.attach()';
    end if;
    select count(*) into waiting from foreign_rows();
    if waiting > 0 then
        return format('%s rows wait there, for a second writer to PEMS: stop it, then select * from '
                      'pfa_sync.retire_foreign_queue(''import'') or (''retire'')', waiting);
    end if;
    return null;
end
$$;

-- Makes the function that ends rows of the application's queue, as the table's owner: [{id, error}]. Called by attach()
-- where there is such a table; the function's name.
create function create_foreign_queue_function(app_schema name) returns setof name
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue regclass := foreign_queue(app_schema);
    ended text;
begin
    if queue is null then
        return;
    end if;
    select string_agg(format(', %I = %s', c.name, c.value), '') into ended
      from (values ('lastError', 'r.error'), ('completedAt', 'now() at time zone ''utc'''),
                   ('updatedAt', 'now() at time zone ''utc''')) c (name, value)
      join pg_attribute a on a.attrelid = queue and a.attname = c.name and not a.attisdropped;
    perform create_write_function('write_foreign_queue', queue::text, format($update$
        update %s q set status = 'failed'%s
          from jsonb_to_recordset(argument) r (id text, error text)
         where q.id::text = r.id and q.status::text in ('pending', 'processing') $update$, queue, ended));
    return next 'write_foreign_queue';
end
$$;

-- Ends the rows that wait in the application's own queue, by one of two actions:
--   import  pfa_sync sends the edits: what is committed is queued here, or will be after resume()
--   retire  nothing is sent: the edits are drafts again, and their authors decide
-- An edit that can't be moved (invalid, or in flight here) stays as it is, with the reason.
create function pfa_sync.retire_foreign_queue(action text)
    returns table (modification_id text, outcome text, detail text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    waiting record;
    state   text;
    ended   jsonb;
begin
    if action is null or action not in ('import', 'retire') then
        raise exception 'an action is import or retire, not %', coalesce(retire_foreign_queue.action, 'null')
            using errcode = 'PF001';
    end if;
    perform ensure_bound();
    if to_regprocedure('write_foreign_queue(jsonb)') is null then
        if (select foreign_queue(i.app_schema) from installation i) is null then
            return;
        end if;
        raise exception 'the application''s write queue was made after attach()'
            using errcode = 'PF004', hint = 'select * from pfa_sync.attach().';
    end if;
    perform lock_modifications(array(select f.modification_id from foreign_rows() f));
    for waiting in
        select f.modification_id, m.sync_state,
               exists (select from pfa_write_queue q where q.modification_id = f.modification_id) as is_queued
          from (select distinct modification_id from foreign_rows()) f
          left join modification m on m.modification_id = f.modification_id
         order by 1
    loop
        modification_id := waiting.modification_id;
        state := case when retire_foreign_queue.action = 'retire'
                           and waiting.sync_state in ('committed', 'syncing', 'conflict') then 'draft'
                      when retire_foreign_queue.action = 'import'
                           and waiting.sync_state = 'syncing' and not waiting.is_queued then 'committed' end;
        detail := null;
        begin
            if state is not null then
                perform set_sync_state(array[waiting.modification_id], state);
            end if;
        exception when others then
            if left(sqlstate, 2) in ('40', '53', '55', '57', '58') then
                raise;
            end if;
            detail := sqlerrm;
        end;
        outcome := coalesce((select m.sync_state from modification m
                              where m.modification_id = waiting.modification_id), 'unknown');
        return next;
    end loop;
    ended := (select jsonb_agg(jsonb_build_object('id', f.row_id, 'error', format(
                         case retire_foreign_queue.action when 'import' then 'pfa_sync has taken over modification %s'
                              else 'pfa_sync retired this queue; modification %s is not sent' end,
                         f.modification_id)))
                from foreign_rows() f);
    if ended is not null then
        perform write_foreign_queue(ended);
    end if;
end
$$;
comment on function pfa_sync.retire_foreign_queue(text) is
    'Ends the rows that wait in a table pfa_write_queue of the application''s own, beside its tables. import: pfa_sync '
    'sends their edits; retire: their edits are drafts again. Returns for each edit its state now, and why it could '
    'not be moved. Stop the program that works on that queue first. PF001: another action.';

-- The sweep: queues committed work that no trigger saw, from logical replication, session_replication_role, prepared
-- transactions, or before attach(). Nothing marks it, so that all committed modifications are compared with the queue:
-- at once while they are few, otherwise in a round of calls through all modifications by their ids. The application's
-- tables have no index for the rest of it.

-- How far the round has come, in one row. Not part of a dump: a new round finds the same.
create table sweep_round (
    only_row boolean not null default true,
    last_id  text    not null default '',
    constraint sweep_round_pkey primary key (only_row),
    constraint sweep_round_only_row check (only_row)
);
comment on table sweep_round is 'The round of sweep() through the modifications.';
comment on column sweep_round.last_id is 'the last modification that was looked at';
insert into sweep_round default values;

-- Queues what no trigger saw. Paused organizations are left alone. What is invalid or forbidden becomes a dead letter.
-- A portion at a time, so that no commit of the application waits long.
create function pfa_sync.sweep(max_rows int default 200)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    begun   text;
    place   text;
    sending text[];
    portion record;
    unseen  text[];
    swept   boolean;
begin
    perform require_between('max_rows', max_rows, 1, 10000);
    perform ensure_sending();
    perform refresh_plans();
    perform restore_heads();
    perform know_organizations();
    select r.last_id into begun from sweep_round r for update skip locked;
    if not found then
        return;
    end if;
    sending := array(select s.organization_id from sync_organization s where may_send(s));
    place := case when take_due_sweeps() then '' else begun end;
    select n.* into portion from next_portion(place, sending) n;
    unseen := unseen_of(portion.modification_ids, sending, max_rows);
    return query
        select e.organization_id, sum(e.queued)::bigint, sum(e.failed)::bigint
          from enqueue_unseen(lock_unseen(unseen), 'sweep') e
         where cardinality(unseen) > 0
         group by 1;
    swept := found;
    -- Of a portion that had as many as may be queued at once, there may be more.
    if not swept or cardinality(unseen) < max_rows then
        place := portion.last_id;
    end if;
    if place <> begun then
        update sweep_round r set last_id = place;
    end if;
    if not swept and place <> '' then
        return query select null::text, 0::bigint, 0::bigint;
    end if;
end
$$;
comment on function pfa_sync.sweep(int) is
    'Relay: queues committed changes that no trigger saw, of organizations that may send, max_rows at a time; invalid '
    'and forbidden ones become dead letters. Returns a row for each organization that had any: there may be more. A '
    'row without an organization: nothing so far, and a part of the committed changes is still to be looked at. No '
    'row: nothing is left, or another session holds it.';

-- Takes the sweeps that are due of organizations that may send; whether there were any.
create function take_due_sweeps() returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    with due as materialized (
        select s.organization_id from sync_organization s
         where s.sweep_due and may_send(s) order by s.organization_id for no key update skip locked)
    update sync_organization s set sweep_due = false from due d where s.organization_id = d.organization_id;
    return found;
end
$$;

-- Committed modifications of organizations to compare with the queue, not more than a few milliseconds of work: all, or
-- those among the next modifications after an id. last_id: the id to go on from; '' = there are no more after these.
create function next_portion(after text, organization_ids text[], out modification_ids text[], out last_id text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    size constant int := 1000;
begin
    modification_ids := array(
        select m.modification_id from modification m
         where m.organization_id = any (organization_ids) and m.sync_state = 'committed' limit size + 1);
    last_id := '';
    if cardinality(modification_ids) <= size then
        return;
    end if;
    with next as materialized (
        select m.modification_id, m.organization_id, m.sync_state from modification m
         where m.modification_id > after order by m.modification_id limit size)
    select coalesce(array_agg(n.modification_id) filter (
               where n.sync_state = 'committed' and n.organization_id = any (organization_ids)), '{}'),
           case when count(*) = size then (array_agg(n.modification_id))[size] else '' end
      into modification_ids, last_id
      from next n;
end
$$;

-- Of modifications and all others of their records, those that are committed and not in the queue, those of one record
-- in the order in which they were made. One whose dead letter says that its row takes no change is left alone.
create function unseen_of(modification_ids text[], organization_ids text[], max_rows int) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unseen  text[] := array(
        select i from unnest(modification_ids) i
         where not exists (select from pfa_write_queue q where q.modification_id = i));
    records text[];
begin
    if cardinality(unseen) = 0 then
        return '{}';
    end if;
    records := array(select m.mirror_id from modification m where m.modification_id = any (unseen));
    return array(
        select m.modification_id from modification m
         where m.mirror_id = any (records) and m.organization_id = any (organization_ids)
           and m.sync_state = 'committed'
           and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
           and not exists (select from pfa_write_queue_dlq d
                            where d.modification_id = m.modification_id and d.status = 'open'
                              and d.code = 'NOT_RECORDED')
         order by m.mirror_id, m.created_at, m.modification_id limit max_rows);
end
$$;

-- Queues committed modifications that no trigger saw, singly where that fails: a modification that can't be judged ends
-- as sync_error with the reason, and does not block the others. The caller has locked them. One whose dead letter says
-- that its row takes no change is left alone.
create function enqueue_unseen(modification_ids text[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    unseen text[] := array(
        select i from unnest(modification_ids) i
         where not exists (select from pfa_write_queue_dlq d
                            where d.modification_id = i and d.status = 'open' and d.code = 'NOT_RECORDED'));
begin
    return query select * from enqueue_whole(unseen, kind);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    return query
        select e.* from jsonb_to_recordset(apply_singly('enqueue', to_jsonb(unseen), jsonb_build_object('kind', kind)))
            e (organization_id text, queued bigint, failed bigint);
end
$$;

-- The same, all or none.
create function enqueue_whole(modification_ids text[], kind text)
    returns table (organization_id text, queued bigint, failed bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if cardinality(modification_ids) = 0 then
        return;
    end if;
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', m.modification_id, 'syncStatus', 'queued'))
          from modification m where m.modification_id = any (modification_ids) and m.sync_status <> 'queued'));
    return query select * from unnest(enqueue(edits_of(modification_ids), kind, false));
end
$$;

-- Gives a head to records that wait without one: a commit on an older snapshot (repeatable read) does not see that the
-- row that it queued behind has ended.
create function restore_heads() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    headless text[];
begin
    headless := lock_records(array(
        select q.mirror_id from pfa_write_queue q
         where not q.head
           and not exists (select from pfa_write_queue h
                            where h.mirror_id = q.mirror_id and place_in_record(h.head, h.id) = 0)),
        skip_locked => true);
    perform promote_heads(headless, array_fill(0::bigint, array[cardinality(headless)]));
end
$$;

-- One bad record never blocks the others: work on a set that fails, since Postgres refuses one of its records, is done
-- again in halves down to that record, which ends with its reason. Such a record has a number that its column does not
-- take, or a row that a CHECK constraint or a trigger of the application refuses.

-- Whether an error says nothing about a record: transaction rollback, insufficient resources, object not in
-- prerequisite state, operator intervention, system error, invalid transaction state, a missing privilege, and ours of
-- a database that is not attached, a copy, or upgraded. Such an error is raised, and the caller tries again.
create function is_transient(sqlstate text) returns boolean
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select left(sqlstate, 2) in ('25', '40', '53', '55', '57', '58')
        or sqlstate in ('42501', 'PF004', 'PF005', 'PF007', 'PF009')
$$;

-- Does an operation on items, a JSON array, in halves where it fails; the results, a JSON array. context: what the
-- operation needs besides.
create function apply_singly(operation text, items jsonb, context jsonb default null) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    middle int := jsonb_array_length(items) / 2;
    reason text;
begin
    begin
        return apply_operation(operation, items, context);
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
        reason := sqlerrm;
    end;
    if middle = 0 then
        return refuse_item(operation, items->0, context, reason);
    end if;
    return apply_singly(operation, jsonb_path_query_array(items, '$[0 to $n]', jsonb_build_object('n', middle - 1)),
                        context)
        || apply_singly(operation, jsonb_path_query_array(items, '$[$n to last]', jsonb_build_object('n', middle)),
                        context);
end
$$;

-- The operations, on items of their own kind:
--   judge     queue ids; the requests that are left
--   state     queue ids whose modifications get the state of the context; nothing
--   enqueue   modification ids; how many were queued and failed in each organization
--   complete  completions; nothing
--   fail      failures; nothing
--   read      items of a report on records that were read; nothing
--   promote   inbound records; what promote_records() counts
--   missing   answers about records that a pull did not meet; how many were marked
create function apply_operation(operation text, items jsonb, context jsonb) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    ids text[] := array(select i from jsonb_array_elements_text(items) i
                         where operation in ('judge', 'state', 'enqueue'));
begin
    case operation
    when 'judge' then
        return (select coalesce(jsonb_agg(j), '[]') from judge_queued(ids::bigint[], context->>'detected') j);
    when 'state' then
        perform set_sync_state(array(select q.modification_id from pfa_write_queue q
                                      where q.id = any (ids::bigint[])), context->>'state');
    when 'enqueue' then
        return (select coalesce(jsonb_agg(e), '[]') from enqueue_whole(ids, context->>'kind') e);
    when 'complete' then
        perform finalize_completed(array(select c from jsonb_populate_recordset(null::completion, items) c));
    when 'fail' then
        perform apply_failures(array(select f from jsonb_populate_recordset(null::failure, items) f));
    when 'read' then
        perform judge_read_items(array(select i from jsonb_populate_recordset(null::report_item, items) i),
                                 (context->>'reconciling')::boolean);
    when 'promote' then
        return (select jsonb_build_array(to_jsonb(p)) from promote_records(
            context->>'organization_id', array(select r from jsonb_populate_recordset(null::inbound_record, items) r),
            context->>'source', (context->>'pull_id')::bigint) p);
    when 'missing' then
        return jsonb_build_array(take_missing(context->>'organization_id', items));
    end case;
    return '[]';
end
$$;

-- What becomes of an item that can't be done by itself.
create function refuse_item(operation text, item jsonb, context jsonb, reason text) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    case operation
    when 'judge' then
        perform refuse_change((item #>> '{}')::bigint, 'UNREADABLE', format('the change can''t be judged: %s', reason));
    when 'state' then
        perform refuse_change((item #>> '{}')::bigint, 'NOT_RECORDED',
                              format('the modification can''t be marked as %s: %s', context->>'state', reason));
        return jsonb_build_array(item);
    when 'enqueue' then
        perform refuse_modification(item #>> '{}', format('the change can''t be judged: %s', reason));
    when 'complete' then
        perform refuse_change((item->>'queue_id')::bigint, 'NOT_RECORDED',
                              format('PEMS confirmed it, which can''t be recorded: %s', reason), item->'response');
        return jsonb_build_array(item->'queue_id');
    when 'fail', 'read' then
        perform refuse_change((item->>'queue_id')::bigint, 'NOT_RECORDED',
                              format('PEMS'' answer can''t be recorded: %s', reason), item->'response');
    when 'promote' then
        return jsonb_build_array(jsonb_build_object('refused', jsonb_build_object(
            'row', item->'row_number', 'pfaId', item->'pfa_id', 'reason', format('can''t be stored: %s', reason))));
    when 'missing' then
        perform log_event('RECORD_REFUSED', context->>'organization_id', success => false, pfa_id => item->>'pfa_id',
                          error => format('it can''t be marked discontinued: %s', reason));
    end case;
    return '[]';
end
$$;

-- Ends a change as a dead letter. Where the application's table refuses any change of the modification, that stays as
-- it is, and check() names it.
create function refuse_change(queue_id bigint, code text, reason text, response jsonb default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    dead dead_letter[] := array[row(queue_id, code, reason, null, response)::dead_letter];
begin
    perform finalize_dead_letters(dead);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    perform record_dead_letters(dead);
end
$$;

-- Ends a modification that can't be queued; where its table refuses any change of it, the log says so, once.
create function refuse_modification(modification_id text, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform change_modifications(jsonb_build_array(jsonb_build_object('id', modification_id, 'syncState', 'sync_error',
                                                                      'syncError', reason)));
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    perform log_event('RECORD_REFUSED', m.organization_id, m.user_id, success => false, pfa_id => r.pfa_id,
                      modification_id => m.modification_id, error => reason)
       from modification m
       left join mirror r on r.mirror_id = m.mirror_id
      where m.modification_id = refuse_modification.modification_id
        and not exists (select from pfa_audit_log l
                         where l.organization_id = m.organization_id and l.pfa_id is not distinct from r.pfa_id
                           and l.modification_id = m.modification_id and l.event_type = 'RECORD_REFUSED');
end
$$;

-- Ends changes that PEMS confirmed; the ids of those that can't be recorded.
create function finalize_completed_singly(written completion[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    begin
        perform finalize_completed(written);
        return '{}';
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
    end;
    return array(select i::bigint from jsonb_array_elements_text(apply_singly('complete', to_jsonb(written))) i);
end
$$;

-- Does what was decided of failed tries.
create function apply_failures_singly(failures failure[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform apply_failures(failures);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    perform apply_singly('fail', to_jsonb(failures));
end
$$;

-- Ends the changes of items that report_items() could not read; their ids.
create function refuse_unreadable(items report_item[], claimed bigint[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    refused bigint[] := array(select i.queue_id from unnest(items) i
                               where i.problem is not null and i.queue_id = any (claimed));
begin
    perform refuse_change(i.queue_id, 'NOT_RECORDED', format('PEMS'' answer can''t be read: %s', i.problem), i.response)
       from unnest(items) i where i.queue_id = any (refused);
    return refused;
end
$$;

-- Sets the state of the modifications of queued changes; the ids of those that can't be, which have ended.
create function set_state_singly(queue_ids bigint[], sync_state text) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    begin
        perform set_sync_state(array(select q.modification_id from pfa_write_queue q where q.id = any (queue_ids)),
                               sync_state);
        return '{}';
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
    end;
    return array(select i::bigint from jsonb_array_elements_text(apply_singly(
                     'state', to_jsonb(queue_ids), jsonb_build_object('state', sync_state))) i);
end
$$;

-- Marks the changes of requests as syncing; the requests of those that can be.
create function mark_syncing(requests pending_request[]) returns pending_request[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    refused bigint[] := set_state_singly(array(select r.queue_id from unnest(requests) r), 'syncing');
begin
    if refused = '{}' then
        return requests;
    end if;
    return array(select row(r.queue_id, r.to_send, r.version)::pending_request
                   from unnest(requests) with ordinality r (queue_id, to_send, version, place)
                  where r.queue_id <> all (refused) order by r.place);
end
$$;

-- The resolution of one conflict by a person.

-- A conflict as it stands now: what a person needs to decide, and what the answer to a refused resolution holds.
create function pfa_sync.conflict_state(conflict_id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_bound();
    return (
        select masked(jsonb_build_object('conflict_id', c.id, 'organization_id', c.organization_id, 'pfa_id', c.pfa_id,
                   'modification_id', c.modification_id, 'author', c.author, 'detected', c.detected,
                   'message', masked(c.message, c.organization_id), 'created_at', c.created_at, 'status', c.status,
                   'resolution', c.resolution, 'resolved_by', c.resolved_by, 'version', r.version, 'code', c.code,
                   'meaning', why.meaning, 'action', why.action, 'state', record_state(c.mirror_id),
                   'author_name', coalesce((select user_names())->>c.author, c.author),
                   'resolved_by_name', coalesce((select user_names())->>c.resolved_by, c.resolved_by),
                   'detected_version', c.mirror_version,
                   'fields', (select jsonb_agg(jsonb_build_object('field', k, 'conflict', k = any (c.conflict_fields),
                                         'base', c.base_data->k, 'ours', c.local_data->k, 'theirs', t.theirs->k)
                                         order by k)
                                from jsonb_object_keys(c.local_data) k)), c.organization_id)
          from pfa_sync_conflict c
          left join cause why on why.code = c.code
          left join mirror r on r.mirror_id = c.mirror_id
         cross join lateral (select with_queued(c.mirror_id, coalesce(r.data, c.pems_data))) t (theirs)
         where c.id = conflict_id and can_see(c.organization_id));
end
$$;
comment on function pfa_sync.conflict_state(bigint) is
    'A conflict as it stands now, open or resolved, as JSON: status, versions, state (for resolve_conflict()), and '
    'base, ours and theirs of each changed field. Null: no such conflict, or not visible to this session.';

-- Resolves one conflict: use_local (our values), use_pems (theirs; the whole change is given up) or merge (merged names
-- a value for each conflict field; the other changed fields stay). expected_state is the state of the record that the
-- caller looked at, by default the one in which the conflict was found. Returns what will be sent.
-- Refused with PF006, and the current state in DETAIL, when either side has moved since, or another edit was queued.
create function pfa_sync.resolve_conflict(conflict_id bigint, resolution text, resolved_by text,
                                          merged jsonb default null, expected_state text default null)
    returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor    text := acting_user(resolved_by);
    conflict pfa_sync_conflict;
    judged   judgement;
    job      bigint;
begin
    perform require_resolution(resolution);
    perform lock_conflicts(array[conflict_id]);
    select * into conflict from pfa_sync_conflict c where c.id = conflict_id;
    if not found or not can_see(conflict.organization_id) then
        raise exception 'there is no conflict %', conflict_id using errcode = 'PF008';
    end if;
    perform require_permission(actor, conflict.organization_id, 'perm_Sync');
    if conflict.status <> 'unresolved' then
        raise exception 'conflict % was resolved by % already', conflict_id, conflict.resolved_by
            using errcode = 'PF006', detail = conflict_state(conflict_id)::text;
    end if;
    if has_moved(conflict.mirror_id, coalesce(expected_state, format('%s.%s', conflict.mirror_version,
                                                                     conflict.queue_id))) then
        raise exception 'record % has changed since you looked at conflict %: %', conflict.pfa_id, conflict_id,
                        coalesce('its version is ' || (select r.version from mirror r
                                                        where r.mirror_id = conflict.mirror_id)
                                 || '; edits may be queued', 'it does not exist any more')
            using errcode = 'PF006', detail = conflict_state(conflict_id)::text,
                  hint = 'Look at the current values in DETAIL and resolve with their state as expected_state.';
    end if;
    perform require_merged(conflict, resolution, merged, actor);
    select * into judged from judge_resolutions(array[conflict_id], resolution, actor, acts_as_dba(actor), merged);
    perform refuse(array[judged]);
    job := start_bulk_job('resolution', conflict.organization_id, actor,
                          array[row(conflict.id, conflict.mirror_id, conflict.pfa_id, conflict.modification_id,
                                    null)::bulk_target], jsonb_build_object('resolution', resolution));
    perform apply_resolutions(array[judged], resolution, actor, job);
    perform end_items(job, 'done');
    return jsonb_build_object('conflict', conflict_id, 'resolution', resolution, 'resolved_by', actor, 'job', job,
        'resolved_at', now(), 'modification', judged.modification_id, 'operation', judged.operation,
        'changes', masked(judged.to_send, conflict.organization_id));
end
$$;
comment on function pfa_sync.resolve_conflict(bigint, text, text, jsonb, text) is
    'Resolves a conflict. use_local: our values are sent; use_pems: the whole change is given up; merge: merged '
    'has a value for each conflict field, the other changed fields are sent as they are. expected_state: state of '
    'the record that was looked at (see conflict_state()), by default the one in which the conflict was found. '
    'Returns what will be sent, as JSON. Needs perm_Sync, and the permissions of the fields that are sent. PF001: '
    'other resolution, other fields, or no state; PF002: permission missing; PF006: resolved already, or the record '
    'has moved on or has another edit queued, with the current state as JSON in DETAIL; PF008: no such conflict.';

-- Raises PF001 unless it is a resolution.
create function require_resolution(resolution text) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if resolution is null or resolution not in ('use_local', 'use_pems', 'merge') then
        raise exception 'a resolution is use_local, use_pems or merge, not %', coalesce(resolution, 'null')
            using errcode = 'PF001';
    end if;
end
$$;

-- Raises PF001 unless merged values are given with a merge, and only then: one for each field in conflict; PF002 for a
-- price where the user may not see prices.
create function require_merged(conflict pfa_sync_conflict, resolution text, merged jsonb, actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if resolution = 'merge' and not coalesce(jsonb_typeof(merged) = 'object'
            and array(select jsonb_object_keys(merged) order by 1)
              = array(select unnest(conflict.conflict_fields) order by 1), false) then
        raise exception 'merge takes a value for each conflict field and no other: %',
                        array_to_string(conflict.conflict_fields, ', ') using errcode = 'PF001';
    end if;
    if resolution <> 'merge' and merged is not null then
        raise exception 'merged values come with the resolution merge only' using errcode = 'PF001';
    end if;
    if merged is not null then
        perform require_delta(merged);
    end if;
    -- Who does not see a price can't have chosen it: what a form sends for it would replace it.
    if exists (select from field_rules f where f.price and merged ? f.name) then
        perform require_permission(actor, conflict.organization_id, 'perm_ViewFinancials');
    end if;
end
$$;

-- What a resolution would send, and why it would be refused. Nothing is stored.
create function pfa_sync.check_resolution(conflict_id bigint, resolution text, merged jsonb default null,
                                          user_id text default null) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor    text := acting_user(user_id);
    conflict pfa_sync_conflict;
    judged   judgement;
    present  jsonb;
    sends    jsonb;
begin
    perform require_resolution(resolution);
    select * into conflict from pfa_sync_conflict c where c.id = conflict_id;
    if not found or not can_see(conflict.organization_id) then
        raise exception 'there is no conflict %', conflict_id using errcode = 'PF008';
    end if;
    if conflict.status <> 'unresolved' then
        raise exception 'conflict % was resolved by % already', conflict_id, conflict.resolved_by
            using errcode = 'PF006', detail = conflict_state(conflict_id)::text;
    end if;
    perform require_merged(conflict, resolution, merged, actor);
    select * into judged from judge_resolutions(array[conflict_id], resolution, actor, acts_as_dba(actor), merged);
    sends := masked(coalesce(judged.to_send, '{}'), conflict.organization_id);
    present := (select with_queued(r.mirror_id, r.data) from mirror r where r.mirror_id = conflict.mirror_id);
    return jsonb_build_object('operation', judged.operation,
               'errors', (select coalesce(jsonb_agg(e.fault || jsonb_build_object(
                                     'message', masked(e.fault->>'message', conflict.organization_id))), '[]')
                            from jsonb_array_elements(judged.errors) e (fault)),
               'missing_permissions', to_jsonb(coalesce(judged.missing, '{}')
                   || case when 'perm_Sync' = any (acting_permissions(actor, conflict.organization_id))
                           is not false then '{}' else '{perm_Sync}' end::text[]),
               'sends', sends, 'sends_hidden', sends <> coalesce(judged.to_send, '{}'))
        || case when can_see(conflict.organization_id, 'perm_ViewFinancials')
                then jsonb_build_object('cost', cost(present),
                                        'cost_after', cost(present || coalesce(judged.to_send, '{}')))
                else '{}' end;
end
$$;
comment on function pfa_sync.check_resolution(bigint, text, jsonb, text) is
    'What resolve_conflict() would send now, as JSON: operation, sends (fields and values; sends_hidden: and prices '
    'that the user may not see), errors and missing_permissions for which it would be refused; for users who may see '
    'prices, the forecast cost of the record and what it would be (cost, cost_after). Stores nothing. PF001: other '
    'resolution or fields; PF006: resolved already; PF008: no such conflict.';

-- Ends conflicts as resolved and queues what their resolution sends, as changes of a job. The caller holds the locks
-- and has judged. The conflict ends first and the modification passes through draft, so that the triggers see an
-- ordinary change of ours.
create function apply_resolutions(judgements judgement[], resolution text, actor text, job bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    sending judgement[] := array(select j from unnest(judgements) j where j.to_send <> '{}');
begin
    perform log_event('CONFLICT_RESOLVED', j.organization_id, actor, pfa_id => j.pfa_id,
                      modification_id => j.modification_id, job_id => apply_resolutions.job,
                      changes => jsonb_build_object('resolution', apply_resolutions.resolution, 'sends', j.to_send))
       from (select * from unnest(judgements) order by modification_id) j;
    update pfa_sync_conflict c
       set status = 'resolved_manual', resolution = apply_resolutions.resolution, resolved_by = actor,
           resolved_at = now(), merged_data = case when apply_resolutions.resolution = 'merge' then j.delta end
      from unnest(judgements) j
     where c.modification_id = j.modification_id and c.status = 'unresolved';
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', j.modification_id, 'syncState', 'draft', 'delta', j.delta,
                                            'baseVersion', j.base_version))
          from unnest(sending) j));
    perform enqueue_judged(sending, 'resolution', kinds_of(sending), job);
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', j.modification_id,
                   'syncState', case when j.to_send = '{}' then 'synced' else 'committed' end,
                   'syncedAt', case when j.to_send = '{}' then now() at time zone 'utc' end))
          from unnest(judgements) j));
end
$$;

-- Locks the modifications and records of conflicts, then the conflicts that are still open, in the lock order; the ids
-- of those.
create function lock_conflicts(conflict_ids bigint[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform lock_together(
        array(select c.modification_id from pfa_sync_conflict c where c.id = any (conflict_ids)),
        array(select c.mirror_id from pfa_sync_conflict c where c.id = any (conflict_ids)));
    return array(select c.id from pfa_sync_conflict c where c.id = any (conflict_ids) and c.status = 'unresolved'
                  order by c.id for update);
end
$$;

-- Closes the open conflicts of modifications that were withdrawn, deleted or committed again: nothing was decided.
-- actor null = the session's user; passing session_user would give all parameters its collation, which no index has.
create function close_conflicts(modification_ids text[], actor text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pfa_sync_conflict c
       set status = 'resolved_manual', resolved_by = coalesce(actor, session_user), resolved_at = now()
     where c.modification_id = any (modification_ids) and c.status = 'unresolved';
end
$$;

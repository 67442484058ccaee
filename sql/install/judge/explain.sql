-- What a modification would do, for people.

-- Everything about one modification before it is committed, or as it stands.
create function pfa_sync.explain(modification_id text) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    judged judgement;
    change record;
    others jsonb;
begin
    perform ensure_bound();
    select * into change from modification m where m.modification_id = explain.modification_id;
    if not found or not can_see(change.organization_id) then
        raise exception 'there is no modification %', modification_id using errcode = 'PF008';
    end if;
    judged := (judge_modifications(array[modification_id]))[1];
    if judged.theirs is null then
        judged.theirs := (
            select with_pfa_id(r.data, r.pfa_id) || queued_fields(r.mirror_id, explain.modification_id)
              from mirror r where r.mirror_id = change.mirror_id);
    end if;
    others := (
        select coalesce(jsonb_agg(jsonb_build_object('modification_id', m.modification_id, 'user_id', m.user_id,
                   'user_name', coalesce(u.name, m.user_id), 'state', m.sync_state,
                   'fields', array(select k from jsonb_object_keys(m.delta) k order by k))
                   order by m.created_at, m.modification_id), '[]')
          from modification m
          left join users u on u.user_id = m.user_id
         where m.mirror_id = change.mirror_id and m.modification_id <> change.modification_id
           and m.sync_state in ('draft', 'committed', 'syncing', 'conflict'));
    return masked(jsonb_build_object(
        'valid', judged.errors = '[]',
        'errors', judged.errors,
        'warnings', (select coalesce(jsonb_agg(to_jsonb(w)), '[]')
                       from validate(judged.theirs, change.delta, 'warning') w),
        'permitted', judged.missing = '{}',
        'missing_permissions', to_jsonb(judged.missing),
        'conflicts', conflict_values(judged.conflicts, judged.base, judged.delta, judged.seen),
        'request', jsonb_build_object('operation', judged.operation, 'changes', judged.to_send),
        'others', others), change.organization_id);
end
$$;
comment on function pfa_sync.explain(text) is
    'Explains a modification, draft or committed: valid, errors, warnings, permitted, missing_permissions, '
    'conflicts with base, ours and theirs of each field, the request that would be sent, and other edits of the '
    'record. Stores nothing. PF008: no such modification, or not visible to this session.';

-- Conflict fields with their three values: [{field, base, ours, theirs}].
create function conflict_values(fields text[], base jsonb, ours jsonb, theirs jsonb) returns jsonb
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object('field', f, 'base', base->f, 'ours', ours->f, 'theirs', theirs->f)
                              order by f), '[]')
      from unnest(fields) f
$$;

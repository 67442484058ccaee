-- Drafts: saved, committed and discarded; and the state of modifications.

create table draft_writer (
    user_id text not null,
    constraint draft_writer_pkey primary key (user_id)
);
comment on table draft_writer is
    'Users that have saved drafts. Their row is locked while they save one: two saves at once would each find no draft '
    'and make one. An advisory lock could be taken by any session.';

-- Saves an edit as the author's draft of the record: into the draft that exists, else into a new one. Returns what the
-- commit would find now; nothing of that is stored.
create function pfa_sync.save_draft(organization text, user_id text, pfa_id text, delta jsonb,
                                    reason text default null, session_id text default null)
    returns table (modification_id text, conflicts jsonb, errors jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    target record;
    draft  record;
begin
    perform require_permission(actor, scope, 'perm_SaveDraft');
    perform require_delta(delta);
    perform require_text('reason', reason, 2000);
    perform require_text('session_id', session_id, 200);
    select * into target from mirror r where r.organization_id = scope and r.pfa_id = save_draft.pfa_id;
    if not found then
        raise exception 'organization % has no record %', organization, save_draft.pfa_id using errcode = 'PF008';
    end if;
    insert into draft_writer (user_id) values (actor) on conflict do nothing;
    perform from draft_writer w where w.user_id = actor for no key update;
    loop
        select m.* into draft from modification m
         where m.mirror_id = target.mirror_id and m.user_id = actor and m.sync_state = 'draft'
           and (save_draft.session_id is null or m.session_id is not distinct from save_draft.session_id)
         order by m.created_at desc, m.modification_id limit 1;
        exit when not found;
        -- The application may have changed or committed it meanwhile.
        perform lock_modifications(array[draft.modification_id]);
        select m.* into draft from modification m
         where m.modification_id = draft.modification_id and m.sync_state = 'draft';
        exit when found;
    end loop;
    if draft.modification_id is null then
        draft.modification_id := gen_random_uuid()::text;
        perform write_drafts(jsonb_build_array(jsonb_build_object('id', draft.modification_id,
            'mirrorId', target.mirror_id, 'organizationId', scope, 'userId', actor, 'delta', save_draft.delta,
            'sessionId', save_draft.session_id, 'baseVersion', target.version, 'changeReason', reason)));
    else
        perform change_modifications(jsonb_build_array(jsonb_build_object('id', draft.modification_id,
            'delta', draft.delta || save_draft.delta, 'changeReason', coalesce(reason, draft.change_reason))));
    end if;
    return query
        select j.modification_id, masked(conflict_values(j.conflicts, j.base, j.delta, j.seen), scope), j.errors
          from unnest(judge_modifications(array[draft.modification_id])) j;
end
$$;
comment on function pfa_sync.save_draft(text, text, text, jsonb, text, text) is
    'Saves an edit as the user''s draft of a record: into an existing draft, else as a new one based on the '
    'record as it is. organization: id or code. Returns the modification''s id, and the conflicts and errors that '
    'a commit would have now. Needs perm_SaveDraft. PF001: the delta is not a JSON object; PF002: permission '
    'missing; PF008: no such organization or record.';

-- Raises PF001 unless a delta is an object of known fields with short scalar values. What a user hands in is read again
-- with each list of records, so it is bounded before it is stored; whether it is valid is judged later.
create function require_delta(delta jsonb) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    fault text;
begin
    if jsonb_typeof(delta) is distinct from 'object' then
        raise exception 'a delta is a JSON object of changed fields, not %', coalesce(jsonb_typeof(delta), 'null')
            using errcode = 'PF001';
    end if;
    select format('%s %s', case when length(e.key) <= 40 then e.key else left(e.key, 40) || '…' end, f.fault) into fault
      from jsonb_each(delta) e
     cross join lateral (
         select case when not exists (select from field_rules r where r.name = e.key)
                         then 'is not a field of a PFA record'
                     when jsonb_typeof(e.value) in ('array', 'object') then 'must be a single value'
                     else bound_fault(e.value) end) f (fault)
     where f.fault is not null
     order by e.key limit 1;
    if found then
        raise exception '%', fault using errcode = 'PF001', hint = 'pfa_sync.field_rules lists the fields.';
    end if;
end
$$;

-- The author's drafts of some records (null = all) and of one session (null = all), locked.
create function drafts_of(organization_id text, user_id text, pfa_ids text[], session_id text) returns text[]
    language plpgsql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    drafts text[];
begin
    perform ensure_bound();
    drafts := array(
        select m.modification_id from modification m
         where m.organization_id = drafts_of.organization_id and m.user_id = drafts_of.user_id
           and m.sync_state = 'draft'
           and (drafts_of.session_id is null or m.session_id = drafts_of.session_id)
           and (pfa_ids is null
                or m.mirror_id in (select r.mirror_id from mirror r
                                    where r.organization_id = drafts_of.organization_id
                                      and r.pfa_id = any (pfa_ids))));
    perform lock_together(drafts, array(select m.mirror_id from modification m
                                         where m.modification_id = any (drafts)));
    -- Another session may have committed one meanwhile.
    return array(select m.modification_id from modification m
                  where m.modification_id = any (drafts) and m.sync_state = 'draft' order by 1);
end
$$;

-- Commits a user's drafts. One verdict a record: queued, synced (PEMS holds the values already), conflict; with
-- skip_invalid also invalid and forbidden, whose drafts stay; without, one of those fails the call and nothing is
-- committed.
create function pfa_sync.commit_drafts(organization text, user_id text, pfa_ids text[] default null,
                                       session_id text default null, skip_invalid boolean default false)
    returns table (pfa_id text, modification_id text, verdict text, errors jsonb, missing_permissions text[],
                   conflicts jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    drafts  text[] := drafts_of(scope, actor, pfa_ids, session_id);
    refused judgement[] := '{}';
begin
    if skip_invalid then
        refused := array(select j from unnest(judge_modifications(drafts)) j where j.outcome = 'failed');
        drafts := array(select unnest(drafts) except select j.modification_id from unnest(refused) j);
    end if;
    perform set_sync_state(drafts, 'committed');
    return query
        select coalesce(j.pfa_id, ''), j.modification_id,
               case when j.errors <> '[]' then 'invalid' else 'forbidden' end, j.errors, j.missing, '[]'::jsonb
          from unnest(refused) j
        union all
        select coalesce(r.pfa_id, ''), m.modification_id, m.sync_status, '[]', '{}',
               coalesce(masked(conflict_values(c.conflict_fields, c.base_data, c.local_data, c.pems_data), scope), '[]')
          from modification m
          join mirror r on r.mirror_id = m.mirror_id
          left join pfa_sync_conflict c on c.modification_id = m.modification_id and c.status = 'unresolved'
         where m.modification_id = any (drafts)
         order by 1, 2;
end
$$;
comment on function pfa_sync.commit_drafts(text, text, text[], text, boolean) is
    'Commits the user''s drafts in an organization: those of some records (pfa_ids), of one session, or all. '
    'Returns a row for each: verdict queued, synced (PEMS holds the values already) or conflict, with the '
    'conflicts. Without skip_invalid, one invalid or forbidden draft fails the call and nothing is committed '
    '(PF001, PF002, with all of them as JSON in DETAIL). With skip_invalid these are returned as invalid or '
    'forbidden and stay drafts. Needs perm_Sync and the permission of each field.';

create function pfa_sync.discard_drafts(organization text, user_id text, pfa_ids text[] default null,
                                        session_id text default null)
    returns table (pfa_id text, modification_id text, verdict text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    drafts text[] := drafts_of(scope, acting_user(user_id), pfa_ids, session_id);
begin
    perform set_sync_state(drafts, 'discarded');
    return query
        select coalesce(r.pfa_id, ''), m.modification_id, m.sync_state
          from modification m
          join mirror r on r.mirror_id = m.mirror_id
         where m.modification_id = any (drafts) order by 1, 2;
end
$$;
comment on function pfa_sync.discard_drafts(text, text, text[], text) is
    'Discards the user''s drafts in an organization: those of some records (pfa_ids), of one session, or all. '
    'Returns a row for each, with verdict discarded.';

create function pfa_sync.state(modification_ids text[])
    returns table (modification_id text, sync_state text, sync_status text, queue_status text,
                   scheduled_at timestamptz, retry_count int, error text, conflict_id bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    perform ensure_bound();
    return query
        select m.modification_id, m.sync_state, m.sync_status, q.status, q.scheduled_at, q.retry_count,
               masked(coalesce(q.last_error, m.sync_error), m.organization_id), c.id
          from modification m
          left join pfa_write_queue q on q.modification_id = m.modification_id
          left join pfa_sync_conflict c on c.modification_id = m.modification_id and c.status = 'unresolved'
         where m.modification_id = any (modification_ids) and can_see(m.organization_id)
         order by 1;
end
$$;
comment on function pfa_sync.state(text[]) is
    'Where modifications stand: state and status, status and due time of the queue row, retries used, last error, '
    'and id of an open conflict. Modifications that the session may not see are left out.';

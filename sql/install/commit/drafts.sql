-- Drafts: committed and discarded; and the state of modifications.

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
                   conflicts jsonb, job_id bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    priced  boolean := can_see(scope, 'perm_ViewFinancials');
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
               case when j.errors <> '[]' then 'invalid' else 'forbidden' end, j.errors, j.missing, '[]'::jsonb,
               null::bigint
          from unnest(refused) j
        union all
        select coalesce(r.pfa_id, ''), m.modification_id, m.sync_status, '[]', '{}',
               coalesce(masked(conflict_values(c.conflict_fields, c.base_data, c.local_data, c.pems_data), priced),
                        '[]'),
               -- What this statement ended stands in the archive, behind earlier ends of the same modification.
               coalesce((select q.job_id from pfa_write_queue q where q.modification_id = m.modification_id),
                        (select a.job_id from pfa_write_queue_archive a
                          where a.modification_id = m.modification_id order by a.id desc limit 1))
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
    'forbidden and stay drafts. job_id: the job that the record''s change belongs to; null: nothing was queued. Needs '
    'perm_Sync and the permission of each field.';

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

-- One record with all that is known of it.

-- The record as PEMS has it, what is laid over it, and everything that is under way for it, as a user sees it.
create function pfa_sync.record(organization text, pfa_id text, user_id text default null)
    returns table (organization_id text, version int, data jsonb, merged jsonb, state text, states text[],
                   changed_fields text[], draft jsonb, others jsonb, queue jsonb, conflict_id bigint,
                   dead_letter_id bigint, pems_version text, synced_at timestamptz)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    priced boolean;
    found  record;
begin
    perform require_permission(actor, scope, 'perm_Read');
    priced := can_see(scope, 'perm_ViewFinancials');
    select r.* into found from mirror r where r.organization_id = scope and r.pfa_id = record.pfa_id;
    if found.mirror_id is null then
        raise exception 'organization % has no record %', organization, left(record.pfa_id, 100)
            using errcode = 'PF008';
    end if;
    return query
    with change as materialized (
        select m.*, sync_status_of(m.sync_state) as word, u.name,
               m.sync_state <> 'draft' or m.user_id = actor as shown, jsonb_typeof(m.delta) = 'object' as laid
          from modification m
          left join users u on u.user_id = m.user_id
         where m.mirror_id = found.mirror_id
           and m.sync_state in ('draft', 'committed', 'syncing', 'conflict', 'sync_error')),
    whole as (
        select jsonb_overlay(c.delta order by c.sync_state = 'draft', c.committed_at, c.created_at, c.modification_id)
                   filter (where c.laid and c.shown and c.sync_state in ('draft', 'committed', 'syncing')) as delta,
               case when bool_or(c.sync_state = 'syncing') then 'syncing'
                    when bool_or(c.sync_state = 'committed') then 'committed'
                    when bool_or(c.shown and c.sync_state = 'draft') then 'draft' end as state,
               coalesce(array_agg(distinct c.word order by c.word) filter (where c.shown), '{synced}') as states
          from change c)
    select scope, found.version, masked(found.data, priced), masked(found.data || w.delta, priced),
           w.state, w.states, array(select k from jsonb_object_keys(w.delta) k order by k),
           (select masked(jsonb_build_object('modification_id', c.modification_id, 'delta', c.delta, 'base', j.base,
                              'base_version', c.base_version, 'errors', j.errors,
                              'conflicts', conflict_values(j.conflicts, j.base, j.delta, j.seen),
                              'missing_permissions', to_jsonb(j.missing), 'reason', c.change_reason,
                              'session_id', c.session_id, 'saved_at', c.updated_at at time zone 'utc'), priced)
              from change c
             cross join lateral unnest(judged_drafts(array[c.modification_id])) j
             where c.user_id = actor and c.sync_state = 'draft'
             order by c.created_at desc, c.modification_id limit 1),
           (select coalesce(jsonb_agg(user_in_json(c.user_id, c.name)
                       || jsonb_build_object('modification_id', c.modification_id, 'state', c.word,
                              'fields', array(
                                  select k from jsonb_object_keys(
                                      case when jsonb_typeof(c.delta) = 'object' then c.delta end) k order by k),
                              'changed_at', c.updated_at at time zone 'utc')
                       order by c.created_at, c.modification_id), '[]')
              from change c where c.user_id <> actor),
           (select coalesce(jsonb_agg(jsonb_build_object('queue_id', q.id, 'job_id', q.job_id, 'author', q.author,
                              'modification_id', q.modification_id,
                              'author_name', coalesce(u.name, q.author), 'operation', q.operation,
                              'changes', masked(q.payload, priced), 'status', q.status, 'head', q.head,
                              'priority', q.priority, 'retry_count', q.retry_count, 'created_at', q.created_at,
                              'scheduled_at', q.scheduled_at, 'last_error', masked(q.last_error, priced))
                       order by q.id), '[]')
              from pfa_write_queue q
              left join users u on u.user_id = q.author
             where q.mirror_id = found.mirror_id),
           (select max(s.id) from pfa_sync_conflict s
             where s.mirror_id = found.mirror_id and s.status = 'unresolved'),
           (select max(l.queue_id) from change c
              join pfa_write_queue_dlq l on l.modification_id = c.modification_id and l.status = 'open'),
           found.pems_version, found.last_synced_at at time zone 'utc'
      from whole w;
end
$$;
comment on function pfa_sync.record(text, text, text) is
    'One record of an organization (id or code), as one row: data, as PEMS has it; merged, with changes on their way '
    'and the user''s own drafts laid over it; state, states and changed_fields as of records(); draft, the user''s '
    'latest draft as JSON, with its delta, the fields as they were (base), and the conflicts, errors and missing '
    'permissions that a commit would have now (null: none); others, pending edits of other users, with their fields '
    'and no values; queue, its changes in the queue, in order; conflict_id and dead_letter_id, the latest open ones; '
    'synced_at, when the mirror took it from PEMS last. Needs perm_Read. PF002: permission missing; PF008: no such '
    'organization or record.';

-- Dead letters: changes that will not reach PEMS by themselves.
--
-- A dead letter does not block the record's next change. Queued again, it stands behind the changes that came since,
-- and a field that one of them wrote becomes a conflict: an old value never silently replaces a later one, not even
-- one of the same author.

create view pfa_sync.dead_letters with (security_barrier) as
    select d.queue_id, d.organization_id, d.pfa_id, d.modification_id, a.author,
           masked(a.payload, p.priced) as changes, d.code, masked(d.error, p.priced) as error, d.http_status,
           case when p.priced then d.pems_response end as pems_response, a.retry_count, d.failed_at,
           (select count(*) from pfa_write_queue q where q.mirror_id = a.mirror_id and q.id > a.id) as later_queued,
           (select count(*) from pfa_write_queue_archive l
             where l.mirror_id = a.mirror_id and l.id > a.id and l.status = 'completed') as later_written,
           why.meaning, why.action, coalesce((select user_names())->>a.author, a.author) as author_name
      from pfa_write_queue_dlq d
      join pfa_write_queue_archive a on a.id = d.queue_id
      left join cause why on why.code = d.code
     cross join lateral (select d.organization_id = any ((select priced_organizations())::text[])) p (priced)
     where d.status = 'open' and d.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.dead_letters is 'Changes that failed for good and are neither requeued nor discarded yet.';
comment on column pfa_sync.dead_letters.queue_id is 'id of the change in the queue';
comment on column pfa_sync.dead_letters.organization_id is 'id of the organization';
comment on column pfa_sync.dead_letters.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.dead_letters.modification_id is 'id of the modification';
comment on column pfa_sync.dead_letters.author is 'id of the user whose edit it is';
comment on column pfa_sync.dead_letters.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.dead_letters.code is 'why it failed: a code of the view causes';
comment on column pfa_sync.dead_letters.error is
    'why it failed, in words; numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.dead_letters.http_status is
    'HTTP status of PEMS'' last answer; null: no answer, or no request was sent';
comment on column pfa_sync.dead_letters.pems_response is
    'PEMS'' last answer; null: none, or the session may not see prices';
comment on column pfa_sync.dead_letters.retry_count is 'retries that were made';
comment on column pfa_sync.dead_letters.failed_at is 'when it failed for good';
comment on column pfa_sync.dead_letters.later_queued is 'number of later changes of the record that are queued';
comment on column pfa_sync.dead_letters.later_written is 'number of later changes of the record that PEMS confirmed';
comment on column pfa_sync.dead_letters.meaning is 'what the code means';
comment on column pfa_sync.dead_letters.action is 'what to do about a dead letter of this code';
comment on column pfa_sync.dead_letters.author_name is 'name of the user whose edit it is';

-- Every try of a change: what was asked of PEMS, and what it answered. The last one of a change that is still in flight
-- has no answer.
create function pfa_sync.attempts(queue_id bigint)
    returns table (attempt bigint, asked_at timestamptz, request jsonb, answered_at timestamptz, response jsonb,
                   success boolean, error_message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    record_organization text;
    record_pfa_id       text;
    priced              boolean;
begin
    select q.organization_id, q.pfa_id into record_organization, record_pfa_id
      from (select id, organization_id, pfa_id from pfa_write_queue
            union all
            select id, organization_id, pfa_id from pfa_write_queue_archive) q
     where q.id = attempts.queue_id and can_see(q.organization_id);
    priced := can_see(record_organization, 'perm_ViewFinancials');
    return query
    with event as (
        select l.*, lead(l.event_type) over w <> 'WRITE_ATTEMPT' as answered, lead(l.at) over w as next_at,
               lead(l.pems_response) over w as next_response, lead(l.success) over w as next_success,
               lead(l.error_message) over w as next_error
          from pfa_audit_log l
         where l.organization_id = record_organization and l.pfa_id = record_pfa_id and l.queue_id = attempts.queue_id
           and l.event_type in ('WRITE_ATTEMPT', 'WRITE_FAILED', 'SYNCED', 'DEAD_LETTER')
        window w as (order by l.at, l.id))
    select row_number() over (order by e.at, e.id), e.at, masked(e.changes, priced),
           case when e.answered then e.next_at end,
           case when e.answered and priced then e.next_response end,
           case when e.answered then e.next_success end,
           case when e.answered then masked(e.next_error, priced) end
      from event e
     where e.event_type = 'WRITE_ATTEMPT'
     order by 1;
end
$$;
comment on function pfa_sync.attempts(bigint) is
    'Every attempt of a change, oldest first: when the request was sent and with what fields, when it was '
    'answered, PEMS'' answer, success and error. The last attempt of a change in flight has no answer yet.';

-- The open dead letters that a filter chooses. Keys, all optional: organization (id or code), code, author, pfa_id,
-- older_than (interval), dead_letters (array of queue ids).
create function filtered_dead_letters(filter jsonb) returns bigint[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen  bulk_filter := read_filter(filter, 'dead_letters', array['code', 'pfa_id']);
    visible text[] := visible_organizations();
begin
    return array(
        select d.queue_id from pfa_write_queue_dlq d
          join pfa_write_queue_archive a on a.id = d.queue_id
         where d.status = 'open'
           and d.organization_id = any (visible)
           and (chosen.organization_id is null or d.organization_id = chosen.organization_id)
           and (chosen.code is null or d.code = chosen.code)
           and (chosen.author is null or a.author = chosen.author)
           and (chosen.pfa_id is null or d.pfa_id = chosen.pfa_id)
           and (chosen.older_than is null or d.failed_at < chosen.older_than)
           and (chosen.ids is null or d.queue_id = any (chosen.ids))
         order by d.queue_id);
end
$$;

-- One value for the state of dead letters and their records that a bulk operation was previewed on.
create function dead_letters_digest(queue_ids bigint[]) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select bulk_digest('', array_agg(a.id), array_agg(a.mirror_id))
              from pfa_write_queue_archive a where a.id = any (queue_ids));
end
$$;

-- What a filter chooses: counts, and a digest that requeue_dead_letters and discard_dead_letters take. overtaken counts
-- those whose record has later changes.
create function pfa_sync.preview_dead_letters(filter jsonb, user_id text default null)
    returns table (dead_letters bigint, records bigint, overtaken bigint, by_code jsonb, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    ids bigint[] := filtered_dead_letters(filter);
begin
    perform require_dead_letter_manager(ids, acting_user(user_id));
    return query
        select count(*), count(distinct (d.organization_id, d.pfa_id)),
               count(*) filter (where d.later_queued + d.later_written > 0),
               (select coalesce(jsonb_object_agg(c.code, c.n), '{}')
                  from (select l.code, count(*) as n from pfa_write_queue_dlq l
                         where l.queue_id = any (ids) group by 1) c),
               dead_letters_digest(ids)
          from dead_letters d where d.queue_id = any (ids);
end
$$;
comment on function pfa_sync.preview_dead_letters(jsonb, text) is
    'Counts the open dead letters that a filter selects, their records, those whose record has later changes, and '
    'dead letters by code; and the digest for requeue_dead_letters() and discard_dead_letters(). Stores nothing. '
    'Keys of the filter, all optional: organization, code, author, pfa_id, older_than (interval), dead_letters '
    '(array of queue ids). Needs perm_ManageSettings; for one''s own dead letters, perm_Sync. PF001: other keys or '
    'values.';

-- Raises PF002 unless the acting user may decide about all of the dead letters.
create function require_dead_letter_manager(queue_ids bigint[], actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_permission(actor, o.organization_id,
                               case when o.own then 'perm_Sync' else 'perm_ManageSettings' end)
       from (select a.organization_id, bool_and(a.author = actor) as own
               from pfa_write_queue_archive a where a.id = any (queue_ids) group by a.organization_id) o;
end
$$;

-- Locks the first slice of dead letters with their modifications and records in the lock order, checks the acting
-- user's permission and the digest; the ids of those that are still open.
create function lock_dead_letters(filter jsonb, digest text, actor text) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    ids bigint[] := filtered_dead_letters(filter);
begin
    perform require_dead_letter_manager(ids, actor);
    perform lock_together(
        array(select d.modification_id from pfa_write_queue_dlq d where d.queue_id = any (ids[:slice_size()])),
        array(select a.mirror_id from pfa_write_queue_archive a where a.id = any (ids[:slice_size()])));
    perform from pfa_write_queue_dlq d where d.queue_id = any (ids[:slice_size()]) order by d.queue_id for update;
    ids := array(select d.queue_id from pfa_write_queue_dlq d where d.queue_id = any (ids) and d.status = 'open'
                  order by d.queue_id);
    if digest is not null and dead_letters_digest(ids) <> digest then
        raise exception 'the dead letters or their records have changed since the preview'
            using errcode = 'PF006', hint = 'Call pfa_sync.preview_dead_letters() again and pass its digest.';
    end if;
    return ids;
end
$$;

-- Ends the open dead letters of modifications.
-- actor null = the session's user; passing session_user would give all parameters its collation, which no index has.
create function close_dead_letters(modification_ids text[], status text, actor text, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update pfa_write_queue_dlq d
       set status = close_dead_letters.status, ended_at = now(), ended_by = coalesce(actor, session_user),
           reason = close_dead_letters.reason
     where d.modification_id = any (modification_ids) and d.status = 'open';
end
$$;

-- Dead letters: changes that will not reach PEMS by themselves, and what a person makes of them.
--
-- A dead letter holds nobody up: the record's next change goes on without it. Queued again, it stands behind the changes
-- that came since, and a field that one of them wrote is a question to a person: an old value never silently replaces a
-- later one, not even of the same author.

create view pfa_sync.dead_letters with (security_invoker = true) as
    select d.queue_id, d.organization_id, d.pfa_id, d.modification_id, a.author, c.changes, d.code, s.error, d.http_status,
           s.pems_response, a.retry_count, d.failed_at,
           (select count(*) from pfa_write_queue q where q.mirror_id = a.mirror_id and q.id > a.id) as later_queued,
           (select count(*) from pfa_write_queue_archive l where l.mirror_id = a.mirror_id and l.id > a.id and l.status = 'completed') as later_written
      from pfa_write_queue_dlq d
      join pfa_write_queue_archive a on a.id = d.queue_id
     cross join lateral masked_change(d.queue_id) c
     cross join lateral masked_dead_letter(d.queue_id) s
     where d.status = 'open';
comment on view pfa_sync.dead_letters is 'Changes that will not reach PEMS by themselves, why, and how many later changes of the record went on without them.';

-- Every try of a change: what was asked of PEMS, and what it said. Of a change that is still under way, the last one has no answer.
create function pfa_sync.attempts(queue_id bigint)
    returns table (attempt bigint, asked_at timestamptz, request jsonb, answered_at timestamptz, response jsonb, success boolean, error_message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    record_organization text;
    record_pfa_id       text;
    priced              boolean;
begin
    select q.organization_id, q.pfa_id into record_organization, record_pfa_id
      from (select id, organization_id, pfa_id from pfa_write_queue union all select id, organization_id, pfa_id from pfa_write_queue_archive) q
     where q.id = attempts.queue_id and can_see(q.organization_id);
    priced := can_see(record_organization, 'perm_ViewFinancials');
    return query
    with event as (
        select l.*, lead(l.at) over w as next_at, lead(l.event_type) over w as next_type, lead(l.pems_response) over w as next_response,
               lead(l.success) over w as next_success, lead(l.error_message) over w as next_error
          from pfa_audit_log l
         where l.organization_id = record_organization and l.pfa_id = record_pfa_id and l.queue_id = attempts.queue_id
           and l.event_type in ('WRITE_ATTEMPT', 'WRITE_FAILED', 'SYNCED', 'DEAD_LETTER')
        window w as (order by l.at, l.id))
    select row_number() over (order by e.at, e.id), e.at, masked(e.changes, record_organization),
           case when e.next_type <> 'WRITE_ATTEMPT' then e.next_at end,
           case when e.next_type <> 'WRITE_ATTEMPT' and priced then e.next_response end,
           case when e.next_type <> 'WRITE_ATTEMPT' then e.next_success end,
           case when e.next_type <> 'WRITE_ATTEMPT' then masked(e.next_error, record_organization) end
      from event e
     where e.event_type = 'WRITE_ATTEMPT'
     order by 1;
end
$$;
comment on function pfa_sync.attempts(bigint) is 'Every try of a queued, ended or dead change: request, answer and times.';

-- Ends the open dead letters of modifications.
-- actor null = the session's user; handing session_user over would give all parameters its collation, which no index has.
create function close_dead_letters(modification_ids text[], ending text, actor text, reason text) returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    update pfa_write_queue_dlq d
       set status = $2, ended_at = now(), ended_by = coalesce($3, session_user), reason = $4
     where d.modification_id = any ($1) and d.status = 'open'
$$;

-- The open dead letters a filter means. Keys, all optional: organization (id or code), code, author, pfa_id, older_than
-- (interval), dead_letters (array of queue ids).
create function filtered_dead_letters(filter jsonb) returns bigint[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    scope   text;
    visible text[] := visible_organizations();
begin
    perform require_keys(filter, array['organization', 'code', 'author', 'pfa_id', 'older_than', 'dead_letters']);
    scope := organization_of(filter->>'organization');
    return array(
        select d.queue_id from pfa_write_queue_dlq d
          join pfa_write_queue_archive a on a.id = d.queue_id
         where d.status = 'open'
           and d.organization_id = any (visible)
           and (scope is null or d.organization_id = scope)
           and (filter->>'code' is null or d.code = filter->>'code')
           and (filter->>'author' is null or a.author = filter->>'author')
           and (filter->>'pfa_id' is null or d.pfa_id = filter->>'pfa_id')
           and (filter->>'older_than' is null or d.failed_at < now() - (filter->>'older_than')::interval)
           and (filter->'dead_letters' is null or d.queue_id in (select x::bigint from jsonb_array_elements_text(filter->'dead_letters') x))
         order by d.queue_id);
exception when invalid_text_representation or invalid_datetime_format or invalid_parameter_value then
    raise exception 'older_than is an interval, dead_letters an array of ids: %', sqlerrm using errcode = 'PF001';
end
$$;

-- One value for the dead letters that somebody looked at, and how far their records had come.
create function dead_letters_digest(queue_ids bigint[]) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select md5(coalesce(string_agg(format('%s:%s', a.id, r.version), ',' order by a.id), ''))
              from pfa_write_queue_archive a left join mirror r on r.mirror_id = a.mirror_id where a.id = any (queue_ids));
end
$$;

-- What a filter means: counts, and a digest that requeue_dead_letters and discard_dead_letters take. overtaken counts
-- those whose record has later changes.
create function pfa_sync.preview_dead_letters(filter jsonb, user_id text default null)
    returns table (dead_letters bigint, records bigint, overtaken bigint, by_code jsonb, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    ids bigint[] := filtered_dead_letters(filter);
begin
    perform require_dead_letters(ids, acting_user(user_id));
    return query
        select count(*), count(distinct (d.organization_id, d.pfa_id)), count(*) filter (where d.later_queued + d.later_written > 0),
               (select coalesce(jsonb_object_agg(c.code, c.n), '{}')
                  from (select l.code, count(*) as n from pfa_write_queue_dlq l where l.queue_id = any (ids) group by 1) c),
               dead_letters_digest(ids)
          from dead_letters d where d.queue_id = any (ids);
end
$$;
comment on function pfa_sync.preview_dead_letters(jsonb, text) is 'Counts and digest of the dead letters that a filter means; stores nothing.';

-- Raises PF002 unless the acting user may manage every organization of the dead letters.
create function require_dead_letters(queue_ids bigint[], actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_permission(actor, o.organization_id, 'perm_ManageSettings')
       from (select distinct d.organization_id from pfa_write_queue_dlq d where d.queue_id = any (queue_ids)) o;
end
$$;

-- Locks dead letters with their modifications and records in the usual order, checks the acting user's right and the
-- digest; those that are still open.
create function take_dead_letters(filter jsonb, digest text, actor text) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    ids bigint[] := filtered_dead_letters(filter);
begin
    perform require_dead_letters(ids, actor);
    perform from modification m
      where m.modification_id in (select d.modification_id from pfa_write_queue_dlq d where d.queue_id = any (ids))
      order by m.modification_id for no key update;
    perform from mirror r
      where r.mirror_id in (select a.mirror_id from pfa_write_queue_archive a where a.id = any (ids))
      order by r.mirror_id for no key update;
    ids := array(select d.queue_id from pfa_write_queue_dlq d where d.queue_id = any (ids) and d.status = 'open' order by d.queue_id for update);
    if digest is not null and dead_letters_digest(ids) <> digest then
        raise exception 'the dead letters or their records have changed since the preview'
            using errcode = 'PF006', hint = 'Look at pfa_sync.preview_dead_letters() again and pass its digest.';
    end if;
    return ids;
end
$$;

-- Queues dead letters again, judged like any commit: refused ones stay dead letters, contested ones become conflicts.
-- changes, laid over the change of a single dead letter, are a fix; whoever fixes needs the rights for these fields too.
-- digest, of preview_dead_letters(), makes sure that it is what was looked at.
create function pfa_sync.requeue_dead_letters(filter jsonb, changes jsonb default null, digest text default null, user_id text default null)
    returns table (requeued bigint, conflicts bigint, refused bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    actor     text := acting_user(user_id);
    rest      bigint[] := take_dead_letters(filter, digest, actor);
    round_ids bigint[];
    judged    judgement[];
    sending   judgement[];
    totals    bigint[] := '{0,0,0}';
    contested bigint;
begin
    if changes is not null then
        if jsonb_typeof(changes) <> 'object' or cardinality(rest) <> 1 then
            raise exception 'a fix is a JSON object for a single dead letter; the filter means %', cardinality(rest)
                using errcode = 'PF001', hint = 'Name the one by {"dead_letters": [id]}.';
        end if;
        perform require_fix(rest[1], changes, actor);
    end if;
    -- Several of one record are queued one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := array(select distinct on (a.mirror_id) a.id from pfa_write_queue_archive a where a.id = any (rest) order by a.mirror_id, a.id);
        rest := array(select unnest(rest) except select unnest(round_ids));
        judged := judge_dead_letters(round_ids, changes);
        if changes is not null then
            perform refuse(judged);
        end if;
        sending := array(select j from unnest(judged) j where j.verdict <> 'failed' order by j.mirror_id);
        perform close_dead_letters(array(select j.modification_id from unnest(sending) j), 'requeued', actor, null);
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, changes, success)
        select 'REQUEUED', j.organization_id, actor, j.pfa_id, j.modification_id, j.changes, true from unnest(sending) j;
        -- Through draft, so that the triggers see an ordinary change of ours.
        update modification m
           set sync_state = 'draft', delta = m.delta || coalesce(requeue_dead_letters.changes, '{}'), sync_error = null, updated_at = now() at time zone 'utc'
          from unnest(sending) j where m.modification_id = j.modification_id;
        perform enqueue_judged(sending, 'requeue');
        update modification m
           set sync_state = 'committed', updated_at = now() at time zone 'utc'
          from pfa_write_queue q
         where q.modification_id in (select j.modification_id from unnest(sending) j) and m.modification_id = q.modification_id;
        contested := (select count(*) from unnest(sending) j where j.verdict = 'conflict');
        totals := array[totals[1] + cardinality(sending) - contested, totals[2] + contested, totals[3] + cardinality(round_ids) - cardinality(sending)];
    end loop;
    return query select totals[1], totals[2], totals[3];
end
$$;
comment on function pfa_sync.requeue_dead_letters(jsonb, jsonb, text, text) is
    'Queues the dead letters of a filter again, a single one with a fix if given; refused ones stay dead letters.';

-- Raises PF002 unless the acting user may write the fields of a fix.
create function require_fix(queue_id bigint, changes jsonb, actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    lacking text[];
begin
    select j.missing into lacking
      from pfa_write_queue_archive a
      join mirror r on r.mirror_id = a.mirror_id
     cross join lateral judge(with_pfa_id(r.data, r.pfa_id), changes, null, null, acting_permissions(actor, a.organization_id)) j
     where a.id = require_fix.queue_id;
    if lacking <> '{}' then
        raise exception 'user % lacks % for this fix', actor, array_to_string(lacking, ', ') using errcode = 'PF002';
    end if;
end
$$;

-- Gives dead letters up. Their changes stay in the archive.
create function pfa_sync.discard_dead_letters(filter jsonb, reason text, digest text default null, user_id text default null) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    actor text := acting_user(user_id);
    ids   bigint[];
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'say why the dead letters are given up' using errcode = 'PF001';
    end if;
    ids := take_dead_letters(filter, digest, actor);
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, success, error_message)
    select 'DISCARDED', d.organization_id, actor, d.pfa_id, d.modification_id, d.queue_id, true, discard_dead_letters.reason
      from pfa_write_queue_dlq d where d.queue_id = any (ids) order by d.queue_id;
    perform close_dead_letters(array(select d.modification_id from pfa_write_queue_dlq d where d.queue_id = any (ids)), 'discarded', actor, reason);
    update modification m
       set sync_state = 'discarded', updated_at = now() at time zone 'utc'
     where m.modification_id in (select d.modification_id from pfa_write_queue_dlq d where d.queue_id = any (ids));
    return cardinality(ids);
end
$$;
comment on function pfa_sync.discard_dead_letters(jsonb, text, text, text) is 'Gives the dead letters of a filter up, with a reason; how many.';

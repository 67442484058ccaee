-- Dead letters that are queued again or given up.

-- Queues dead letters again, judged like any commit: refused ones stay dead letters, those with conflicts become
-- conflicts. changes, laid over the change of a single dead letter, are a fix: the change is then the acting user's, by
-- whose permissions it is judged and in whose name it is sent. digest, of preview_dead_letters(), makes sure that
-- nothing has changed since. stages: a staged resend.
create function pfa_sync.requeue_dead_letters(filter jsonb, changes jsonb default null, digest text default null,
                                              user_id text default null, stages int[] default null,
                                              stop_at numeric default 0)
    returns table (requeued bigint, conflicts bigint, refused bigint, waiting bigint, job_ids bigint[])
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor  text := acting_user(user_id);
    chosen bigint[];
begin
    perform require_between('stop_at', stop_at, 0::numeric, 100::numeric);
    if cardinality(stages) > 20 or exists (select from unnest(stages) s where s is null or s not between 1 and 200) then
        raise exception 'stages are at most 20 numbers from 1 to 200' using errcode = 'PF001';
    end if;
    chosen := lock_dead_letters(filter, digest, actor);
    if changes is not null then
        perform refuse_ended_dead_letter(filter);
        if jsonb_typeof(changes) <> 'object' or cardinality(chosen) <> 1 then
            raise exception 'a fix is a JSON object for a single dead letter; the filter chooses %', cardinality(chosen)
                using errcode = 'PF001', hint = 'Name the one by {"dead_letters": [id]}.';
        end if;
        perform require_delta(changes);
        perform refuse(judge_dead_letters(chosen, changes, actor, acts_as_dba(actor)));
    end if;
    job_ids := start_dead_letter_jobs('requeue', chosen, actor, jsonb_build_object('fix', changes), null, stages,
                                      stop_at);
    perform run_first_slices(job_ids);
    select count(*) filter (where i.outcome = 'done' and i.cause is null),
           count(*) filter (where i.outcome = 'done' and i.cause is not null),
           count(*) filter (where i.outcome in ('failed', 'skipped')), count(*) filter (where i.outcome = 'waiting')
      into requeued, conflicts, refused, waiting
      from bulk_item i where i.job_id = any (job_ids);
    return next;
end
$$;
comment on function pfa_sync.requeue_dead_letters(jsonb, jsonb, text, text, int[], numeric) is
    'Queues the dead letters that a filter selects again, judged like a commit, behind later changes of their '
    'records. changes: a fix for a single dead letter, laid over its change, which is then the acting user''s: it is '
    'sent in that user''s name and needs that user''s permissions. digest: of preview_dead_letters(); null: not '
    'checked. stages: sizes of the first slices, such as {1,10}; each further one waits until PEMS has answered to '
    'those before, and the job stops when stop_at percent have failed (0: at the first). Up to 200 are requeued when '
    'it returns; the others wait for a relay. Returns the number of requeued ones, of those that became conflicts, '
    'of refused ones, which stay dead letters, of those that wait, and the ids of the jobs, one for each '
    'organization. Needs perm_ManageSettings; for one''s own dead letters, perm_Sync. PF001, PF002: the fix is '
    'invalid or not permitted; PF006: something has changed since the preview.';

-- Raises PF006 where a fix is for a dead letter that another user has decided about meanwhile: of two fixes, one is
-- sent.
create function refuse_ended_dead_letter(filter jsonb) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen bulk_filter := read_filter(filter, 'dead_letters', array['code', 'pfa_id']);
    letter pfa_write_queue_dlq;
begin
    select d.* into letter from pfa_write_queue_dlq d
     where cardinality(chosen.ids) = 1 and d.queue_id = chosen.ids[1] and d.status <> 'open'
       and can_see(d.organization_id);
    if found then
        raise exception 'dead letter % was % by % already', letter.queue_id, letter.status, letter.ended_by
            using errcode = 'PF006', hint = 'Look at the record''s timeline, then commit a further edit if needed.';
    end if;
end
$$;

-- Starts a job for the dead letters of each organization; their ids.
create function start_dead_letter_jobs(kind text, queue_ids bigint[], actor text, operation jsonb, reason text,
                                       stages int[] default null, stop_at numeric default 0) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select start_bulk_job(start_dead_letter_jobs.kind, a.organization_id, actor, a.targets, operation,
                              start_dead_letter_jobs.reason, start_dead_letter_jobs.stages,
                              start_dead_letter_jobs.stop_at)
          from (select a.organization_id,
                       array_agg(row(a.id, a.mirror_id, a.pfa_id, a.modification_id, null)::bulk_target) as targets
                  from pfa_write_queue_archive a where a.id = any (queue_ids)
                 group by a.organization_id order by a.organization_id) a);
end
$$;

-- The items of a job on dead letters that can't be done, as outcomes: moved records, dead letters that are not open any
-- more, and those that the user of the job may not decide about.
create function dead_letter_faults(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    outcomes    item_outcome[] := moved_items(items);
    permissions text[] := permissions_in(job, bulk);
    open        bigint[];
begin
    open := array(select d.queue_id from pfa_write_queue_dlq d
                   where d.queue_id in (select i.target from unnest(items) i) and d.status = 'open'
                   order by d.queue_id for update);
    outcomes := outcomes || array(select row(i.item, 'skipped', 'NOT_OPEN', null, null)::item_outcome
                                    from unnest(items_left(items, outcomes)) i where i.target <> all (open));
    return outcomes || array(
        select row(i.item, 'failed', 'FORBIDDEN', format('%s may not decide about it', job.user_id), null)::item_outcome
          from unnest(items_left(items, outcomes)) i
          join pfa_write_queue_archive a on a.id = i.target
         where not may_decide(permissions, job.user_id, a.author));
end
$$;

-- Whether a user with these permissions (null = all) may requeue or discard a dead letter of an author: one's own takes
-- perm_Sync, that of another user perm_ManageSettings.
create function may_decide(permissions text[], user_id text, author text) returns boolean
    language sql immutable security invoker
    return permissions is null or 'perm_ManageSettings' = any (permissions)
           or user_id = author and 'perm_Sync' = any (permissions);

-- Queues dead letters of a job again.
create function requeue_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    fix       jsonb := nullif(bulk.operation->'fix', 'null');
    outcomes  item_outcome[] := dead_letter_faults(job, bulk, items);
    rest      bigint[] := array(select i.target from unnest(items_left(items, outcomes)) i);
    round_ids bigint[];
    judged    judgement[];
    sending   judgement[];
begin
    -- Several of one record are queued one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := (select first_of_each_record(array_agg(a.id), array_agg(a.mirror_id))
                        from pfa_write_queue_archive a where a.id = any (rest));
        rest := array(select unnest(rest) except select unnest(round_ids));
        judged := judge_dead_letters(round_ids, fix, job.user_id, bulk.by_dba);
        outcomes := outcomes || array(
            select row(i.item, case j.outcome when 'failed' then 'failed' else 'done' end,
                       case j.outcome when 'conflict' then coalesce(j.cause, 'CHANGED_IN_PEMS')
                                      else judgement_cause(j) end,
                       coalesce(judgement_problem(j), j.message), null)::item_outcome
              from unnest(judged) j
              join unnest(items) i on i.modification_id = j.modification_id and i.target = any (round_ids));
        sending := array(select j from unnest(judged) j where j.outcome <> 'failed' order by j.mirror_id);
        perform close_dead_letters(array(select j.modification_id from unnest(sending) j), 'requeued', job.user_id,
                                   null);
        perform log_event('REQUEUED', j.organization_id, job.user_id,
                          jsonb_build_object('author', m.user_id, 'fix', fix, 'sends', j.delta),
                          pfa_id => j.pfa_id, modification_id => j.modification_id, job_id => job.job_id)
           from unnest(sending) j
           join modification m on m.modification_id = j.modification_id;
        -- Through draft, so that the triggers see an ordinary change of ours.
        perform change_modifications((
            select jsonb_agg(jsonb_build_object('id', m.modification_id, 'syncState', 'draft', 'syncError', null,
                       'delta', m.delta || coalesce(fix, '{}')))
              from unnest(sending) j
              join modification m on m.modification_id = j.modification_id));
        perform enqueue_judged(sending, 'requeue', kinds_of(sending), job.job_id);
        perform set_sync_state(array(
            select q.modification_id from pfa_write_queue q
             where q.modification_id in (select j.modification_id from unnest(sending) j)), 'committed');
    end loop;
    return outcomes;
end
$$;

-- Gives dead letters up. Their changes stay in the archive.
create function pfa_sync.discard_dead_letters(filter jsonb, reason text, digest text default null,
                                              user_id text default null)
    returns table (discarded bigint, refused bigint, waiting bigint, job_ids bigint[])
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor text := acting_user(user_id);
begin
    perform require_reason('discarding dead letters', reason, 1);
    job_ids := start_dead_letter_jobs('discard', lock_dead_letters(filter, digest, actor), actor, '{}', reason);
    perform run_first_slices(job_ids);
    select count(*) filter (where i.outcome = 'done'), count(*) filter (where i.outcome in ('failed', 'skipped')),
           count(*) filter (where i.outcome = 'waiting')
      into discarded, refused, waiting
      from bulk_item i where i.job_id = any (job_ids);
    return next;
end
$$;
comment on function pfa_sync.discard_dead_letters(jsonb, text, text, text) is
    'Gives up the dead letters that a filter selects; their changes stay in the archive, and undo_job() opens them '
    'again. reason is required. Up to 200 are discarded when it returns; the others wait for a relay. Returns how '
    'many were discarded, how many could not be, how many wait, and the ids of the jobs, one for each organization. '
    'Needs perm_ManageSettings; for one''s own dead letters, perm_Sync. PF001: no reason; PF006: something has '
    'changed since the preview.';

-- Discards dead letters of a job.
create function discard_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    outcomes      item_outcome[] := dead_letter_faults(job, bulk, items);
    left_over     bulk_item[] := items_left(items, outcomes);
    modifications text[] := array(select i.modification_id from unnest(left_over) i);
begin
    perform log_event('DISCARDED', job.organization_id, job.user_id, error => job.reason, pfa_id => i.pfa_id,
                      modification_id => i.modification_id, queue_id => i.target, job_id => job.job_id)
       from unnest(left_over) i;
    perform close_dead_letters(modifications, 'discarded', job.user_id, job.reason);
    perform set_sync_state(modifications, 'discarded');
    return outcomes || array(select row(i.item, 'done', null, null, null)::item_outcome from unnest(left_over) i);
end
$$;

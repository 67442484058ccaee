-- Dead letters that are queued again or given up.

-- Queues dead letters again, judged like any commit: refused ones stay dead letters, those with conflicts become
-- conflicts. changes, laid over the change of a single dead letter, are a fix: the change is then the acting user's, by
-- whose permissions it is judged and in whose name it is sent. digest, of preview_dead_letters(), makes sure that
-- nothing has changed since.
create function pfa_sync.requeue_dead_letters(filter jsonb, changes jsonb default null, digest text default null,
                                              user_id text default null)
    returns table (requeued bigint, conflicts bigint, refused bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor     text := acting_user(user_id);
    rest      bigint[] := lock_dead_letters(filter, digest, actor);
    round_ids bigint[];
    judged    judgement[];
    sending   judgement[];
begin
    if changes is not null then
        if jsonb_typeof(changes) <> 'object' or cardinality(rest) <> 1 then
            raise exception 'a fix is a JSON object for a single dead letter; the filter chooses %', cardinality(rest)
                using errcode = 'PF001', hint = 'Name the one by {"dead_letters": [id]}.';
        end if;
        perform require_delta(changes);
    end if;
    requeued := 0;
    conflicts := 0;
    refused := 0;
    -- Several of one record are queued one after the other, each over those before it.
    while cardinality(rest) > 0 loop
        round_ids := (select first_of_each_record(array_agg(a.id), array_agg(a.mirror_id))
                        from pfa_write_queue_archive a where a.id = any (rest));
        rest := array(select unnest(rest) except select unnest(round_ids));
        judged := judge_dead_letters(round_ids, changes, actor);
        if changes is not null then
            perform refuse(judged);
        end if;
        sending := array(select j from unnest(judged) j where j.outcome <> 'failed' order by j.mirror_id);
        perform close_dead_letters(array(select j.modification_id from unnest(sending) j), 'requeued', actor, null);
        perform log_event('REQUEUED', j.organization_id, actor,
                          jsonb_build_object('author', m.user_id, 'fix', requeue_dead_letters.changes,
                                             'sends', j.delta),
                          pfa_id => j.pfa_id, modification_id => j.modification_id)
           from unnest(sending) j
           join modification m on m.modification_id = j.modification_id;
        -- Through draft, so that the triggers see an ordinary change of ours.
        perform change_modifications((
            select jsonb_agg(jsonb_build_object('id', m.modification_id, 'syncState', 'draft', 'syncError', null,
                       'delta', m.delta || coalesce(requeue_dead_letters.changes, '{}')))
              from unnest(sending) j
              join modification m on m.modification_id = j.modification_id));
        perform enqueue_judged(sending, 'requeue', kinds_of(sending));
        perform set_sync_state(array(
            select q.modification_id from pfa_write_queue q
             where q.modification_id in (select j.modification_id from unnest(sending) j)), 'committed');
        conflicts := conflicts + (select count(*) from unnest(sending) j where j.outcome = 'conflict');
        requeued := requeued + (select count(*) from unnest(sending) j where j.outcome <> 'conflict');
        refused := refused + cardinality(round_ids) - cardinality(sending);
    end loop;
    return next;
end
$$;
comment on function pfa_sync.requeue_dead_letters(jsonb, jsonb, text, text) is
    'Queues the dead letters that a filter selects again, judged like a commit, behind later changes of their '
    'records. changes: a fix for a single dead letter, laid over its change, which is then the acting user''s: it is '
    'sent in that user''s name and needs that user''s permissions. digest: of preview_dead_letters(); null: not '
    'checked. Returns the number of requeued ones, of those that became conflicts, and of refused ones, which stay '
    'dead letters. Needs perm_ManageSettings. PF001, PF002: the fix is invalid or not permitted; PF006: something has '
    'changed since the preview.';

-- Gives dead letters up. Their changes stay in the archive.
create function pfa_sync.discard_dead_letters(filter jsonb, reason text, digest text default null,
                                              user_id text default null)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor         text := acting_user(user_id);
    ids           bigint[];
    modifications text[];
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'discarding dead letters needs a reason' using errcode = 'PF001', hint = 'Pass reason.';
    end if;
    perform require_text('reason', reason, 2000);
    ids := lock_dead_letters(filter, digest, actor);
    modifications := array(select d.modification_id from pfa_write_queue_dlq d where d.queue_id = any (ids));
    perform log_event('DISCARDED', d.organization_id, actor, error => discard_dead_letters.reason, pfa_id => d.pfa_id,
                      modification_id => d.modification_id, queue_id => d.queue_id)
       from (select * from pfa_write_queue_dlq d where d.queue_id = any (ids) order by d.queue_id) d;
    perform close_dead_letters(modifications, 'discarded', actor, reason);
    perform set_sync_state(modifications, 'discarded');
    return cardinality(ids);
end
$$;
comment on function pfa_sync.discard_dead_letters(jsonb, text, text, text) is
    'Gives up the dead letters that a filter selects; their changes stay in the archive. reason is required. '
    'Returns how many. Needs perm_ManageSettings. PF001: no reason; PF006: something has changed since the '
    'preview.';

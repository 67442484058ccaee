-- Rollback: the changes of a job are undone by ordinary modifications, or withdrawn while they are still queued.

-- The job that is to be rolled back, for a user who may do so.
create function job_to_roll_back(job_id bigint, actor text) returns sync_job
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job sync_job;
begin
    select j.* into job from sync_job j where j.job_id = job_to_roll_back.job_id and can_see(j.organization_id);
    if not found then
        raise exception 'there is no job %', coalesce(job_id::text, 'null')
            using errcode = 'PF008', hint = 'pfa_sync.jobs lists them.';
    end if;
    perform require_permission(actor, job.organization_id, 'perm_ManageSettings');
    return job;
end
$$;

-- The whole plan of a rollback.
create function plans_of_job(job sync_job, batch_id bigint, actor text) returns rollback_record[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(select p from rollback_plan(job.job_id, batch_id,
                                             array(select r.mirror_id from records_of_job(job.job_id, batch_id) r),
                                             acting_permissions(actor, job.organization_id)) p);
end
$$;

-- Counts of a plan, with the digest that rollback() takes.
create function pfa_sync.rollback_preview(job_id bigint, batch_id bigint default null, user_id text default null)
    returns table (records bigint, restores bigint, withdraws bigint, blocked bigint, by_reason jsonb, digest text,
                   cost_change numeric)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor text := acting_user(user_id);
    job   sync_job := job_to_roll_back(job_id, actor);
    plans rollback_record[] := plans_of_job(job, batch_id, actor);
begin
    return query
        select count(*), count(*) filter (where p.action = 'restore'), count(*) filter (where p.action = 'withdraw'),
               count(*) filter (where p.action = 'blocked'),
               (select coalesce(jsonb_object_agg(c.cause, c.n), '{}')
                  from (select b.cause, count(*) as n from unnest(plans) b where b.cause is not null group by 1) c),
               plans_digest(plans),
               case when can_see(job.organization_id, 'perm_ViewFinancials')
                    then coalesce(sum(cost(c.theirs || p.restored) - cost(c.theirs))
                                      filter (where p.action = 'restore'), 0) end
          from unnest(plans) p
         cross join lateral (select (p.judged).theirs) c (theirs);
end
$$;
comment on function pfa_sync.rollback_preview(bigint, bigint, text) is
    'What a rollback of a job, or of one batch of it, would do: number of records, of those whose values it would '
    'restore, whose queued changes it would withdraw, and that are blocked, the blocked ones by the code of the '
    'reason, the digest to pass to rollback(), and by how much the forecast cost of the records would change (null: '
    'the session may not see prices). Stores nothing. rollback_records() lists the records. Needs '
    'perm_ManageSettings. PF002: permission missing; PF008: no such job.';

-- A page of a plan, record by record.
create function pfa_sync.rollback_records(job_id bigint, batch_id bigint default null, after text default null,
                                          max_rows int default 100, user_id text default null)
    returns table (pfa_id text, action text, current jsonb, restored jsonb, cause text, detail text, since timestamptz,
                   changed_by text, withdrawn text[], changed_by_name text, current_cost numeric,
                   restored_cost numeric)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor  text := acting_user(user_id);
    job    sync_job := job_to_roll_back(job_id, actor);
    priced boolean := can_see(job.organization_id, 'perm_ViewFinancials');
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    return query
        select p.pfa_id, p.action, masked(p.current, priced), masked(p.restored, priced), p.cause,
               masked(p.detail, priced), p.since, p.changed_by, p.withdrawn,
               coalesce((select u.name from users u where u.user_id = p.changed_by), p.changed_by),
               case when priced then cost(c.theirs) end, case when priced then cost(c.theirs || p.restored) end
          from rollback_plan(job.job_id, rollback_records.batch_id,
                             array(select r.mirror_id from records_of_job(job.job_id, rollback_records.batch_id) r
                                    where rollback_records.after is null or r.pfa_id > rollback_records.after
                                    order by r.pfa_id limit max_rows),
                             acting_permissions(actor, job.organization_id)) p
         cross join lateral (select (p.judged).theirs) c (theirs)
         order by p.pfa_id;
end
$$;
comment on function pfa_sync.rollback_records(bigint, bigint, text, int, text) is
    'What a rollback would do to each record, by their pfa_id, max_rows (1000 at most) after one: action (restore, '
    'withdraw, blocked), the changed fields as they are now (current) and as they would be (restored), why it is '
    'blocked (cause, a code of the view causes, with detail), since when and by whom it was changed (id and name), and '
    'the modifications that would go back to draft; of a record that is restored, its forecast cost now and then. '
    'Needs perm_ManageSettings. PF002: permission missing; PF008: no such job.';

-- Rolls a job back if everything is still as previewed.
create function pfa_sync.rollback(job_id bigint, user_id text, reason text, digest text, batch_id bigint default null)
    returns table (rollback_job_id bigint, queued bigint, withdrawn bigint, blocked bigint, waiting bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor text := acting_user(user_id);
    job   sync_job := job_to_roll_back(job_id, actor);
    plans rollback_record[];
begin
    perform require_reason('a rollback', reason, 10);
    perform ensure_sending();
    plans := plans_of_job(job, batch_id, actor);
    if plans_digest(plans) is distinct from digest then
        raise exception 'the records of job % have changed since the preview', job_id
            using errcode = 'PF006', hint = 'Call pfa_sync.rollback_preview() again and pass its digest.';
    end if;
    select count(*) filter (where p.action = 'restore'), count(*) filter (where p.action = 'withdraw'),
           count(*) filter (where p.action = 'blocked')
      into queued, withdrawn, blocked
      from unnest(plans) p;
    rollback_job_id := start_bulk_job('rollback', job.organization_id, actor, array(
        select row(null, p.mirror_id, p.pfa_id, null, plan_digest(p))::bulk_target from unnest(plans) p), '{}', reason,
        origin_job_id => job.job_id, origin_batch_id => batch_id);
    perform log_event('ROLLBACK', job.organization_id, actor,
                      jsonb_build_object('job', job.job_id, 'batch', batch_id, 'restores', queued,
                                         'withdraws', withdrawn, 'blocked', blocked), reason,
                      job_id => rollback_job_id);
    perform run_first_slices(array[rollback_job_id]);
    select count(*) into waiting from bulk_item i where i.job_id = rollback_job_id and i.outcome = 'waiting';
    return next;
end
$$;
comment on function pfa_sync.rollback(bigint, text, text, text, bigint) is
    'Undoes a job, or one batch of it, if the digest of rollback_preview() still holds: values that PEMS has confirmed '
    'are set back by ordinary changes of a new job, changes that are still queued go back to the drafts of their '
    'authors, and blocked records are left alone; the view bulk_items names each. Up to 200 records are done when it '
    'returns; a relay does the others, and skips those that moved meanwhile. Returns the new job, which can be rolled '
    'back itself, the number of records whose values are restored, whose changes are withdrawn, and that are '
    'blocked, and how many wait. reason: at least 10 characters. Needs perm_ManageSettings, and the permissions of '
    'the fields. PF001: no reason; PF002: permission missing; PF006: the records have changed since the preview; '
    'PF008: no such job.';

-- Rolls back records of a job of rollback, or restores a record to a version.
create function rollback_items(job sync_job, bulk bulk_job, items bulk_item[]) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    permissions text[] := permissions_in(job, bulk);
    records     text[] := array(select i.mirror_id from unnest(items) i);
    plans       rollback_record[];
    outcomes    item_outcome[];
    locked      text[];
    held        text[];
    sending     judgement[];
begin
    if not 'perm_ManageSettings' = any (permissions) then
        return array(select row(i.item, 'failed', 'FORBIDDEN', job.user_id || ' lacks perm_ManageSettings',
                                null)::item_outcome from unnest(items) i);
    end if;
    plans := case when job.origin_job_id is null
                  then array(select restore_plan(i.mirror_id, (bulk.operation->>'version')::int, job.user_id,
                                                 permissions) from unnest(items) i)
                  else array(select p from rollback_plan(job.origin_job_id, job.origin_batch_id, records,
                                                         permissions) p) end;
    outcomes := array(
        select row(i.item, 'skipped', coalesce(p.cause, 'CHANGED_SINCE'), p.detail, null)::item_outcome
          from unnest(items) i
          left join unnest(plans) p on p.mirror_id = i.mirror_id
         where p.action is null or p.action = 'blocked' or plan_digest(p) <> i.plan);
    plans := array(select p from unnest(plans) p
                     join unnest(items_left(items, outcomes)) i on i.mirror_id = p.mirror_id);
    -- The modifications that are withdrawn come after the records here, which is why none is waited for.
    locked := lock_modifications(array(select w from unnest(plans) p, unnest(p.withdrawn) w), skip_locked => true);
    held := array(select p.mirror_id from unnest(plans) p where not p.withdrawn <@ locked);
    plans := array(select p from unnest(plans) p where p.mirror_id <> all (held));
    perform take_back(array(select w from unnest(plans) p, unnest(p.withdrawn) w), job.user_id, job.job_id);
    sending := array(
        select row(gen_random_uuid()::text, (p.judged).mirror_id, p.organization_id, p.pfa_id,
                   case when bulk.by_dba then p.author else job.user_id end, job.reason, p.version, p.version,
                   (p.judged).theirs, (p.judged).base, (p.judged).seen, (p.judged).errors, (p.judged).missing,
                   (p.judged).operation, (p.judged).delta, (p.judged).to_send, '{}', null, 'pending', null,
                   null)::judgement
          from unnest(plans) p where p.action = 'restore' order by p.mirror_id);
    if cardinality(sending) > 0 then
        perform write_drafts((
            select jsonb_agg(jsonb_build_object('id', j.modification_id, 'mirrorId', j.mirror_id, 'organizationId',
                       j.organization_id, 'userId', j.author, 'delta', j.delta, 'baseVersion', j.base_version,
                       'changeReason', j.reason))
              from unnest(sending) j));
        perform enqueue_judged(sending, 'rollback', kinds_of(sending), job.job_id);
        perform set_sync_state(array(select j.modification_id from unnest(sending) j), 'committed');
    end if;
    return outcomes || array(
        select row(i.item, 'done', null, null, j.modification_id)::item_outcome
          from unnest(plans) p
          join unnest(items) i on i.mirror_id = p.mirror_id
          left join unnest(sending) j on j.mirror_id = p.mirror_id);
end
$$;

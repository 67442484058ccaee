-- Bulk jobs: started with the items of a preview, carried out in slices.

-- How many items one transaction does at most, and all further ones of its last record.
create function slice_size() returns int language sql immutable security invoker return 200;

-- What a bulk job is to be started with, for each item; see bulk_item.
create type bulk_target as (
    target          bigint,
    mirror_id       text,
    pfa_id          text,
    modification_id text,
    plan            text
);

-- Starts a bulk job of one organization; its id. Nothing is done yet.
create function start_bulk_job(kind text, organization_id text, actor text, targets bulk_target[],
                               operation jsonb default '{}', reason text default null, stages int[] default '{}',
                               stop_at numeric default 0, origin_job_id bigint default null,
                               origin_batch_id bigint default null) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job bigint := start_job(kind, organization_id, actor, cardinality(targets), reason, origin_job_id,
                            origin_batch_id);
begin
    insert into bulk_job (job_id, operation, by_dba, stages, stop_at)
        values (job, start_bulk_job.operation, acts_as_dba(actor), coalesce(start_bulk_job.stages, '{}'),
                start_bulk_job.stop_at);
    insert into bulk_item (job_id, item, target, mirror_id, pfa_id, modification_id, state, plan)
    select job, row_number() over (order by t.mirror_id, t.target, t.modification_id), t.target, t.mirror_id,
           coalesce(t.pfa_id, ''), t.modification_id, record_state(t.mirror_id), t.plan
      from unnest(targets) t;
    return job;
end
$$;

-- Carries out the first slice of jobs that were just started, at most slice_size() items of all together, in the
-- caller's transaction: what is small is done when the call returns. A relay does the rest; of such jobs alone the log
-- tells how far they have come.
create function run_first_slices(job_ids bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job  bigint;
    left_over int := slice_size();
begin
    foreach job in array job_ids loop
        exit when left_over <= 0;
        left_over := left_over - run_slice(job, left_over, true);
    end loop;
    perform log_event('JOB_STARTED', j.organization_id, j.user_id,
                      jsonb_build_object('kind', j.kind, 'items', j.records), j.reason, job_id => j.job_id)
       from sync_job j
       join bulk_job b on b.job_id = j.job_id and b.state = 'running'
      where j.job_id = any (job_ids);
    if found then
        perform wake();
    end if;
end
$$;

-- Carries out the next slice of a bulk job; how many items it ended. wait: it waits for records that another session
-- holds, as a call by a person does; otherwise they are left for a later slice.
create function run_slice(job_id bigint, max_items int, wait boolean) returns int
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job      sync_job;
    bulk     bulk_job;
    items    bulk_item[];
    outcomes item_outcome[];
    counts   jsonb;
begin
    select b.* into bulk from bulk_job b where b.job_id = run_slice.job_id for update;
    select j.* into job from sync_job j where j.job_id = run_slice.job_id;
    items := next_items(run_slice.job_id, least(max_items, coalesce(bulk.stages[bulk.slices + 1], slice_size())));
    outcomes := run_items(job, bulk, items, wait);
    update bulk_item i
       set outcome = o.outcome, cause = o.cause, detail = o.detail, slice = bulk.slices + 1,
           modification_id = coalesce(o.modification_id, i.modification_id), ended_at = clock_timestamp()
      from unnest(outcomes) o
     where i.job_id = run_slice.job_id and i.item = o.item;
    update bulk_job b
       set slices = b.slices + (cardinality(outcomes) > 0)::int, served_at = clock_timestamp(),
           state = case when exists (select from bulk_item i
                                      where i.job_id = b.job_id and i.outcome = 'waiting') then b.state
                        else 'finished' end
     where b.job_id = run_slice.job_id returning b.* into bulk;
    if not wait and (cardinality(outcomes) > 0 or bulk.state = 'finished') then
        counts := (select jsonb_build_object('kind', job.kind, 'slice', bulk.slices)
                          || coalesce(jsonb_object_agg(i.outcome, i.n), '{}')
                     from (select o.outcome, count(*) as n from bulk_item o where o.job_id = run_slice.job_id
                            group by o.outcome) i);
        if bulk.state = 'finished' then
            perform log_event('JOB_FINISHED', job.organization_id, job.user_id, counts, job_id => job.job_id);
        else
            perform log_event('JOB_SLICE', job.organization_id, job.user_id, counts, job_id => job.job_id);
        end if;
    end if;
    return cardinality(outcomes);
end
$$;

-- The next items of a job, all of the last record included.
create function next_items(job_id bigint, max_items int) returns bulk_item[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    items bulk_item[] := array(select i from bulk_item i
                                where i.job_id = next_items.job_id and i.outcome = 'waiting'
                                order by i.item limit max_items);
    final bulk_item := items[cardinality(items)];
begin
    return items || array(select i from bulk_item i
                           where i.job_id = next_items.job_id and i.outcome = 'waiting' and i.item > final.item
                             and i.mirror_id = final.mirror_id
                           order by i.item);
end
$$;

-- What becomes of items. Where they fail together, they are done in halves down to the record that fails, which ends as
-- failed, so that one record whose table refuses it does not keep the others.
create function run_items(job sync_job, bulk bulk_job, items bulk_item[], wait boolean) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    middle text;
    reason text;
begin
    begin
        return case job.kind
            when 'resolution' then resolve_items(job, bulk, lock_items(items, wait))
            when 'requeue' then requeue_items(job, bulk, lock_items(items, wait))
            when 'discard' then discard_items(job, bulk, lock_items(items, wait))
            when 'withdraw' then withdraw_items(job, bulk, lock_items(items, wait))
            when 'rollback' then rollback_items(job, bulk, lock_items(items, wait))
            when 'undo' then undo_items(job, bulk, lock_items(items, wait))
            -- Drafts are locked before the records that they lie over, and only where there is one.
            when 'edit' then edit_items(job, bulk, items, wait) end;
    exception when others then
        if is_transient(sqlstate) then
            raise;
        end if;
        reason := sqlerrm;
    end;
    middle := (select percentile_disc(0.5) within group (order by i.mirror_id) from unnest(items) i);
    if not exists (select from unnest(items) i where i.mirror_id > middle) then
        -- The upper half has but one record.
        if not exists (select from unnest(items) i where i.mirror_id < middle) then
            return array(select row(i.item, 'failed', 'NOT_RECORDED', reason, null)::item_outcome
                           from unnest(items) i);
        end if;
        middle := (select max(i.mirror_id) from unnest(items) i where i.mirror_id < middle);
    end if;
    return run_items(job, bulk, array(select i from unnest(items) i where i.mirror_id <= middle), wait)
        || run_items(job, bulk, array(select i from unnest(items) i where i.mirror_id > middle), wait);
end
$$;

-- Locks the modifications and records of items in the lock order; the items whose locks it has. wait: all of them.
create function lock_items(items bulk_item[], wait boolean) returns bulk_item[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    modifications text[] := array(select i.modification_id from unnest(items) i where i.modification_id is not null);
    records       text[] := array(select i.mirror_id from unnest(items) i);
    held          text[];
    locked        text[];
begin
    if wait then
        perform lock_together(modifications, records);
        return items;
    end if;
    locked := lock_modifications(modifications, skip_locked => true);
    held := array(select i.mirror_id from unnest(items) i
                    join modification m on m.modification_id = i.modification_id
                   where m.modification_id <> all (locked));
    locked := lock_records(records, skip_locked => true);
    held := held || array(select r.mirror_id from mirror r
                           where r.mirror_id = any (records) and r.mirror_id <> all (locked));
    return array(select i from unnest(items) i where i.mirror_id <> all (held) order by i.item);
end
$$;

-- The items whose record has moved on since the job was started, as skipped.
create function moved_items(items bulk_item[]) returns item_outcome[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(select row(i.item, 'skipped', 'CHANGED_SINCE', null, null)::item_outcome
                   from unnest(items) i where i.state is not null and has_moved(i.mirror_id, i.state));
end
$$;

-- The items that are not among outcomes.
create function items_left(items bulk_item[], outcomes item_outcome[]) returns bulk_item[]
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select array(select i from unnest(items) i
                  where i.item not in (select o.item from unnest(outcomes) o) order by i.item)
$$;

-- What the user of a job may do now; null = everything.
create function permissions_in(job sync_job, bulk bulk_job) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return case when not bulk.by_dba then permissions_of(job.user_id, job.organization_id) end;
end
$$;

-- Why a judged change failed: the code, and the words.
create function judgement_cause(judged judgement) returns text
    language sql immutable security invoker
    return case when judged.errors <> '[]' then 'INVALID' when judged.missing <> '{}' then 'FORBIDDEN' end;

create function judgement_problem(judged judgement) returns text
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return case when judged.errors <> '[]'
                then (select string_agg(e->>'message', '; ') from jsonb_array_elements(judged.errors) e)
                when judged.missing <> '{}'
                then format('%s lacks %s', judged.author, array_to_string(judged.missing, ', ')) end;
end
$$;

-- Ends all items of a job that a call has done by itself.
create function end_items(job_id bigint, outcome text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update bulk_item i set outcome = end_items.outcome, slice = 1, ended_at = clock_timestamp()
     where i.job_id = end_items.job_id and i.outcome = 'waiting';
    update bulk_job b set state = 'finished', slices = 1 where b.job_id = end_items.job_id;
end
$$;

-- How many changes jobs have queued, live or ended.
create function changes_of_jobs(job_ids bigint[]) returns bigint
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select (select count(*) from pfa_write_queue q where q.job_id = any (job_ids))
         + (select count(*) from pfa_write_queue_archive a where a.job_id = any (job_ids))
$$;

-- Sync on demand: what a user asks for is sent first, and what was never queued is queued.

-- Raises the priority of queued changes (high 10, normal 0, low -10), and queues committed ones that no trigger saw.
-- modification_ids null = all of the organization. What stands before a change of the same record is raised with it,
-- since a record's changes keep their order. The estimate counts requests: this organization's, and those of the others
-- that take turns with it; there is none while health names what stops them.
create function pfa_sync.write_sync(organization text, modification_ids text[] default null, priority int default 0,
                                    user_id text default null)
    returns table (job_id bigint, queued bigint, estimate interval, health text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    job    bigint;
    moved  bigint;
    turns  bigint;
    stop   text;
    wrong  text[];
begin
    if scope is null then
        raise exception 'name the organization to sync' using errcode = 'PF001';
    end if;
    if priority is null or priority not in (select p.priority from priority_levels(null) p) then
        raise exception 'a priority is 10 (high), 0 (normal) or -10 (low), not %', coalesce(priority::text, 'null')
            using errcode = 'PF001';
    end if;
    perform require_permission(actor, scope, 'perm_Sync');
    wrong := array(
        select coalesce(i, 'null') from unnest(write_sync.modification_ids) i
         where not exists (select from modification m where m.modification_id = i and m.organization_id = scope)
         order by 1);
    if cardinality(wrong) > 0 then
        raise exception 'organization % has no modification %', organization,
                        array_to_string(wrong[:10], ', ')
                        || case when cardinality(wrong) > 10 then format(' and %s more', cardinality(wrong) - 10)
                                else '' end
            using errcode = 'PF008';
    end if;
    perform enqueue_unseen(lock_unseen(array(
        select m.modification_id from modification m
         where m.organization_id = scope and m.sync_state = 'committed'
           and (write_sync.modification_ids is null or m.modification_id = any (write_sync.modification_ids))
           and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id)
         order by m.modification_id)), 'write_sync');

    insert into sync_job (kind, organization_id, user_id, records) values ('write_sync', scope, actor, 0)
        returning sync_job.job_id into job;
    with wanted as materialized (
        select q.id, q.mirror_id from pfa_write_queue q
         where q.organization_id = scope and q.status = 'pending'
           and (write_sync.modification_ids is null or q.modification_id = any (write_sync.modification_ids))),
    before as materialized (
        select q.id from pfa_write_queue q
         where q.status = 'pending' and q.priority < write_sync.priority
           and q.mirror_id in (select w.mirror_id from wanted w)
           and q.id <= (select max(w.id) from wanted w where w.mirror_id = q.mirror_id)
         order by q.id for update),
    raised as (
        update pfa_write_queue q
           set priority = write_sync.priority, scheduled_at = greatest(q.scheduled_at, clock_timestamp())
          from before b where q.id = b.id)
    select count(*) into moved from wanted;
    update sync_job j set records = moved where j.job_id = job;
    perform log_event('WRITE_SYNC', scope, actor, jsonb_build_object('records', moved, 'priority', priority),
                      job_id => job);

    select ceil(count(*) / 100.0) into turns from pfa_write_queue q
     where q.organization_id = scope and q.status = 'pending' and q.priority >= write_sync.priority;
    turns := turns + coalesce((
        select sum(least(turns, o.batches))
          from (select ceil(count(*) / 100.0) as batches
                  from pfa_write_queue q
                  join sync_organization s on s.organization_id = q.organization_id and s.pems = pems_of(scope)
                 where q.organization_id <> scope and q.status = 'pending' group by q.organization_id) o), 0);
    perform wake();
    stop := what_stops(scope);
    return query
        select job, moved, case when stop is null then turns * slot_interval_of(pems_of(scope)) end, stop;
end
$$;
comment on function pfa_sync.write_sync(text, text[], int, text) is
    'Raises the priority of queued changes to priority (10 high, 0 normal, -10 low) and queues committed ones '
    'that no trigger saw. modification_ids null: all of the organization. Earlier changes of the same records are '
    'raised with them. Returns the job, the number of changes that wait, an estimate of the time until they are '
    'sent, and health: null, or the code of the state for which nothing is sent now, such as paused or held; then '
    'the estimate is null. Needs perm_Sync. PF001: no organization, or another priority; PF008: a modification that '
    'the organization does not have.';

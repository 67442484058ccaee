-- Which running job is served next, by the relay.

-- Whether a job with stages waits for PEMS' answers to its slices so far; it is stopped when too many have failed.
create function waits_for_answers(bulk bulk_job) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    ended  bigint;
    failed bigint;
begin
    if bulk.stages = '{}' or bulk.slices = 0 then
        return false;
    end if;
    select count(*), count(*) filter (where a.status = 'failed') into ended, failed
      from pfa_write_queue_archive a where a.job_id = bulk.job_id;
    failed := failed + (select count(*) from bulk_item i where i.job_id = bulk.job_id and i.outcome = 'failed');
    ended := greatest(ended, failed);
    if failed > bulk.accepted and 100.0 * (failed - bulk.accepted) / ended >= bulk.stop_at then
        perform change_job_state(bulk.job_id, 'stopped', null, format('%s of %s have failed', failed, ended));
        return true;
    end if;
    return bulk.slices <= cardinality(bulk.stages)
       and exists (select from pfa_write_queue q where q.job_id = bulk.job_id);
end
$$;

-- Carries out one slice of the running job that was served longest ago.
create function pfa_sync.run_jobs()
    returns table (job_id bigint, kind text, organization_id text, done bigint, skipped bigint, failed bigint,
                   state text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off set jit = off
as $$
#variable_conflict use_column
declare
    running bigint[] := array(select b.job_id from bulk_job b where b.state = 'running' order by b.served_at);
    next_id bigint;
    bulk    bulk_job;
    before  int;
    found_waiting boolean := false;
begin
    perform ensure_sending();
    foreach next_id in array running loop
        -- One by one: a job that is not served now can be stopped meanwhile.
        select b.* into bulk from bulk_job b
         where b.job_id = next_id and b.state = 'running' for update skip locked;
        continue when not found;
        if waits_for_answers(bulk) then
            found_waiting := true;
            continue;
        end if;
        before := bulk.slices;
        if run_slice(bulk.job_id, slice_size(), false) = 0 then
            found_waiting := true;
            continue;
        end if;
        return query
            select j.job_id, j.kind, j.organization_id, count(*) filter (where i.outcome = 'done'),
                   count(*) filter (where i.outcome = 'skipped'), count(*) filter (where i.outcome = 'failed'), b.state
              from sync_job j
              join bulk_job b on b.job_id = j.job_id
              join bulk_item i on i.job_id = j.job_id and i.slice = before + 1
             where j.job_id = bulk.job_id
             group by j.job_id, j.kind, j.organization_id, b.state;
        return;
    end loop;
    if found_waiting then
        return query select null::bigint, null, null, 0::bigint, 0::bigint, 0::bigint, 'running';
    end if;
end
$$;
comment on function pfa_sync.run_jobs() is
    'Relay: carries out one slice of a bulk job, of at most 200 items; that of the running job that was served longest '
    'ago. Returns a row with what became of the items; a row without a job: all running jobs wait, for PEMS'' answers '
    'or for records that other sessions hold. No row: no job is running. A DBA may call it where no relay runs.';

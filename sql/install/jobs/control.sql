-- Stopping bulk jobs, and letting them go on.

-- Stops or continues a job; user_id null = it stopped itself.
create function change_job_state(job_id bigint, state text, user_id text, note text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job sync_job;
begin
    select j.* into job from sync_job j where j.job_id = change_job_state.job_id;
    update bulk_job b
       set state = change_job_state.state, changed_by = user_id, note = change_job_state.note, changed_at = now(),
           accepted = case change_job_state.state when 'running' then (
               select count(*) from pfa_write_queue_archive a where a.job_id = b.job_id and a.status = 'failed')
               + (select count(*) from bulk_item i where i.job_id = b.job_id and i.outcome = 'failed')
               else b.accepted end
     where b.job_id = change_job_state.job_id;
    if change_job_state.state = 'stopped' then
        perform log_event('JOB_STOPPED', job.organization_id, user_id, jsonb_build_object('kind', job.kind), note,
                          job_id => job.job_id);
    else
        perform log_event('JOB_CONTINUED', job.organization_id, user_id, jsonb_build_object('kind', job.kind),
                          job_id => job.job_id);
    end if;
end
$$;

-- The job of a call by a person who may stop and continue it: the one who started it, with what its kind needs, or an
-- administrator.
create function controlled_job(job_id bigint, actor text) returns sync_job
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job sync_job;
begin
    select j.* into job from sync_job j
      join bulk_job b on b.job_id = j.job_id
     where j.job_id = controlled_job.job_id and can_see(j.organization_id);
    if not found then
        raise exception 'there is no bulk job %', coalesce(job_id::text, 'null')
            using errcode = 'PF008', hint = 'pfa_sync.bulk_jobs lists them.';
    end if;
    perform require_permission(actor, job.organization_id,
                               case when job.user_id <> actor then 'perm_ManageSettings'
                                    when job.kind = 'edit' then 'perm_SaveDraft'
                                    when job.kind = 'withdraw' then 'perm_Read' else 'perm_Sync' end);
    perform from bulk_job b where b.job_id = controlled_job.job_id for update;
    return job;
end
$$;

create function pfa_sync.stop_job(job_id bigint, reason text, user_id text default null) returns text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor   text := acting_user(user_id);
    job     sync_job := controlled_job(job_id, actor);
    current text;
begin
    perform require_text('reason', reason, 2000);
    select b.state into current from bulk_job b where b.job_id = stop_job.job_id;
    if current = 'running' then
        perform change_job_state(job.job_id, 'stopped', actor, reason);
        current := 'stopped';
    end if;
    return current;
end
$$;
comment on function pfa_sync.stop_job(bigint, text, text) is
    'Stops a bulk job after the slice that is being carried out. What is queued already goes on to PEMS. Returns the '
    'state of the job: stopped, or finished. For the user who started it, with perm_Sync, and for perm_ManageSettings. '
    'PF002: permission missing; PF008: no such job.';

create function pfa_sync.continue_job(job_id bigint, user_id text default null) returns text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor   text := acting_user(user_id);
    job     sync_job := controlled_job(job_id, actor);
    current text;
begin
    select b.state into current from bulk_job b where b.job_id = continue_job.job_id;
    if current = 'stopped' then
        perform change_job_state(job.job_id, 'running', actor, null);
        perform wake();
        current := 'running';
    end if;
    return current;
end
$$;
comment on function pfa_sync.continue_job(bigint, text) is
    'Lets a stopped bulk job go on; items whose record has moved on since it was started are skipped. Failures so '
    'far do not stop it again. Returns the state of the job. Permissions and errors as of stop_job().';

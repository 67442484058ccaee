-- One record set back to a version of its history.

-- What restoring a record to a version would do: every field that a user may edit and that has another value now.
-- What is queued for the record counts as its present state.
create function restore_plan(mirror_id text, version int, actor text, permissions text[]) returns rollback_record
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    plan   rollback_record;
    theirs jsonb;
    wanted jsonb;
    flying boolean;
begin
    select r.organization_id, r.mirror_id, coalesce(r.pfa_id, ''), r.version,
           with_queued(r.mirror_id, with_pfa_id(r.data, r.pfa_id)),
           exists (select from pfa_write_queue q
                    where q.mirror_id = r.mirror_id and place_in_record(q.head, q.id) = 0 and q.lease_until is not null)
      into plan.organization_id, plan.mirror_id, plan.pfa_id, plan.version, theirs, flying
      from mirror r where r.mirror_id = restore_plan.mirror_id;
    wanted := data_of_version(mirror_id, version);
    if wanted is null and plan.version = restore_plan.version then
        select r.data into wanted from mirror r where r.mirror_id = restore_plan.mirror_id;
    end if;
    plan.withdrawn := '{}';
    plan.author := actor;
    plan.restored := (
        select coalesce(g.apply, '{}')
          from (select jsonb_object_agg(f.name, coalesce(wanted->f.name, 'null')) from field_rules f
                 where f.permission is not null) w (delta)
         cross join lateral three_way(theirs, w.delta, theirs) g
         where wanted is not null);
    plan.current := (select jsonb_object_agg(k, coalesce(theirs->k, 'null')) from jsonb_object_keys(plan.restored) k);
    plan.judged := judge_restore(plan.organization_id, plan.mirror_id, plan.pfa_id, plan.version, theirs, plan.restored,
                                 actor, permissions);
    plan.cause := case when plan.version is null then 'RECORD_GONE'
                       when wanted is null then 'VERSION_UNKNOWN'
                       when flying then 'IN_FLIGHT'
                       when plan.restored = '{}' then 'NOTHING_TO_UNDO'
                       else judgement_cause(plan.judged) end;
    plan.detail := judgement_problem(plan.judged);
    plan.action := case when plan.cause is null then 'restore' else 'blocked' end;
    return plan;
end
$$;

-- The plan for a record that a user may restore.
create function plan_of_record(organization text, pfa_id text, version int, actor text) returns rollback_record
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    scope text := organization_of(organization);
    found_id text := (select r.mirror_id from mirror r
                       where r.organization_id = scope and r.pfa_id = plan_of_record.pfa_id);
begin
    if found_id is null or not can_see(scope) then
        raise exception 'organization % has no record %', organization, coalesce(pfa_id, 'null')
            using errcode = 'PF008';
    end if;
    perform require_permission(actor, scope, 'perm_ManageSettings');
    return restore_plan(found_id, version, actor, acting_permissions(actor, scope));
end
$$;

create function pfa_sync.restore_preview(organization text, pfa_id text, version int, user_id text default null)
    returns table (action text, current jsonb, restored jsonb, cause text, detail text, digest text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    plan   rollback_record := plan_of_record(organization, pfa_id, version, acting_user(user_id));
    priced boolean := can_see(plan.organization_id, 'perm_ViewFinancials');
begin
    return query
        select plan.action, masked(plan.current, priced), masked(plan.restored, priced), plan.cause,
               masked(plan.detail, priced), plan_digest(plan);
end
$$;
comment on function pfa_sync.restore_preview(text, text, int, text) is
    'What restoring a record to a version of the mirror would do: action (restore or blocked), the fields that would '
    'change as they are now (current) and as they would be (restored), why it is blocked (cause, a code of the view '
    'causes, with detail), and the digest to pass to restore_version(). organization: id or code. Needs '
    'perm_ManageSettings. PF002: permission missing; PF008: no such record.';

create function pfa_sync.restore_version(organization text, pfa_id text, version int, user_id text, reason text,
                                         digest text default null)
    returns table (job_id bigint, modification_id text, sends jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor text := acting_user(user_id);
    plan  rollback_record := plan_of_record(organization, pfa_id, version, actor);
    ended bulk_item;
begin
    perform require_reason('restoring a version', reason, 10);
    perform ensure_sending();
    if not exists (select from users u where u.user_id = actor) then
        raise exception 'a restored version is the change of a user of the application, and % is none', actor
            using errcode = 'PF001', hint = 'Pass user_id.';
    end if;
    if digest is distinct from coalesce(plan_digest(plan), '') and digest is not null then
        raise exception 'record % has changed since the preview', pfa_id
            using errcode = 'PF006', hint = 'Call pfa_sync.restore_preview() again and pass its digest.';
    end if;
    if plan.action = 'blocked' then
        raise exception 'record % can''t be set to version %: %', pfa_id, version,
                        coalesce(plan.detail, (select c.meaning from cause c where c.code = plan.cause))
            using errcode = case plan.cause when 'FORBIDDEN' then 'PF002' when 'INVALID' then 'PF001'
                                            else 'PF006' end,
                  hint = (select c.action from cause c where c.code = plan.cause);
    end if;
    job_id := start_bulk_job('rollback', plan.organization_id, actor,
                             array[row(null, plan.mirror_id, plan.pfa_id, null, plan_digest(plan))::bulk_target],
                             jsonb_build_object('version', version), reason);
    perform log_event('ROLLBACK', plan.organization_id, actor, jsonb_build_object('version', version), reason,
                      pfa_id => plan.pfa_id, job_id => job_id);
    perform run_first_slices(array[job_id]);
    select i.* into ended from bulk_item i where i.job_id = restore_version.job_id;
    if ended.outcome <> 'done' then
        raise exception 'record % has changed meanwhile', pfa_id using errcode = 'PF006', hint = 'Try again.';
    end if;
    modification_id := ended.modification_id;
    sends := masked((plan.judged).to_send, plan.organization_id);
    return next;
end
$$;
comment on function pfa_sync.restore_version(text, text, int, text, text, text) is
    'Sets a record back to a version of the mirror, by an ordinary change of user_id with the fields that differ. '
    'digest: of restore_preview(); null: not checked. Returns the job, the modification, and what it sends. reason: at '
    'least 10 characters. Needs perm_ManageSettings, and the permissions of the fields. PF001: no reason, no user, '
    'or the record would not be valid; PF002: permission missing; PF006: the record has changed since the preview, '
    'or is blocked, with the reason; PF008: no such record.';

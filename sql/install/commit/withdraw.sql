-- What the triggers call for modifications that left committed, syncing or conflict by another hand than ours: ours
-- ends the queue row first, and finds nothing to do here.
create function withdraw_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    under_way text;
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- Under way by its lease, not its status: every completion comes by here, and must not read the index of all leases.
    select q.modification_id into under_way from pfa_write_queue q
     where q.modification_id = any (modification_ids) and q.lease_until is not null limit 1;
    if found then
        raise exception 'modification % is on its way to PEMS and can''t be withdrawn', under_way
            using errcode = 'PF003', hint = 'Wait for its outcome, then commit a further modification.';
    end if;
    perform withdraw_queued(modification_ids);
end
$$;

-- Ends what waits for modifications that were withdrawn or deleted. What is under way finishes from its own payload.
-- actor null = the session's user; handing session_user over would give all parameters its collation, which no index has.
create function withdraw_queued(modification_ids text[], actor text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[];
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    queue_ids := array(select q.id from pfa_write_queue q where q.modification_id = any (modification_ids) and q.status = 'pending');
    -- Every completion comes by here with nothing that waits.
    if cardinality(queue_ids) > 0 then
        perform from mirror r where r.mirror_id in (select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids))
          order by r.mirror_id for no key update;
        insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, success)
        select 'WITHDRAWN', q.organization_id, coalesce(actor, session_user), q.pfa_id, q.modification_id, q.id, q.job_id, true
          from pfa_write_queue q where q.id = any (queue_ids);
        perform finalize_rows(queue_ids, 'withdrawn', null);
    end if;
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, queue_id, success)
    select 'WITHDRAWN', c.organization_id, coalesce(actor, session_user), c.pfa_id, c.modification_id, c.queue_id, true
      from pfa_sync_conflict c where c.modification_id = any (modification_ids) and c.status = 'unresolved';
    perform close_conflicts(modification_ids, actor);
end
$$;

-- Takes committed changes back to draft, as long as they have not been claimed. The author's right, and an administrator's.
create function pfa_sync.withdraw(modification_ids text[], user_id text)
    returns table (modification_id text, verdict text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    actor  text := acting_user(user_id);
    taken  text[];
    judged jsonb;
begin
    taken := array(select m.modification_id from modification m where m.modification_id = any (modification_ids)
                    order by m.modification_id for no key update);
    judged := (
        select coalesce(jsonb_object_agg(w.id, case
                     when m.modification_id is null or not can_see(m.organization_id) then 'unknown'
                     when m.user_id <> actor and not coalesce('perm_ManageSettings' = any (acting_permissions(actor, m.organization_id)), true) then 'forbidden'
                     when m.sync_state in ('committed', 'conflict') then 'withdrawn'
                     when m.sync_state = 'syncing' then 'in_flight'
                     else 'not_queued' end), '{}')
          from unnest(modification_ids) w (id)
          left join modification m on m.modification_id = w.id and m.modification_id = any (taken)
         where w.id is not null);
    taken := array(select j.key from jsonb_each_text(judged) j where j.value = 'withdrawn');
    -- Ended in the name of who takes them back, before the triggers see it.
    perform withdraw_queued(taken, actor);
    update modification m set sync_state = 'draft', updated_at = now() at time zone 'utc' where m.modification_id = any (taken);
    return query select j.key, j.value from jsonb_each_text(judged) j order by 1;
end
$$;
comment on function pfa_sync.withdraw(text[], text) is 'Takes committed changes back to draft as long as they have not been claimed; one verdict each.';

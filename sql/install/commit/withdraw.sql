-- Committed changes that are taken back before they are sent.

-- Takes committed changes back to draft, as long as they have not been claimed. Permitted to the author and to
-- administrators.
create function pfa_sync.withdraw(modification_ids text[], user_id text)
    returns table (modification_id text, verdict text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    actor   text := acting_user(user_id);
    results jsonb;
    taken   text[];
begin
    perform ensure_bound();
    perform lock_together(modification_ids, array(select m.mirror_id from modification m
                                                   where m.modification_id = any (modification_ids)));
    results := (
        select coalesce(jsonb_object_agg(w.id, case
                     when m.modification_id is null or not can_see(m.organization_id) then 'unknown'
                     when m.user_id <> actor
                          and not coalesce('perm_ManageSettings' = any (acting_permissions(actor, m.organization_id)),
                                           true) then 'forbidden'
                     when m.sync_state in ('committed', 'conflict') then 'withdrawn'
                     when m.sync_state = 'syncing' then 'in_flight'
                     else 'not_queued' end), '{}')
          from unnest(modification_ids) w (id)
          left join modification m on m.modification_id = w.id
         where w.id is not null);
    taken := array(select r.key from jsonb_each_text(results) r where r.value = 'withdrawn');
    -- What no trigger saw has nothing queued that could end.
    perform log_event('WITHDRAWN', m.organization_id, actor, pfa_id => r.pfa_id, modification_id => m.modification_id)
       from modification m
       left join mirror r on r.mirror_id = m.mirror_id
      where m.modification_id = any (taken) and m.sync_state = 'committed'
        and not exists (select from pfa_write_queue q where q.modification_id = m.modification_id);
    -- Ended in the name of the user who takes them back, before the triggers see it.
    perform withdraw_queued(taken, actor);
    perform set_sync_state(taken, 'draft');
    return query select r.key, r.value from jsonb_each_text(results) r order by 1;
end
$$;
comment on function pfa_sync.withdraw(text[], text) is
    'Takes committed changes and open conflicts back to draft, as long as they are not claimed. Returns a verdict '
    'for each: withdrawn, in_flight, not_queued, forbidden (another user''s change, without perm_ManageSettings) '
    'or unknown.';

-- What the triggers call for modifications that left committed, syncing or conflict. Our own functions end the queue
-- row first, so that a row found here means that the application moved the modification.
create function withdraw_modifications(modification_ids text[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    in_flight record;
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- In flight by its lease, not its status: each completion calls this, and must not read the index of all leases.
    select q.modification_id, q.pfa_id into in_flight from pfa_write_queue q
     where q.modification_id = any (modification_ids) and q.lease_until is not null limit 1;
    if found then
        raise exception 'an edit of record % is being sent to PEMS and can''t be withdrawn', in_flight.pfa_id
            using errcode = 'PF003', detail = 'modification ' || in_flight.modification_id,
                  hint = 'Wait for its outcome, then commit a further modification.';
    end if;
    perform withdraw_queued(modification_ids);
end
$$;

-- Ends conflicts, dead letters and waiting changes whose modification does not exist any more, after TRUNCATE or after
-- rows were deleted while the triggers were disabled: no function could end them otherwise. What is in flight ends by
-- its own payload.
create function withdraw_orphans() returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform withdraw_queued(array(
        select q.modification_id from pfa_write_queue q
         where q.status = 'pending'
           and not exists (select from modification m where m.modification_id = q.modification_id)
        union
        select c.modification_id from pfa_sync_conflict c
         where c.status = 'unresolved'
           and not exists (select from modification m where m.modification_id = c.modification_id)));
    perform close_dead_letters(array(
        select d.modification_id from pfa_write_queue_dlq d
         where d.status = 'open'
           and not exists (select from modification m where m.modification_id = d.modification_id)),
        'withdrawn', null, null);
end
$$;

-- Ends what waits for modifications that were withdrawn or deleted. What is in flight ends by its own payload.
-- actor null = the session's user; passing session_user would give all parameters its collation, which no index has.
create function withdraw_queued(modification_ids text[], actor text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    queue_ids bigint[];
begin
    if coalesce(cardinality(modification_ids), 0) = 0 then
        return;
    end if;
    -- The status is looked at outside: with it, a plan that was made for a short queue reads the index of all that
    -- waits.
    queue_ids := array(
        select q.id from unnest(modification_ids) i (id)
         cross join lateral (select q.id, q.status from pfa_write_queue q where q.modification_id = i.id offset 0) q
         where q.status = 'pending');
    -- Each completion calls this with nothing that waits.
    if cardinality(queue_ids) > 0 then
        perform lock_records(array(select q.mirror_id from pfa_write_queue q where q.id = any (queue_ids)));
        perform log_changes('WITHDRAWN', true,
            array(select row(i, null, null, null)::log_entry from unnest(queue_ids) i), coalesce(actor, session_user));
        perform finalize_rows(queue_ids, 'withdrawn', null);
    end if;
    perform log_event('WITHDRAWN', c.organization_id, coalesce(actor, session_user), pfa_id => c.pfa_id,
                      modification_id => c.modification_id, queue_id => c.queue_id)
       from pfa_sync_conflict c where c.modification_id = any (modification_ids) and c.status = 'unresolved';
    if found then
        perform close_conflicts(modification_ids, actor);
    end if;
end
$$;

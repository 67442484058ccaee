-- The organizations of the application that we have a row for. Nothing is claimed for one that has none yet.

-- Makes rows for the organizations that the application has added; paused where a reason is given. An organization
-- whose id the application has changed keeps its code, and with it what we know of it. The ids of those that are new.
create function know_organizations(pause_reason text default null) returns setof text
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    renamed record;
begin
    for renamed in
        select s.organization_id as old_id, o.organization_id as new_id
          from organization o
          join sync_organization s on s.code = o.code
         where not exists (select from sync_organization k where k.organization_id = o.organization_id)
           and not exists (select from organization k where k.organization_id = s.organization_id)
         order by 1
    loop
        perform rename_organization(renamed.old_id, renamed.new_id);
    end loop;
    update sync_organization s set code = o.code
      from organization o
     where o.organization_id = s.organization_id and s.code is distinct from o.code;
    return query
        insert into sync_organization as known (organization_id, code, paused, pause_reason, paused_by)
        select o.organization_id, o.code, know_organizations.pause_reason is not null, know_organizations.pause_reason,
               case when know_organizations.pause_reason is not null then session_user end
          from organization o
         where not exists (select from sync_organization k where k.organization_id = o.organization_id)
         order by o.organization_id
            on conflict do nothing
        returning known.organization_id;
end
$$;

-- Gives what is live of an organization its new id: its state and settings, its queue, conflicts and dead letters, and
-- what is known of its pulls and noted about its failures. What has ended keeps the id under which it ended.
create function rename_organization(old_id text, new_id text) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    update sync_organization s set organization_id = new_id where s.organization_id = old_id;
    if not found then
        -- Another session was faster.
        return;
    end if;
    update setting_value v set organization_id = new_id where v.organization_id = old_id;
    -- The digest covers the id: one that was right stays right.
    update pfa_write_queue q
       set organization_id = new_id,
           content = coalesce(
               (select content_of(m.mirror_id, new_id, m.user_id, m.delta) from modification m
                 where m.modification_id = q.modification_id
                   and content_of(m.mirror_id, old_id, m.user_id, m.delta) = q.content), q.content)
     where q.organization_id = old_id;
    update pfa_write_queue_archive a set organization_id = new_id
     where a.id in (select d.queue_id from pfa_write_queue_dlq d
                     where d.organization_id = old_id and d.status = 'open');
    update pfa_write_queue_dlq d set organization_id = new_id where d.organization_id = old_id and d.status = 'open';
    update pfa_sync_conflict c set organization_id = new_id
     where c.organization_id = old_id and c.status = 'unresolved';
    update sync_pull p set organization_id = new_id where p.organization_id = old_id;
    update failure_case k set organization_id = new_id
     where k.organization_id = old_id
       and not exists (select from failure_case n where n.organization_id = new_id and n.code = k.code);
    update pems_shape h set organization_id = new_id where h.organization_id = old_id;
    perform log_event('ORGANIZATION_RENAMED', new_id, changes => jsonb_build_object('from', old_id, 'to', new_id));
end
$$;

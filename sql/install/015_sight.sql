-- Who sees what: the one place that decides which rows and prices a session is shown.

-- Whether the session may see an organization's rows, or with perm_ViewFinancials its prices; null = what is the whole
-- fleet's. The application and the relay see all: they own or carry it. A reader sees all but prices. The API sees what
-- its user may, by the rights of this moment. Anybody else sees nothing.
create function sees(organization_id text, permission text default 'perm_Read') returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return case
        when is_dba() then true
        when pg_has_role(session_user, 'pfa_sync_api', 'member') then
            permission = any (permissions_of(nullif(current_setting('pfa_sync.user_id', true), ''), organization_id))
        when pg_has_role(session_user, 'pfa_sync_application', 'member') or pg_has_role(session_user, 'pfa_sync_relay', 'member') then true
        else permission = 'perm_Read' and pg_has_role(session_user, 'pfa_sync_reader', 'member')
    end;
end
$$;
comment on function sees(text, text) is 'Whether this session may see an organization''s rows, or its prices (perm_ViewFinancials).';

-- The organizations whose rows the session may see, those that the application has deleted included.
create function visible_organizations() returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return array(
        select k.organization_id
          from (select o.organization_id from organization o union select s.organization_id from sync_organization s) k
         where sees(k.organization_id));
end
$$;
comment on function visible_organizations() is 'The organizations whose rows this session may see.';

-- JSON as the session may see it: whole, or without the prices anywhere in it.
create function shown(data jsonb, organization_id text) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return case when data is null or sees(organization_id, 'perm_ViewFinancials') then data
                else without_fields(data, array(select f.name from field_rules f where f.price)) end;
end
$$;

-- JSON without fields of these names at any depth. Of an object about such a field (its key "field" says so) the values
-- go and "hidden" says that there are some.
create function without_fields(data jsonb, names text[]) returns jsonb
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return case jsonb_typeof(data)
        when 'array' then (select coalesce(jsonb_agg(without_fields(e.value, names) order by e.ordinality), '[]')
                             from jsonb_array_elements(data) with ordinality e)
        when 'object' then (select coalesce(jsonb_object_agg(e.key, without_fields(e.value, names)), '{}')
                              from jsonb_each(data) e
                             where e.key <> all (names) and not (data->>'field' = any (names) and e.key in ('base', 'ours', 'theirs')))
                           || case when data->>'field' = any (names) and data ?| array['base', 'ours', 'theirs'] then '{"hidden": true}' else '{}' end::jsonb
        else data
    end;
end
$$;

-- The columns that may hold prices, of one row each: the views show them by these functions, since nobody who reads
-- the views may read the columns themselves.
create function shown_changes(queue_id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return (select shown(q.payload, q.organization_id)
              from (select id, organization_id, payload from pfa_write_queue union all select id, organization_id, payload from pfa_write_queue_archive) q
             where q.id = queue_id and sees(q.organization_id));
end
$$;
comment on function shown_changes(bigint) is 'The changes of a row of the queue, as this session may see them.';

create function shown_response(queue_id bigint) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    return (select d.pems_response from pfa_write_queue_dlq d
             where d.queue_id = shown_response.queue_id and sees(d.organization_id) and sees(d.organization_id, 'perm_ViewFinancials'));
end
$$;
comment on function shown_response(bigint) is 'What PEMS answered to a dead letter, for those who may see prices.';

create function shown_sides(conflict_id bigint, out base jsonb, out ours jsonb, out theirs jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(c.base_data, c.organization_id), shown(c.local_data, c.organization_id), shown(c.pems_data, c.organization_id)
      into base, ours, theirs
      from pfa_sync_conflict c
     where c.id = conflict_id and sees(c.organization_id);
end
$$;
comment on function shown_sides(bigint) is 'The three sides of a conflict, as this session may see them.';

create function shown_event(event_id bigint, event_at timestamptz, organization text, out changes jsonb, out pems_response jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
begin
    select shown(l.changes, l.organization_id), case when sees(l.organization_id, 'perm_ViewFinancials') then l.pems_response end
      into changes, pems_response
      from pfa_audit_log l
     where l.at = event_at and l.id = event_id and (l.organization_id = organization or organization is null and l.organization_id is null)
       and sees(l.organization_id);
end
$$;
comment on function shown_event(bigint, timestamptz, text) is 'What an entry of the log holds, as this session may see it.';

-- Masking: prices are shown only to sessions with perm_ViewFinancials.

-- JSON for a session that may see prices (priced), or may not: whole, or without the prices at any depth.
create function masked(data jsonb, priced boolean) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return case when priced or data is null then data
                else without_fields(data, array(select f.name from field_rules f where f.price)) end;
end
$$;

create function masked(data jsonb, organization_id text) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return masked(data, can_see(organization_id, 'perm_ViewFinancials'));
end
$$;

-- JSON without fields of these names at any depth. An object about such a field (its key "field" names it) loses its
-- values, and "hidden" says that there are some. What is nested more than 50 deep is left out.
create function without_fields(data jsonb, names text[], depth int default 50) returns jsonb
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    about_hidden boolean := coalesce(data->>'field' = any (names), false);
begin
    if depth < 0 then
        return null;
    end if;
    return case jsonb_typeof(data)
        when 'array' then (
            select coalesce(jsonb_agg(without_fields(e.value, names, depth - 1) order by e.ordinality), '[]')
              from jsonb_array_elements(data) with ordinality e)
        when 'object' then (
            select coalesce(jsonb_object_agg(e.key, without_fields(e.value, names, depth - 1)), '{}')
              from jsonb_each(data) e
             where e.key <> all (names) and not (about_hidden and e.key in ('base', 'ours', 'theirs')))
            || case when about_hidden and data ?| array['base', 'ours', 'theirs'] then '{"hidden": true}'
                    else '{}' end::jsonb
        else data
    end;
end
$$;

-- A text of PEMS, or one about a change. It may quote a price in any words: for a session that may not see prices, each
-- number in it becomes #.
create function masked(message text, priced boolean) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select case when priced then message else regexp_replace(message, '[0-9]([0-9.,'']*[0-9])?', '#', 'g') end $$;

create function masked(message text, organization_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return masked(message, can_see(organization_id, 'perm_ViewFinancials'));
end
$$;

-- The columns that may hold prices, of one row each: the views show them by these functions, since their readers may
-- not read the columns themselves.
create function masked_change(queue_id bigint, out changes jsonb, out last_error text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    select masked(q.payload, q.organization_id), masked(q.last_error, q.organization_id) into changes, last_error
      from (select id, organization_id, payload, w.last_error from pfa_write_queue w
            union all
            select id, organization_id, payload, a.last_error from pfa_write_queue_archive a) q
     where q.id = queue_id and can_see(q.organization_id);
end
$$;
comment on function masked_change(bigint) is
    'What a row of the queue changes and its last error, as this session may see it.';

create function masked_dead_letter(queue_id bigint, out error text, out pems_response jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    select masked(d.error, p.priced), case when p.priced then d.pems_response end into error, pems_response
      from pfa_write_queue_dlq d
     cross join lateral can_see(d.organization_id, 'perm_ViewFinancials') p (priced)
     where d.queue_id = masked_dead_letter.queue_id and can_see(d.organization_id);
end
$$;
comment on function masked_dead_letter(bigint) is 'Why a change is a dead letter, as this session may see it.';

create function masked_sides(conflict_id bigint, out base jsonb, out ours jsonb, out theirs jsonb, out message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    select masked(c.base_data, p.priced), masked(c.local_data, p.priced), masked(c.pems_data, p.priced),
           masked(c.message, p.priced)
      into base, ours, theirs, message
      from pfa_sync_conflict c
     cross join lateral can_see(c.organization_id, 'perm_ViewFinancials') p (priced)
     where c.id = conflict_id and can_see(c.organization_id);
end
$$;
comment on function masked_sides(bigint) is 'The three sides of a conflict, as this session may see them.';

create function masked_event(event_id bigint, event_at timestamptz, organization text,
                             out changes jsonb, out pems_response jsonb, out error_message text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    select masked(l.changes, p.priced), case when p.priced then l.pems_response end, masked(l.error_message, p.priced)
      into changes, pems_response, error_message
      from pfa_audit_log l
     cross join lateral can_see(l.organization_id, 'perm_ViewFinancials') p (priced)
     where l.at = event_at and l.id = event_id
       and (l.organization_id = organization or organization is null and l.organization_id is null)
       and can_see(l.organization_id);
end
$$;
comment on function masked_event(bigint, timestamptz, text) is
    'What an entry of the log holds, as this session may see it.';

create function masked_pull(pull_id bigint, out last_error text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    select masked(p.last_error, p.organization_id) into last_error
      from sync_pull p
     where p.pull_id = masked_pull.pull_id and can_see(p.organization_id);
end
$$;
comment on function masked_pull(bigint) is 'Why a pull failed, as this session may see it.';

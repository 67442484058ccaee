-- Organizations: which one is meant, and whether its changes may be sent.

-- The id of the organization of that id or code; null for null. Raises PF008 for an unknown one, and in the same words
-- for one that the session may not see.
create function pfa_sync.organization_of(organization text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    found_id text;
begin
    if organization is null then
        return null;
    end if;
    perform ensure_bound();
    select o.organization_id into found_id from organization o
     where o.organization_id = organization_of.organization or o.code = organization_of.organization
     order by o.organization_id = organization_of.organization desc limit 1;
    if found_id is null or not can_see(found_id) then
        raise exception 'there is no organization with id or code %', organization using errcode = 'PF008';
    end if;
    return found_id;
end
$$;
comment on function pfa_sync.organization_of(text) is
    'The id of the organization with that id or code; null for null. PF008: there is none, or it is not visible '
    'to this session.';

-- Whether an organization's changes may be sent to PEMS now. One that the application has deleted may send: the outcome
-- of what is in flight is still recorded, and nothing else of it is left.
create function may_send(candidate sync_organization) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return candidate.held_since is null
       and (not candidate.paused or coalesce(candidate.paused_until <= now(), false))
       and not exists (select from organization o
                        where o.organization_id = candidate.organization_id and not o.may_sync);
end
$$;

-- Whether the application has an organization with that id. In PL/pgSQL, so that a condition of a row trigger is not
-- planned for each row.
create function organization_exists(organization_id text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return exists (select from organization o where o.organization_id = organization_exists.organization_id);
end
$$;

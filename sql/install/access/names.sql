-- Names of users, shown beside their ids.

-- The names of all users by their ids, for a session that sees anything at all. The views look each name up in it: it
-- is made once a query, and only where a name is asked for.
create function user_names() returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if cardinality(visible_organizations()) = 0 then
        return '{}';
    end if;
    return (select coalesce(jsonb_object_agg(u.user_id, u.name), '{}') from users u);
end
$$;
comment on function user_names() is
    'The names of users by their ids: first and last name, else the username, else the id.';

-- A user as JSON: id and name. Null for null.
create function user_in_json(user_id text, name text) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select case when user_id is not null
                  then jsonb_build_object('user_id', user_id, 'user_name', coalesce(name, user_id)) end $$;

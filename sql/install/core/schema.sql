\echo Use "create extension pfa_sync" to load this file. \quit

-- The operators and functions of the script itself are those of pg_catalog.
set local search_path = pg_catalog, pg_temp;

-- GRANT to a role that does not exist would stop half-way with a bare message: check first and say what to do.
do $$
declare
    missing text;
begin
    select string_agg(wanted, ', ')
      into missing
      from unnest(array['pfa_sync_owner', 'pfa_sync_application', 'pfa_sync_relay', 'pfa_sync_api',
                        'pfa_sync_reader']) wanted
     where not exists (select from pg_catalog.pg_roles where rolname = wanted);
    if missing is not null then
        raise exception 'the roles of pfa-sync do not exist: %', missing
            using errcode = 'undefined_object',
                  hint = 'Run sql/roles.sql as a superuser, then create the extension again.';
    end if;
end
$$;

-- Both schemas are members of the extension and are created here: a schema of that name that exists already, with
-- objects of another role in it, makes CREATE EXTENSION fail instead of being used.
create schema pfa_sync;
create schema pfa_sync_private;
comment on schema pfa_sync is
    'The documented functions and views of pfa-sync. \df+ pfa_sync.* and \dv+ pfa_sync.* list them.';
comment on schema pfa_sync_private is
    'Tables, trigger functions and inner functions of pfa-sync. Not an interface: any version may change them.';
-- From here on, what is created without a schema is private.
set local search_path = pfa_sync_private, pfa_sync, pg_temp;

-- The roles other than its owner that an object's access list names.
create function other_grantees(acl aclitem[], owner oid) returns setof name
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select distinct r.rolname from aclexplode(acl) g join pg_roles r on r.oid = g.grantee where g.grantee <> owner $$;

-- Revokes all privileges on a table, view or sequence from everybody but its owner.
create function revoke_grants(relation regclass) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    other name;
begin
    execute format('revoke all on table %s from public', relation);
    for other in select other_grantees(c.relacl, c.relowner) from pg_class c where c.oid = relation loop
        execute format('revoke all on table %s from %I', relation, other);
    end loop;
end
$$;

-- The same of a function.
create function revoke_grants(routine regprocedure) returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    other name;
begin
    execute format('revoke all on routine %s from public', routine);
    for other in select other_grantees(p.proacl, p.proowner) from pg_proc p where p.oid = routine loop
        execute format('revoke all on routine %s from %I', routine, other);
    end loop;
end
$$;

-- Lays jsonb objects over each other in the order given: the later one wins.
create aggregate jsonb_overlay(jsonb) (sfunc = pg_catalog.jsonb_concat, stype = jsonb, initcond = '{}');
comment on aggregate jsonb_overlay(jsonb) is 'jsonb objects laid over each other, the later one wins';

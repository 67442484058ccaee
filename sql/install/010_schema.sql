\echo Use "create extension pfa_sync" to load this file. \quit

-- GRANT to a role that does not exist would abort half-way with a bare message: say it first, and say what to do.
do $$
declare
    missing text;
begin
    select string_agg(wanted, ', ')
      into missing
      from unnest(array['pfa_sync_application', 'pfa_sync_relay', 'pfa_sync_api', 'pfa_sync_reader']) wanted
     where not exists (select from pg_catalog.pg_roles where rolname = wanted);
    if missing is not null then
        raise exception 'the roles of pfa-sync do not exist: %', missing
            using errcode = 'undefined_object',
                  hint = 'Run sql/roles.sql as a superuser, then create the extension again.';
    end if;
end
$$;

revoke all on schema pfa_sync from public;
grant usage on schema pfa_sync to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

-- Lays jsonb objects over each other in the order given: the later one wins.
create aggregate laid_over(jsonb) (sfunc = pg_catalog.jsonb_concat, stype = jsonb, initcond = '{}');
comment on aggregate laid_over(jsonb) is 'jsonb objects laid over each other, the later one wins';

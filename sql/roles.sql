-- The roles of pfa-sync. Run as a superuser before CREATE EXTENSION pfa_sync and before restoring a dump; twice is
-- harmless.
--
--   pfa_sync_owner        owns the objects of the extension and runs its functions; never granted to a login
--
-- Groups without a login, granted to the logins of each program:
--
--   pfa_sync_application  the application: commits edits in its own tables, saves drafts, resolves conflicts
--   pfa_sync_relay        pfa-relay: claims, records outcomes, pulls
--   pfa_sync_api          the API: acts for a named user
--   pfa_sync_reader       reports and dashboards: reads what a user may see
do $$
declare
    wanted text;
begin
    foreach wanted in array array['pfa_sync_owner', 'pfa_sync_application', 'pfa_sync_relay', 'pfa_sync_api',
                                  'pfa_sync_reader'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;

-- Removes the roles of pfa-sync, after `select * from pfa_sync.detach(); drop extension pfa_sync;` in each database
-- that had the extension. Run as a superuser in each of those databases: what the roles own there and what was granted
-- to them goes; the last run drops the roles. Logins that were members stay, without the membership.
do $$
declare
    wanted text;
begin
    if exists (select from pg_catalog.pg_extension where extname = 'pfa_sync') then
        raise exception 'the extension pfa_sync is still in this database'
            using hint = 'select * from pfa_sync.detach(); drop extension pfa_sync;';
    end if;
    foreach wanted in array array['pfa_sync_owner', 'pfa_sync_application', 'pfa_sync_relay', 'pfa_sync_api',
                                  'pfa_sync_reader'] loop
        continue when not exists (select from pg_catalog.pg_roles where rolname = wanted);
        execute format('drop owned by %I', wanted);
        begin
            execute format('drop role %I', wanted);
        exception when dependent_objects_still_exist then
            raise notice 'role % is still used in another database: run this there, too', wanted;
        end;
    end loop;
end
$$;

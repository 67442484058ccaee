-- The event triggers of the guard, last: the install script's own changes of tables are none of its business.
create event trigger pfa_sync_altered on ddl_command_end when tag in ('ALTER TABLE')
    execute function application_altered();
create event trigger pfa_sync_dropped on sql_drop
    when tag in ('DROP TABLE', 'DROP SCHEMA', 'DROP TYPE', 'DROP DOMAIN', 'DROP OWNED', 'DROP EXTENSION')
    execute function application_dropped();
create event trigger pfa_sync_extension_dropped on ddl_command_start when tag in ('DROP EXTENSION')
    execute function extension_dropped();

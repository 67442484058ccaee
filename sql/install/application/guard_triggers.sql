-- The event triggers of the guard, last: they do not concern what this script itself changes.
create event trigger pfa_sync_altered on ddl_command_end
    when tag in ('ALTER TABLE', 'CREATE TABLE', 'CREATE SCHEMA', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
                 'CREATE INDEX', 'CREATE STATISTICS', 'CREATE TRIGGER', 'CREATE FUNCTION', 'ALTER FUNCTION',
                 'ALTER ROUTINE')
    execute function application_changed();
create event trigger pfa_sync_dropped on sql_drop
    when tag in ('DROP TABLE', 'DROP SCHEMA', 'DROP TYPE', 'DROP DOMAIN', 'DROP OWNED', 'DROP EXTENSION')
    execute function application_changed();
create event trigger pfa_sync_extension_dropped on ddl_command_start when tag in ('DROP EXTENSION')
    execute function extension_dropped();

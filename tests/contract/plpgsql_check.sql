-- What plpgsql_check finds in the functions of the extension; no row = nothing. For a database in which the extension is
-- attached, since functions refer to the views that attach() creates, and in which plpgsql_check is created
-- (Debian: postgresql-15-plpgsql-check).
select p.oid::regprocedure::text as function, c.lineno, c.level, c.sqlstate, concat_ws(' ', c.message, c.detail) as finding
  from pg_proc p
  join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
  -- A trigger function is checked for each relation that has a trigger of it, with the names of its transition tables.
  left join (select distinct tgfoid, tgrelid, tgoldtable, tgnewtable from pg_trigger where not tgisinternal) t
    on t.tgfoid = p.oid
 cross join lateral plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0)::regclass, oldtable => t.tgoldtable,
                                              newtable => t.tgnewtable, fatal_errors => false, security_warnings => true) c
 where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace)
   -- A literal or a text that is read as the variable's type, such as '{}'.
   and not (c.sqlstate = '42804' and c.detail like 'cast "text" value to %')
   -- Every report of a relay takes its name, whether the function needs it or not.
   and c.message <> 'unused parameter "relay"'
   -- The columns of dynamic SQL are not known.
   and coalesce(c.detail, '') <> 'cannot to determine result of dynamic SQL'
   -- attach() makes it where the application has a write queue of its own.
   and c.message <> 'function write_foreign_queue(jsonb) does not exist'
   -- These execute names of relations, columns and types that the extension lists itself.
   and not (c.level = 'security' and p.proname in ('add_application_columns', 'create_application_triggers',
                                                    'create_application_views', 'create_lock_function',
                                                    'create_row_function', 'create_write_function', 'detach',
                                                    'grant_application'))
 order by 1, 2;

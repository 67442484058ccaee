-- Everything belongs to pfa_sync_owner, which is no superuser: code that gets into our functions has its rights and no
-- more. What a superuser calls as invoker (attach, detach) stays the installer's, with all that it calls:
-- pfa_sync_owner could otherwise change what a superuser executes.
do $$
declare
    owned record;
begin
    for owned in
        select format('%s %I.%I', case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end,
                      n.nspname, c.relname) as object
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('pfa_sync', 'pfa_sync_private') and c.relkind in ('r', 'p', 'v', 'S')
           -- A sequence of an identity column follows its table.
           and not exists (select from pg_depend d
                            where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid
                              and d.deptype = 'i')
        union all
        select format('type %I.%I', n.nspname, t.typname)
          from pg_type t
          join pg_namespace n on n.oid = t.typnamespace
          left join pg_class c on c.oid = t.typrelid
         where n.nspname in ('pfa_sync', 'pfa_sync_private') and t.typtype in ('c', 'e')
           and coalesce(c.relkind, 'c') = 'c'
        union all
        select format('%s %s', case p.prokind when 'a' then 'aggregate' else 'function' end, p.oid::regprocedure)
          from pg_proc p
         where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace)
           and p.proname <> all (array[
               'attach', 'detach', 'application_columns', 'application_faults', 'owner_faults', 'foreign_code',
               'fitting_types',
               'translated_columns', 'all_permissions', 'typed_field_columns', 'add_application_columns',
               'create_application_views', 'application_views', 'drop_application_views', 'lock_application_views',
               'create_row_function',
               'create_row_functions', 'create_lock_function', 'create_lock_functions', 'create_write_function',
               'create_write_functions', 'create_application_triggers', 'application_triggers', 'triggers_in_place',
               'added_column_comment', 'drop_added_columns',
               'drop_application_triggers', 'foreign_queue', 'create_foreign_queue_function', 'grant_application',
               'trigger_owners', 'refresh_application_functions', 'follow_application_change',
               'refuse_foreign_code', 'is_guarded',
               'application_changed', 'extension_dropped', 'is_copy', 'system_identifier',
               'installed_version', 'database_oid', 'become_table_owner', 'revoke_grants', 'other_grantees',
               'grant_surface'])
    loop
        execute format('alter %s owner to pfa_sync_owner', owned.object);
    end loop;
    alter schema pfa_sync owner to pfa_sync_owner;
    alter schema pfa_sync_private owner to pfa_sync_owner;
end
$$;

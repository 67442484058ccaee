-- Row security: a role that may read a table still sees only the rows of the organizations that it may see. A table
-- that was made before with a column organization_id is covered without being named here.
do $$
declare
    guarded record;
begin
    for guarded in
        select a.attrelid::regclass as name, a.attnotnull
          from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'pfa_sync_private'::regnamespace and c.relkind in ('r', 'p')
           and a.attname = 'organization_id' and not a.attisdropped
         order by 1
    loop
        execute format('alter table %s enable row level security, force row level security', guarded.name);
        -- Each function is called once a statement, not once a row.
        execute format('create policy organization on %s for select
                        using (organization_id = any ((select pfa_sync.visible_organizations())::text[]))',
                       guarded.name);
        if not guarded.attnotnull then
            execute format('create policy fleet on %s for select
                            using (organization_id is null and (select pfa_sync_private.can_see(null)))', guarded.name);
        end if;
    end loop;
end
$$;

-- The fleet's settings hold for every organization, and hide nothing.
create policy fleet on setting_value for select using (organization_id = '');

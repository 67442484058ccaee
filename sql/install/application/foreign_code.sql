-- Code that PostgreSQL executes when a table is only read. To plan a query it evaluates immutable functions in the
-- conditions of indexes, in CHECK constraints, in extended statistics and in the keys of partitions, and takes bodies
-- of SQL functions in; whoever reads executes them. On the application's tables such a function would run with the
-- rights of pfa_sync_owner, so it must be a superuser's, as those of PostgreSQL and of most extensions are.

-- Functions of other roles that a query of the application's tables may execute: what they are, in words, and the ids
-- of all that is concerned.
create function foreign_code(app_schema name) returns table (fault text, concerned oid[])
    language sql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    with recursive read (root, relation) as (
        select c.oid, c.oid
          from pg_class c
         where c.relnamespace = (select oid from pg_namespace where nspname = app_schema)
           and c.relname in (select a.table_name from application_columns() a) and c.relkind in ('r', 'p')
        union
        -- A query of a table reads its partitions and whatever inherits from it.
        select r.root, i.inhrelid from read r join pg_inherits i on i.inhparent = r.relation),
    place (root, relation, catalog, object, name) as (
        select r.root, r.relation, 'pg_class'::regclass, i.indexrelid, format('index %s', i.indexrelid::regclass)
          from read r
          join pg_index i on i.indrelid = r.relation and (i.indexprs is not null or i.indpred is not null)
        union all
        select r.root, r.relation, 'pg_constraint'::regclass, c.oid,
               format('constraint %I of %s', c.conname, r.relation::regclass)
          from read r join pg_constraint c on c.conrelid = r.relation and c.contype = 'c'
        union all
        select r.root, r.relation, 'pg_statistic_ext'::regclass, s.oid, format('statistics %I', s.stxname)
          from read r join pg_statistic_ext s on s.stxrelid = r.relation
        union all
        select r.root, r.relation, 'pg_class'::regclass, r.relation,
               format('the partition key of %s', r.relation::regclass)
          from read r join pg_partitioned_table p on p.partrelid = r.relation)
    select format('%s calls %s of role %I when the table is read', p.name, f.oid::regprocedure, o.rolname),
           array[p.root, p.relation, p.object, f.oid]
      from place p
      join pg_depend d on d.classid = p.catalog and d.objid = p.object
                      and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
      left join pg_operator t on d.refclassid = 'pg_operator'::regclass and t.oid = d.refobjid
      join pg_proc f on f.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else t.oprcode end
      join pg_language l on l.oid = f.prolang
      join pg_roles o on o.oid = f.proowner and not o.rolsuper
     where f.provolatile = 'i' or l.lanname = 'sql'
     order by 1
$$;

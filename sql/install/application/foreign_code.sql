-- Code of other roles that PostgreSQL executes with the rights of the role that uses a table, and not as its owner.
--
--   when it is read           To plan a query it evaluates immutable functions in the conditions of indexes, in CHECK
--                             constraints, in extended statistics and in the keys of partitions, and takes bodies of
--                             SQL functions in. On the application's tables they would run as pfa_sync_owner.
--   when a transaction ends   Deferred triggers run as the session's user: a relay, the API, a DBA.
--
-- Such a function must be a superuser's, as those of PostgreSQL and of most extensions are.

-- Functions of other roles for which that holds on the application's tables: what they are, in words, and the ids of
-- all that is concerned.
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
    place (root, relation, catalog, object, name) as materialized (
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
    union all
    select format('deferred trigger %I of %s calls %s of role %I when the transaction ends', t.tgname,
                  r.relation::regclass, f.oid::regprocedure, o.rolname),
           array[r.root, r.relation, t.oid, f.oid]
      from read r
      join pg_trigger t on t.tgrelid = r.relation and t.tgdeferrable and not t.tgisinternal
      join pg_proc f on f.oid = t.tgfoid
      join pg_roles o on o.oid = f.proowner and not o.rolsuper
     order by 1
$$;

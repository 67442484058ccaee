//! The surface in the database: every object states its security, and each program may call just what it needs.

use anyhow::Result;
use testbed::cluster::{Database, Login, Template, shared};

use crate::support::scenario::Scenario;

/// Every function has a fixed search_path, unless it is the library's (which resolves no names), bound at creation, or one of
/// the functions under our views, which are inlined and name the schema of all that they use.
#[tokio::test]
async fn every_function_fixes_its_search_path() -> Result<()> {
    let scenario = Scenario::new().await?;
    let open = "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p \
                where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' and p.prolang <> (select oid from pg_language where lanname = 'c') \
                  and p.prosqlbody is null and p.proname not like 'rows\\_of\\_%' \
                  and not exists (select from unnest(p.proconfig) c where c = 'search_path=pg_catalog, pfa_sync_private, pfa_sync, pg_temp')";
    assert_eq!(scenario.value::<String>(open).await?, "");
    Ok(())
}

#[tokio::test]
async fn nothing_is_public() -> Result<()> {
    let scenario = Scenario::new().await?;
    let public = "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p \
                  where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' and has_function_privilege('public', p.oid, 'execute')";
    assert_eq!(scenario.value::<String>(public).await?, "");
    let tables = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) \
                  and c.relkind in ('r', 'p', 'v', 'S') and (has_table_privilege('pfa_sync_application', c.oid, 'insert, update, delete') \
                  or has_table_privilege('pfa_sync_relay', c.oid, 'insert, update, delete'))";
    assert_eq!(scenario.value::<String>(tables).await?, "", "only functions write");
    Ok(())
}

#[tokio::test]
async fn each_program_may_call_what_it_needs_and_no_more() -> Result<()> {
    let scenario = Scenario::new().await?;
    for (login, call, allowed) in [
        (Login::Relay, "select * from pfa_sync.claim('r')", true),
        (Login::Relay, "select * from pfa_sync.sweep()", true),
        (Login::Relay, "select pfa_sync.set('max_retries', '1')", false),
        (Login::Relay, "select pfa_sync_private.finalize_rows('{}', 'completed', null)", false),
        (Login::Application, "select * from pfa_sync.validate('{\"pfaId\": \"1\"}', '{\"model\": 1}')", true),
        (Login::Application, "select * from pfa_sync.status('RIO')", true),
        (Login::Application, "select * from pfa_sync.claim('r')", false),
        (Login::Application, "select pfa_sync.adopt()", false),
        (Login::Reader, "select * from pfa_sync.three_way('{}', '{}', '{}')", true),
        (Login::Reader, "select * from pfa_sync_private.pfa_write_queue", false),
        (Login::Api, "select pfa_sync.adopt()", false),
    ] {
        let session = scenario.database.client_as(login).await?;
        let answer = session.query(call, &[]).await;
        let refused = answer.as_ref().err().and_then(|e| e.code()).map(|code| code.code());
        assert_eq!(refused, (!allowed).then_some("42501"), "{login:?}: {call}: {answer:?}");
    }
    Ok(())
}

/// A session's own objects and search_path do not get between a definer function and what it means.
#[tokio::test]
async fn a_callers_search_path_changes_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.database.client_as(Login::Application).await?;
    session.batch_execute(
        "create temp table modification (modification_id text); create temp table pfa_write_queue (id int); \
         create function pg_temp.now() returns timestamptz language sql as 'select ''epoch''::timestamptz'; set search_path = pg_temp, pfa_sync, public").await?;
    assert_eq!(session.query_one("select count(*) from pfa_sync.status('RIO')", &[]).await?.get::<_, i64>(0), 1);
    let state =
        session.query_one("select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}')", &[]).await?;
    assert!(!state.get::<_, String>(0).is_empty());
    Ok(())
}

/// `\df+ pfa_sync.*` and `\dv+ pfa_sync.*` are the manual: every function, view and column has a comment, and a function
/// that only one of our programs may call says so first.
#[tokio::test]
async fn the_surface_is_commented() -> Result<()> {
    let scenario = Scenario::new().await?;
    let silent = "select coalesce(string_agg(c.name, ', '), '') from ( \
                      select p.oid::regprocedure::text as name, obj_description(p.oid, 'pg_proc') as comment \
                        from pg_proc p where p.pronamespace = 'pfa_sync'::regnamespace \
                      union all \
                      select c.relname, obj_description(c.oid, 'pg_class') \
                        from pg_class c where c.relnamespace = 'pfa_sync'::regnamespace and c.relkind = 'v' \
                      union all \
                      select c.relname || '.' || a.attname, col_description(c.oid, a.attnum) \
                        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
                       where c.relnamespace = 'pfa_sync'::regnamespace and c.relkind = 'v') c where comment is null";
    assert_eq!(scenario.value::<String>(silent).await?, "");
    let unmarked = "select coalesce(string_agg(format('%s: %s', f.name, f.comment), '; '), '') from ( \
                        select p.proname as name, obj_description(p.oid, 'pg_proc') as comment, \
                               array(select r from unnest(array['application', 'relay', 'api', 'reader']) r \
                                      where has_function_privilege('pfa_sync_' || r, p.oid, 'execute')) as callers \
                          from pg_proc p where p.pronamespace = 'pfa_sync'::regnamespace) f \
                     where f.comment like 'Relay: %' <> (f.callers = '{relay}') or f.comment like 'API: %' <> (f.callers = '{api}')";
    assert_eq!(scenario.value::<String>(unmarked).await?, "");
    Ok(())
}

/// The schema `pfa_sync` holds what is documented and nothing else, and no object of the extension lies where a search_path always
/// looks.
#[tokio::test]
async fn tables_are_private() -> Result<()> {
    let scenario = Scenario::new().await?;
    let strays = "select coalesce(string_agg(pg_describe_object(d.classid, d.objid, 0), ', '), '') from pg_depend d \
                   where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' \
                     and d.refobjid = (select oid from pg_extension where extname = 'pfa_sync') \
                     and exists (select from pg_identify_object(d.classid, d.objid, 0) i \
                                  where i.schema = 'pg_catalog' or i.schema = 'pfa_sync' and i.type not in ('function', 'view', 'type'))";
    assert_eq!(scenario.value::<String>(strays).await?, "");
    let members = "select array_agg(n.nspname::text order by 1) from pg_depend d join pg_namespace n on n.oid = d.objid \
                    where d.classid = 'pg_namespace'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'";
    assert_eq!(scenario.value::<Vec<String>>(members).await?, ["pfa_sync", "pfa_sync_private"]);
    Ok(())
}

/// No other role may create an object in our schemas, and a schema that exists before the extension is not used.
#[tokio::test]
async fn a_schema_made_beforehand_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    let open = "select count(*) from pg_namespace n, pg_roles r where n.nspname like 'pfa\\_sync%' and not r.rolsuper and r.rolname <> 'pfa_sync_owner' \
                and has_schema_privilege(r.oid, n.oid, 'create')";
    assert_eq!(scenario.value::<i64>(open).await?, 0);
    let database = Database::create(&shared()?, Template::Empty).await?;
    let client = database.client().await?;
    client.batch_execute("create schema pfa_sync").await?;
    let refused = client.batch_execute("create extension pfa_sync").await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("42P06"), "{refused}");
    Ok(())
}

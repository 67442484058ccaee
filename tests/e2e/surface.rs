//! The surface in the database: every object states its security, and each program may call just what it needs.

use anyhow::Result;
use testbed::cluster::Login;

use crate::support::world::World;

/// Every function has a fixed search_path, unless it is the library's (which resolves no names) or bound at creation.
#[tokio::test]
async fn every_function_fixes_its_search_path() -> Result<()> {
    let world = World::new().await?;
    let open = "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p \
                where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' and p.prolang <> (select oid from pg_language where lanname = 'c') \
                  and p.prosqlbody is null \
                  and not exists (select from unnest(p.proconfig) c where c = 'search_path=pg_catalog, pfa_sync_private, pfa_sync, pg_temp')";
    assert_eq!(world.value::<String>(open).await?, "");
    Ok(())
}

#[tokio::test]
async fn nothing_is_public() -> Result<()> {
    let world = World::new().await?;
    let public = "select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p \
                  where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' and has_function_privilege('public', p.oid, 'execute')";
    assert_eq!(world.value::<String>(public).await?, "");
    let tables = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) \
                  and c.relkind in ('r', 'p', 'v', 'S') and (has_table_privilege('pfa_sync_application', c.oid, 'insert, update, delete') \
                  or has_table_privilege('pfa_sync_relay', c.oid, 'insert, update, delete'))";
    assert_eq!(world.value::<String>(tables).await?, "", "only functions write");
    Ok(())
}

#[tokio::test]
async fn each_program_may_call_what_it_needs_and_no_more() -> Result<()> {
    let world = World::new().await?;
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
        let session = world.database.client_as(login).await?;
        let answer = session.query(call, &[]).await;
        let refused = answer.as_ref().err().and_then(|e| e.code()).map(|code| code.code());
        assert_eq!(refused, (!allowed).then_some("42501"), "{login:?}: {call}: {answer:?}");
    }
    Ok(())
}

/// A session's own objects and search_path do not get between a definer function and what it means.
#[tokio::test]
async fn a_callers_search_path_changes_nothing() -> Result<()> {
    let world = World::new().await?;
    let session = world.database.client_as(Login::Application).await?;
    session.batch_execute(
        "create temp table modification (modification_id text); create temp table pfa_write_queue (id int); \
         create function pg_temp.now() returns timestamptz language sql as 'select ''epoch''::timestamptz'; set search_path = pg_temp, pfa_sync, public").await?;
    assert_eq!(session.query_one("select count(*) from pfa_sync.status('RIO')", &[]).await?.get::<_, i64>(0), 1);
    let state =
        session.query_one("select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}')", &[]).await?;
    assert!(!state.get::<_, String>(0).is_empty());
    Ok(())
}

/// Every function with a comment is a documented surface; each of those can be found by a DBA.
#[tokio::test]
async fn the_surface_is_commented() -> Result<()> {
    let world = World::new().await?;
    let silent = "select coalesce(string_agg(distinct p.proname, ', '), '') from pg_proc p \
                  where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' and obj_description(p.oid, 'pg_proc') is null \
                    and (has_function_privilege('pfa_sync_application', p.oid, 'execute') or has_function_privilege('pfa_sync_relay', p.oid, 'execute'))";
    assert_eq!(world.value::<String>(silent).await?, "");
    Ok(())
}

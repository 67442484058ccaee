//! Leaving: what waits is named, and a removal leaves nothing.

use anyhow::Result;
use serde_json::json;
use testbed::cluster::{Cluster, Database, Options, Template, shared};

use crate::real_tables::{PHASE_3, PHASE_4, attached};
use crate::support::scenario::Scenario;

/// Whatever of the extension is in this database.
const TRACES: &str = r"
    select coalesce(string_agg(trace, ', ' order by trace), '') from (
        select 'schema ' || nspname from pg_namespace where nspname like 'pfa\_sync%'
        union all select 'event trigger ' || evtname from pg_event_trigger where evtname like 'pfa\_sync%'
        union all select 'trigger ' || tgname from pg_trigger where tgname like 'pfa\_sync%'
        union all select 'function ' || oid::regprocedure::text from pg_proc where prosrc like '%pfa\_sync%'
        union all select 'view ' || viewname from pg_views where definition like '%pfa\_sync%'
        union all select 'grant on ' || relname from pg_class where relacl::text like '%pfa\_sync\_owner%'
        union all select 'grant on ' || nspname from pg_namespace where nspacl::text like '%pfa\_sync\_owner%'
        union all select 'column ' || attname from pg_attribute
                   where attrelid = to_regclass('pfa_modification') and not attisdropped
                     and attname in ('syncStatus', 'syncedAt', 'syncError', 'pemsVersion')) t (trace)";

#[tokio::test]
async fn detach_names_what_waits() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    scenario.edit("3", json!({"model": "X"})).await?;
    let claimed = scenario.client.query("select queue_id, fencing_token from pfa_sync.claim('relay-1', null, 1)", &[]).await?;
    let items = json!([{"queue_id": claimed[0].get::<_, i64>(0), "fencing_token": claimed[0].get::<_, i32>(1)}]);
    scenario.client.execute("select pfa_sync.mark_sent('relay-1', $1)", &[&items]).await?;
    let found: String = scenario.value("select detail from pfa_sync.detach() where object = 'organization org_RIO_173'").await?;
    assert!(found.starts_with("3 edits still wait, 1 of them may have been sent already"), "{found}");
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    assert_eq!(scenario.deliver().await?, 2);
    scenario.check().await
}

/// PostgreSQL would propose CASCADE, which leaves edits that nothing sends.
#[tokio::test]
async fn dropping_the_extension_while_attached_hints_at_detach() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    for statement in ["drop extension pfa_sync", "drop extension if exists pfa_sync restrict", "DROP EXTENSION \"pfa_sync\""] {
        let error = scenario.client.batch_execute(statement).await.unwrap_err();
        let error = error.as_db_error().expect("an error of the database");
        assert_eq!(error.code().code(), "2BP01");
        assert!(error.message().contains("1 edits wait"), "{}", error.message());
        assert!(error.hint().is_some_and(|hint| hint.contains("pfa_sync.detach()")), "{error:?}");
    }
    // Another extension is none of our business.
    scenario.client.batch_execute("create extension plpgsql_check schema public; drop extension plpgsql_check").await?;

    scenario.client.batch_execute("drop extension pfa_sync cascade").await?;
    scenario
        .client
        .batch_execute(
            r#"alter table pfa_modification alter "syncState" type varchar; alter table pfa_modification drop column delta"#,
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn detach_and_drop_leave_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let dropped: i64 =
        scenario.value("select count(*) from pfa_sync.detach(drop_columns => true) where object like 'column %'").await?;
    assert_eq!(dropped, 4);
    scenario.client.batch_execute("drop extension pfa_sync").await?;
    assert_eq!(scenario.value::<String>(TRACES).await?, "");
    Ok(())
}

/// Columns that the application had before stay its own.
#[tokio::test]
async fn only_added_columns_are_dropped() -> Result<()> {
    let scenario = attached(&[PHASE_3, PHASE_4]).await?;
    scenario.client.batch_execute("select pfa_sync.detach(drop_columns => true); drop extension pfa_sync").await?;
    assert_eq!(
        scenario.value::<String>(TRACES).await?,
        "column pemsVersion, column syncError, column syncStatus, column syncedAt"
    );
    Ok(())
}

/// A binding that is broken can be left, too, and what is left of it goes.
#[tokio::test]
async fn a_broken_binding_can_be_left() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("alter table pfa_modification rename to pfa_modification_old").await?;
    let triggers = "select count(*) from pfa_sync.detach() where object like 'trigger pfa_sync% on public.pfa_modification_old'";
    assert_eq!(scenario.value::<i64>(triggers).await?, 5);
    scenario.client.batch_execute("drop extension pfa_sync").await?;
    assert_eq!(scenario.value::<String>(TRACES).await?, "");

    let gone = Database::create(&shared()?, Template::Attached).await?;
    let client = gone.client().await?;
    client.batch_execute("drop schema public cascade; create schema public").await?;
    client.batch_execute("select pfa_sync.detach(); drop extension pfa_sync").await?;
    assert_eq!(client.query_one(TRACES, &[]).await?.get::<_, &str>(0), "");
    Ok(())
}

/// `sql/remove-roles.sql`, in a server of its own: roles are the cluster's.
#[tokio::test]
async fn the_roles_can_be_removed() -> Result<()> {
    const REMOVE: &str = include_str!("../../sql/remove-roles.sql");
    // A cluster is started and stopped in this process, so off the test's own thread.
    let other = tokio::task::spawn_blocking(|| Cluster::start(&Options::default())).await??;
    other.server().build_templates().await?;
    let database = Database::create(other.server(), Template::Attached).await?;
    let client = database.client().await?;
    assert!(client.batch_execute(REMOVE).await.is_err(), "the extension is still there");
    client.batch_execute("drop extension pfa_sync cascade").await?;
    client.batch_execute(REMOVE).await?;
    let grants = "select coalesce(string_agg(relname, ', '), '') from pg_class where relacl::text like '%pfa\\_sync%'";
    assert_eq!(client.query_one(grants, &[]).await?.get::<_, &str>(0), "");
    drop((client, database));
    // In the templates, too; then nothing keeps the roles.
    let admin = other.server().connect("postgres").await?;
    for template in ["template_attached", "template_installed"] {
        admin.batch_execute(&format!("drop database {template}")).await?;
    }
    admin.batch_execute(REMOVE).await?;
    let roles = "select count(*) from pg_roles where rolname like 'pfa\\_sync%'";
    assert_eq!(admin.query_one(roles, &[]).await?.get::<_, i64>(0), 0);
    drop(admin);
    tokio::task::spawn_blocking(move || other.stop()).await??;
    Ok(())
}

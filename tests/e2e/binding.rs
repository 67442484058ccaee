//! The binding to the application's tables and triggers is checked before anything relies on it.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO};
use testbed::cluster::{APPLICATION_SCHEMA, Database, SAMPLE, Template, shared};
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};

/// Calls of each kind that relies on the binding: monitors, relays, users, views.
const CALLS: &[&str] = &[
    "select * from pfa_sync.status()",
    "select * from pfa_sync.check()",
    "select * from pfa_sync.metrics()",
    "select * from pfa_sync.claim('r')",
    "select * from pfa_sync.sweep()",
    "select pfa_sync.heartbeat('r', '1')",
    "select * from pfa_sync.begin_pull('r')",
    "select * from pfa_sync.complete('r', '[{\"queue_id\": 1, \"fencing_token\": 1, \"version\": 2}]')",
    "select pfa_sync.resume()",
    "select pfa_sync.visible_organizations()",
    "select * from pfa_sync.state('{mod_1}')",
    "select pfa_sync.explain('mod_1')",
    "select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}')",
    "select * from pfa_sync.commit_drafts('RIO', 'usr_editor')",
    "select * from pfa_sync.withdraw('{mod_1}', 'usr_editor')",
    "select * from pfa_sync.records('RIO')",
    "select pfa_sync.set_reader('login_reader', 'usr_editor')",
];

/// Fails unless each call is refused with PF004, with a hint at `attach()`, and the message names what is wrong.
async fn refused(client: &Client, named: &str) -> Result<()> {
    for call in CALLS {
        let error: anyhow::Error = client.query(*call, &[]).await.map(|_| ()).expect_err(call).into();
        let (code, message, _) = refusal(&error);
        let hint = error.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.as_db_error()).and_then(|e| e.hint());
        assert_eq!(code, "PF004", "{call}: {message}");
        assert!(message.contains(named), "{call}: {message}");
        assert!(hint.is_some_and(|hint| hint.contains("pfa_sync.attach(")), "{call}: {hint:?}");
    }
    // What a relay and the doorbell ask all the time has nothing to do.
    assert_eq!(client.query_one("select pfa_sync.next_due_ms()", &[]).await?.get::<_, Option<f64>>(0), None);
    assert_eq!(client.query_one("select pfa_sync.next_pull_ms()", &[]).await?.get::<_, Option<f64>>(0), None);
    assert!(!client.query_one("select pfa_sync_private.has_due_work()", &[]).await?.get::<_, bool>(0));
    Ok(())
}

/// `attach()` again, and an edit goes all the way.
async fn mended(scenario: &Scenario) -> Result<()> {
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    let id = scenario.edit("1", json!({"areaSilo": "mended"})).await?;
    scenario.deliver().await?;
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    scenario.check().await
}

#[rstest]
#[case::an_online_schema_change(
    "alter table pfa_modification rename to pfa_modification_old; \
     create table pfa_modification (like pfa_modification_old including all); \
     insert into pfa_modification select * from pfa_modification_old; \
     grant all on pfa_modification to pfa_sync_application",
    "table public.pfa_modification is not the one that was attached"
)]
#[case::another_mirror(
    "alter table pfa_mirror rename to pfa_mirror_old; create table pfa_mirror (like pfa_mirror_old including all); \
     insert into pfa_mirror select * from pfa_mirror_old; grant all on pfa_mirror to pfa_sync_application; \
     alter table pfa_modification drop constraint \"pfa_modification_mirrorId_fkey\"; \
     alter table pfa_mirror_history drop constraint \"pfa_mirror_history_mirrorId_fkey\"",
    "table public.pfa_mirror is not the one that was attached"
)]
#[case::triggers_disabled_for_a_load(
    "alter table pfa_modification disable trigger all",
    "trigger pfa_sync_updated on public.pfa_modification is disabled"
)]
#[case::triggers_disabled_by_role(
    "alter table pfa_modification enable replica trigger pfa_sync_inserted",
    "pfa_sync_inserted on public.pfa_modification is disabled"
)]
#[case::a_trigger_dropped(
    "drop trigger pfa_sync_deleted on pfa_modification",
    "pfa_sync_deleted on public.pfa_modification is missing"
)]
#[case::another_trigger_of_that_name(
    "drop trigger pfa_sync_updated on pfa_modification; \
     create function nothing() returns trigger language plpgsql as 'begin return null; end'; \
     create trigger pfa_sync_updated after update on pfa_modification for each statement execute function nothing()",
    "pfa_sync_updated on public.pfa_modification is not the one that attach() makes"
)]
#[tokio::test]
async fn a_broken_binding_is_named_and_mended(#[case] breaks: &str, #[case] named: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(breaks).await?;
    refused(&scenario.client, named).await?;
    mended(&scenario).await
}

/// What the application took back, deleted and committed while no trigger watched is neither sent nor lost.
#[tokio::test]
async fn what_no_trigger_saw_is_caught_up_with() -> Result<()> {
    let scenario = Scenario::new().await?;
    let taken_back = scenario.edit("1", json!({"model": "X"})).await?;
    let deleted = scenario.edit("2", json!({"model": "X"})).await?;
    let drafted = scenario.application().draft(EDITOR, RIO, "3", json!({"model": "X"})).await?;
    scenario.client.batch_execute("alter table pfa_modification disable trigger all").await?;
    scenario.client.execute(r#"update pfa_modification set "syncState" = 'draft' where id = $1"#, &[&taken_back]).await?;
    scenario.client.execute("delete from pfa_modification where id = $1", &[&deleted]).await?;
    scenario.client.execute(r#"update pfa_modification set "syncState" = 'committed' where id = $1"#, &[&drafted]).await?;

    let withdrawn: String = scenario.value("select detail from pfa_sync.attach() where action = 'withdrawn'").await?;
    assert!(withdrawn.starts_with("2 edits"), "{withdrawn}");
    scenario.client.batch_execute("select pfa_sync.sweep()").await?;
    let sent: Vec<String> = scenario.claim().await?.into_iter().map(|record| record.pfa_id).collect();
    assert_eq!(sent, ["3"]);
    Ok(())
}

/// The old table keeps no trigger of ours, and a commit there is refused before that.
#[tokio::test]
async fn a_commit_in_a_table_that_was_replaced_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute("alter table pfa_modification rename to pfa_modification_old; create table pfa_modification (like pfa_modification_old including all)")
        .await?;
    let commit = r#"
        insert into pfa_modification_old (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_late', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" = '1'"#;
    let error = scenario.client.execute(commit, &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF004", "{message}");
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    let triggers = "select count(*) from pg_trigger where tgrelid = 'pfa_modification_old'::regclass and not tgisinternal";
    assert_eq!(scenario.value::<i64>(triggers).await?, 0);
    scenario.client.execute(commit, &[]).await?;
    scenario.check().await
}

#[tokio::test]
async fn a_schema_that_was_dropped_and_made_again_is_attached_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute("drop schema public cascade; create schema public").await?;
    refused(&scenario.client, "table public.pfa_mirror is missing").await?;
    scenario.client.batch_execute(APPLICATION_SCHEMA).await?;
    scenario.client.batch_execute(SAMPLE).await?;
    refused(&scenario.client, "table public.pfa_mirror is not the one that was attached").await?;
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    scenario.check().await
}

/// Before `attach()` and after `detach()` every call says so.
#[tokio::test]
async fn without_a_binding_every_call_says_so() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    refused(&database.client().await?, "not attached").await?;
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute("select pfa_sync.detach()").await?;
    refused(&scenario.client, "not attached").await?;
    mended(&scenario).await
}

#[tokio::test]
async fn a_second_binding_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("create schema app2; set search_path = app2").await?;
    scenario.client.batch_execute(APPLICATION_SCHEMA).await?;
    scenario.client.batch_execute("reset search_path").await?;
    let error = scenario.client.query("select pfa_sync.attach('app2')", &[]).await.unwrap_err();
    let error = error.as_db_error().expect("an error of the database");
    assert_eq!(error.code().code(), "PF004");
    assert!(error.hint().is_some_and(|hint| hint.contains("detach()")), "{error:?}");
    scenario.check().await?;
    // The same tables in a renamed schema are the same binding.
    scenario.client.batch_execute("alter schema public rename to app").await?;
    let error = scenario.client.query("select * from pfa_sync.status()", &[]).await.unwrap_err();
    assert!(error.as_db_error().and_then(|e| e.hint()).is_some_and(|hint| hint.contains("attach('app')")), "{error:?}");
    scenario.client.batch_execute("select pfa_sync.attach('app')").await?;
    scenario.check().await
}

/// In a copy PF005 comes first; once adopted, what is broken is named.
#[tokio::test]
async fn a_copy_is_bound_by_name() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    let client = database.client().await?;
    // As a restore leaves it: another database, other oids.
    client
        .batch_execute(
            "select pfa_sync.attach(); update pfa_sync_private.origin set database_oid = 1; \
             update pfa_sync_private.bound_table set relation = 1",
        )
        .await?;
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF005");
    client.query("select * from pfa_sync.status()", &[]).await?;
    client.batch_execute("alter table pfa_modification disable trigger pfa_sync_updated").await?;
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF005");
    client.batch_execute("select pfa_sync.adopt()").await?;
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert!(code == "PF004" && message.contains("pfa_sync_updated"), "{code} {message}");
    client.batch_execute("select pfa_sync.attach()").await?;
    client.query("select * from pfa_sync.claim('r')", &[]).await?;
    Ok(())
}

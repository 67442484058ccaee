//! Organizations that the application renames or adds.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;

use crate::support::scenario::Scenario;

const NEW_ID: &str = "org_RIO_200";

/// Gives organization RIO another id; the application's foreign keys take its rows along.
async fn rename(scenario: &Scenario) -> Result<()> {
    Ok(scenario.client.batch_execute(&format!("update organizations set id = '{NEW_ID}' where code = 'RIO'")).await?)
}

/// A pause, the settings and what waits stay with an organization whose id the application changes: nothing is sent until it is
/// resumed, and then all of it, once.
#[rstest]
#[case::found_by_a_sweep("select pfa_sync.sweep()")]
#[case::found_by_attach("select pfa_sync.attach()")]
#[case::found_by_a_pause("select pfa_sync.pause('HARBOUR', 'maintenance')")]
#[tokio::test]
async fn a_paused_organization_with_another_id_stays_paused(#[case] found: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let edit = scenario.edit("1", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute("select pfa_sync.set('max_retries', '7', 'RIO'); select pfa_sync.pause('RIO', 'an audit')")
        .await?;
    rename(&scenario).await?;
    assert!(scenario.claim().await?.is_empty());
    scenario.client.batch_execute(found).await?;
    assert!(scenario.claim().await?.is_empty());

    let status = scenario.client.query_one("select organization_id, queued, health from pfa_sync.status('RIO')", &[]).await?;
    assert_eq!((status.get::<_, &str>(0), status.get::<_, i64>(1), status.get::<_, &str>(2)), (NEW_ID, 1, "paused"));
    let retries = format!("select pfa_sync_private.setting('max_retries', '{NEW_ID}')");
    assert_eq!(scenario.value::<String>(&retries).await?, "7");

    scenario.client.batch_execute("select pfa_sync.resume('RIO')").await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&edit).await?, "synced/synced");
    assert_eq!(scenario.deliver().await?, 0);
    scenario.check().await
}

/// Open conflicts and dead letters are found under the new id, and can be ended there.
#[tokio::test]
async fn open_questions_go_with_the_organization() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "ours"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "theirs"})).await?;
    scenario.claim().await?;
    scenario.edit("2", json!({"model": "refused"})).await?;
    let sent = scenario.send().await?;
    scenario.report("fail", &sent, json!({"outcome": "rejected", "error": "no", "http_status": 422})).await?;
    rename(&scenario).await?;
    scenario.client.batch_execute("select pfa_sync.sweep()").await?;

    let status = scenario.client.query_one("select conflicts, failed from pfa_sync.status('RIO')", &[]).await?;
    assert_eq!((status.get::<_, i64>(0), status.get::<_, i64>(1)), (1, 1));
    let conflict = scenario.value::<i64>("select conflict_id from pfa_sync.conflicts").await?;
    scenario.client.execute("select pfa_sync.resolve_conflict($1, 'use_local', 'usr_editor')", &[&conflict]).await?;
    let letter = scenario.value::<i64>("select queue_id from pfa_sync.dead_letters").await?;
    scenario
        .client
        .execute(
            "select pfa_sync.requeue_dead_letters(jsonb_build_object('dead_letters', jsonb_build_array($1::bigint)))",
            &[&letter],
        )
        .await?;
    assert_eq!(scenario.deliver().await?, 2);
    scenario.check().await
}

/// An id that another organization takes over is no new name of the one that had it.
#[tokio::test]
async fn an_organization_that_still_exists_keeps_what_is_its_own() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'an audit')").await?;
    scenario.client.batch_execute("update organizations set code = 'RIO2' where code = 'RIO'").await?;
    scenario
        .client
        .batch_execute(
            "insert into organizations select (jsonb_populate_record(o, '{\"id\": \"org_new\", \"code\": \"RIO\"}')).* \
               from organizations o where o.code = 'RIO2'; select pfa_sync.sweep()",
        )
        .await?;
    let health = async |code: &str| scenario.value::<String>(&format!("select health from pfa_sync.status('{code}')")).await;
    assert_eq!((health("RIO2").await?.as_str(), health("RIO").await?.as_str()), ("paused", "ok"));
    Ok(())
}

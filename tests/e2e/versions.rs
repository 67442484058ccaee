//! PEMS was restored from a backup: its versions go back. And times of change that no clock shows.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::pems_record;

use crate::support::scenario::Scenario;

/// A record at a version with a model, as PEMS lists it.
fn at_version(pfa_id: &str, version: i64, model: &str) -> Value {
    let mut record = pems_record("RIO", pfa_id);
    record["version"] = json!(version);
    record["model"] = json!(model);
    record
}

/// Records "1" and "2" are known at version 5 since an hour.
async fn known_at_five() -> Result<Scenario> {
    let scenario = Scenario::new().await?;
    scenario.ingest(&[at_version("1", 5, "Five"), at_version("2", 5, "Five")]).await?;
    scenario
        .client
        .batch_execute(
            "update pfa_sync_private.pems_record set known_at = now() - interval '1 hour'; select pfa_sync.set('inbound', 'off', 'HARBOUR')",
        )
        .await?;
    Ok(scenario)
}

/// Reads all three records as PEMS has them after the restore; the kind of the pull. organization null: as a relay does.
async fn pull(scenario: &Scenario, organization: Option<&str>) -> Result<String> {
    scenario.client.batch_execute("update pfa_sync_private.sync_pull set ended_at = ended_at - interval '10 minutes'").await?;
    let begun = scenario
        .client
        .query_one("select pull_id, fencing_token, kind from pfa_sync.begin_pull('r', $1)", &[&organization])
        .await?;
    let (id, token): (i64, i32) = (begun.get(0), begun.get(1));
    let page = json!([at_version("1", 3, "Three"), at_version("2", 3, "Three"), pems_record("RIO", "3")]);
    scenario.client.query("select * from pfa_sync.ingest_page($1, $2, $3, null)", &[&id, &token, &page]).await?;
    scenario.client.query("select pfa_sync.end_pull($1, $2)", &[&id, &token]).await?;
    Ok(begun.get(2))
}

async fn health(scenario: &Scenario) -> Result<String> {
    scenario.value("select code from pfa_sync.health('RIO')").await
}

#[tokio::test]
async fn versions_that_go_back_are_said_and_taken_when_a_user_accepts_them() -> Result<()> {
    let scenario = known_at_five().await?;
    assert_eq!(pull(&scenario, Some("RIO")).await?, "full");
    assert_eq!(scenario.mirror("1").await?["model"], "Five", "a lower version changes nothing by itself");
    assert_eq!(health(&scenario).await?, "drift");
    assert_eq!(scenario.value::<i64>("select records_back from pfa_sync.pulls").await?, 2);
    let logged = "select changes->'records'->0 from pfa_sync.audit where event_type = 'VERSIONS_BACK'";
    assert_eq!(scenario.value::<Value>(logged).await?, json!({"pfaId": "1", "known": 5, "now": 3}));

    // An edit of another field waits meanwhile; it is judged against what PEMS has.
    let id = scenario.edit("2", json!({"manufacturer": "Grove"})).await?;
    scenario.client.batch_execute("select pfa_sync.accept_versions('RIO')").await?;
    assert_eq!(pull(&scenario, None).await?, "full");
    assert_eq!(scenario.mirror("1").await?["model"], "Three");
    assert_eq!(health(&scenario).await?, "ok");
    assert_eq!(pull(&scenario, None).await?, "incremental", "it was accepted once");
    assert_eq!(scenario.state(&id).await?, "committed/queued");
    let claimed = scenario.send().await?;
    assert_eq!((claimed.len(), claimed[0].version), (1, Some(3)));
    scenario.check().await
}

/// PEMS refuses the version, and the record that is read back has a lower one: that is a question, and no dead letter.
#[rstest]
#[case::after_a_409("report_conflict")]
#[case::after_a_lost_answer("reconcile")]
#[tokio::test]
async fn an_edit_of_a_record_that_went_back_is_a_conflict(#[case] report: &str) -> Result<()> {
    let scenario = known_at_five().await?;
    let id = scenario.edit("1", json!({"model": "Mine"})).await?;
    let claimed = scenario.send().await?;
    scenario.report(report, &claimed, json!({"record": at_version("1", 3, "Three")})).await?;
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    let row = scenario.client.query_one("select code, theirs->>'model' from pfa_sync.conflicts", &[]).await?;
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("VERSIONS_BACK", "Three"));
    assert_eq!(health(&scenario).await?, "drift");

    scenario.client.batch_execute("select pfa_sync.accept_versions('RIO')").await?;
    pull(&scenario, Some("RIO")).await?;
    let resolve = "select pfa_sync.resolve_conflict(c.conflict_id, 'use_local', 'usr_editor', null, \
                          pfa_sync.conflict_state(c.conflict_id)->>'state')->'changes' from pfa_sync.conflicts c";
    assert_eq!(scenario.value::<Value>(resolve).await?, json!({"model": "Mine"}));
    scenario.deliver().await?;
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    assert_eq!(health(&scenario).await?, "ok");
    scenario.check().await
}

/// A record whose version in PEMS was not known, since another writer changed the mirror, was read in a circle.
#[tokio::test]
async fn a_record_of_unknown_version_that_went_back_is_a_conflict() -> Result<()> {
    let scenario = known_at_five().await?;
    scenario.client.batch_execute(r#"update pfa_mirror set version = version + 1 where "pfaId" = '1'"#).await?;
    let id = scenario.edit("1", json!({"model": "Mine"})).await?;
    let claimed = scenario.claim().await?;
    assert_eq!(claimed[0].step, "read");
    scenario.report("reconcile", &claimed, json!({"record": at_version("1", 3, "Three")})).await?;
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    scenario.check().await
}

/// A page that was read before our own write was confirmed shows the version before: nothing has gone back.
#[tokio::test]
async fn a_page_that_is_older_than_our_write_is_no_restore() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.begin_pull('r', 'RIO')").await?;
    scenario.edit("1", json!({"model": "Mine"})).await?;
    scenario.deliver().await?;
    let page = json!([pems_record("RIO", "1")]);
    scenario.client.query("select * from pfa_sync.ingest_page(1, 1, $1, null)", &[&page]).await?;
    scenario.client.batch_execute("select pfa_sync.end_pull(1, 1)").await?;
    assert_eq!(scenario.mirror("1").await?["model"], "Mine");
    assert_eq!(health(&scenario).await?, "ok");
    assert_eq!(scenario.value::<i64>("select records_back from pfa_sync.pulls").await?, 0);
    scenario.check().await
}

#[tokio::test]
async fn accepting_versions_needs_the_permission() -> Result<()> {
    let scenario = Scenario::new().await?;
    let refused = scenario.client.execute("select pfa_sync.accept_versions('RIO', 'usr_viewer')", &[]).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("PF002"));
    Ok(())
}

/// The high water after a page with these stamps, when PEMS' clock shows noon (or is not known).
#[rstest]
#[case::offsets(&["2026-02-01T09:00:00-02:00", "2026-02-01T12:30:00+02:00"], Some("2026-02-01T12:00:00Z"), "2026-02-01T11:00:00.000Z")]
#[case::twenty_hours_ahead(&["2026-02-01T11:00:00Z", "2026-02-02T08:00:00Z"], Some("2026-02-01T12:00:00Z"), "2026-02-01T11:00:00.000Z")]
#[case::no_date(&["2024-02-01T11:00:00Z", "2099-01-01T00:00:00Z"], None, "2024-02-01T11:00:00.000Z")]
#[case::no_time(&["2024-02-01T11:00:00Z", "2024-02-31T00:00:00Z"], None, "2024-02-01T11:00:00.000Z")]
#[tokio::test]
async fn the_high_water_is_never_beyond_pems_clock(
    #[case] stamps: &[&str],
    #[case] date: Option<&str>,
    #[case] expected: &str,
) -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.client.batch_execute("select pfa_sync.begin_pull('r', 'RIO')").await?;
    let page: Value = stamps
        .iter()
        .enumerate()
        .map(|(row, stamp)| {
            let mut record = pems_record("RIO", &row.to_string());
            record["updatedAt"] = json!(stamp);
            record
        })
        .collect();
    let ingest = "select * from pfa_sync.ingest_page(1, 1, $1, null, $2::text::timestamptz)";
    scenario.client.query(ingest, &[&page, &date]).await?;
    let reached = "select pfa_sync_private.pems_stamp(high_water) from pfa_sync_private.sync_pull";
    assert_eq!(scenario.value::<String>(reached).await?, expected);
    Ok(())
}

//! PEMS confirms a change and stores another value than was sent.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::scenario::Scenario;

const LOGGED: &str = "select coalesce(jsonb_agg(jsonb_build_object('user', user_id, 'modification', modification_id, 'changes', changes)), '[]') \
                        from pfa_sync.timeline('RIO', '1') where event_type = 'STORED_DIFFERENTLY'";

/// The next pull brings the confirmed version with other values: the author learns of both, once, and nothing is a conflict.
#[tokio::test]
async fn a_value_that_pems_cuts_is_said_to_its_author() -> Result<()> {
    let scenario = Scenario::new().await?;
    let position: String = scenario.value("select pfa_sync.event_position()").await?;
    let id = scenario.edit("1", json!({"model": "LTM 1300 with long boom", "monthlyRate": 13000})).await?;
    scenario.deliver().await?;
    for _ in 0..2 {
        scenario.foreign_edit("1", 2, json!({"model": "LTM 1300", "monthlyRate": 13000.00})).await?;
    }
    let values = json!({"fields": ["model"], "ours": {"model": "LTM 1300 with long boom"}, "theirs": {"model": "LTM 1300"}});
    let expected = json!([{"user": "usr_editor", "modification": id, "changes": values}]);
    assert_eq!(scenario.value::<Value>(LOGGED).await?, expected);
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    assert_eq!(scenario.mirror("1").await?["model"], "LTM 1300");
    let heard = scenario.client.query("select event from pfa_sync.events($1)", &[&position]).await?;
    assert!(heard.iter().any(|row| row.get::<_, &str>(0) == "stored_differently"));
    scenario.check().await
}

/// A pull may read the record before the relay reports PEMS' answer.
#[tokio::test]
async fn a_pull_that_is_faster_than_the_report_changes_nothing_of_that() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "LTM 1300 with long boom"})).await?;
    let claimed = scenario.send().await?;
    scenario.foreign_edit("1", 2, json!({"model": "LTM 1300"})).await?;
    scenario.report("complete", &claimed, json!({"version": 2, "updated_at": "2026-02-02T00:00:00.000Z"})).await?;
    assert_eq!(scenario.value::<Value>(LOGGED).await?[0]["changes"]["theirs"], json!({"model": "LTM 1300"}));
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    scenario.check().await
}

/// What PEMS only spells otherwise is what was sent, and another user's next version says nothing about ours.
#[rstest]
#[case::blanks("Crane", 2, "Crane  ")]
#[case::normal_form("Gr\u{fc}n", 2, "Gru\u{308}n")]
#[case::the_next_version("Crane", 3, "Theirs")]
#[tokio::test]
async fn what_is_no_difference_is_not_said(#[case] ours: &str, #[case] version: i64, #[case] theirs: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": ours})).await?;
    scenario.deliver().await?;
    scenario.foreign_edit("1", version, json!({"model": theirs})).await?;
    assert_eq!(scenario.value::<Value>(LOGGED).await?, json!([]));
    scenario.check().await
}

/// Both prices are hidden from a user who may not see prices.
#[tokio::test]
async fn both_values_of_a_price_are_masked() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"monthlyRate": 13000.5})).await?;
    scenario.deliver().await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 13001})).await?;
    let shown = "select pfa_sync_private.masked(changes, false) from pfa_sync_private.pfa_audit_log where event_type = 'STORED_DIFFERENTLY'";
    assert_eq!(scenario.value::<Value>(shown).await?, json!({"fields": ["monthlyRate"], "ours": {}, "theirs": {}}));
    scenario.check().await
}

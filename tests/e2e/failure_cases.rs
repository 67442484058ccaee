//! Failures as cases: dead letters and failing attempts by cause, with what users note about them.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

/// A change of record 1 whose attempt fails so.
async fn failing(scenario: &Scenario, report: Value) -> Result<()> {
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, report).await?;
    Ok(())
}

/// Of a failed attempt, the code is that of its outcome, whatever its text.
#[rstest]
#[case::throttled(json!({"outcome": "throttled", "error": "429", "retry_after_ms": 5000}), "THROTTLED", "attempt", 0, 1)]
#[case::unavailable(json!({"outcome": "unavailable", "error": "rejected: 500", "http_status": 500}), "UNAVAILABLE", "dead_letter", 0, 1)]
#[case::outage(json!({"outcome": "outage", "error": "a page"}), "OUTAGE", "attempt", 0, 1)]
#[case::locked(json!({"outcome": "locked"}), "LOCKED", "conflict", 0, 1)]
#[case::unauthorized(json!({"outcome": "unauthorized", "error": "401"}), "UNAUTHORIZED", "attempt", 0, 1)]
#[case::ambiguous(json!({"outcome": "ambiguous", "error": "no answer"}), "AMBIGUOUS", "attempt", 0, 1)]
#[case::rejected(json!({"outcome": "rejected", "error": "outage: no"}), "REJECTED", "dead_letter", 1, 0)]
#[tokio::test]
async fn a_failure_has_the_code_of_its_outcome(
    #[case] report: Value,
    #[case] code: &str,
    #[case] kind: &str,
    #[case] letters: i64,
    #[case] attempts: i64,
) -> Result<()> {
    let scenario = Scenario::new().await?;
    failing(&scenario, report).await?;
    for round in 0..2 {
        let query = "select code, kind, open_dead_letters, failing_attempts, cardinality(examples), state, meaning, last_hour from pfa_sync.failures";
        let row = scenario.client.query_one(query, &[]).await?;
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (code, kind));
        assert_eq!((row.get::<_, i64>(2), row.get::<_, i64>(3), row.get::<_, i32>(4)), (letters, attempts, 1));
        assert_eq!(row.get::<_, &str>(5), "open");
        assert!(!row.get::<_, &str>(6).is_empty());
        assert_eq!(row.get::<_, i64>(7), round, "maintain() counts it, once");
        scenario.client.batch_execute("select pfa_sync.maintain()").await?;
    }
    let seen =
        "select first_seen <= last_seen and last_seen > now() - interval '1 minute' and trend = 'up' from pfa_sync.failures";
    assert!(scenario.value::<bool>(seen).await?);
    scenario.check().await
}

/// What has gone to PEMS after all fails no more.
#[tokio::test]
async fn a_failure_ends_with_its_change() -> Result<()> {
    let scenario = Scenario::new().await?;
    failing(&scenario, json!({"outcome": "unavailable", "error": "500", "http_status": 500})).await?;
    scenario.client.batch_execute("update pfa_sync_private.pfa_write_queue set scheduled_at = now()").await?;
    scenario.deliver().await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.failures").await?, 0);
    scenario.check().await
}

/// Examples are few, however many there are.
#[tokio::test]
async fn five_examples_stand_for_all() -> Result<()> {
    let scenario = Scenario::new().await?;
    for round in 0..7 {
        failing(&scenario, json!({"outcome": "rejected", "error": format!("no {round}")})).await?;
    }
    let row = scenario.client.query_one("select open_dead_letters, examples from pfa_sync.failures", &[]).await?;
    let latest: Vec<i64> =
        scenario.value("select array_agg(queue_id order by failed_at desc) from pfa_sync.dead_letters").await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, Vec<i64>>(1)), (7, latest[..5].to_vec()));
    Ok(())
}

/// A fixed case is open again with the next failure of its cause, and not before.
#[tokio::test]
async fn a_fixed_failure_opens_by_itself() -> Result<()> {
    let scenario = Scenario::new().await?;
    failing(&scenario, json!({"outcome": "rejected", "error": "no"})).await?;
    scenario.client.batch_execute("select pfa_sync.maintain()").await?;
    let noted: Value = scenario.value("select pfa_sync.note_failure('REJECTED', 'RIO', 'the code list of PEMS', 'ada')").await?;
    assert_eq!(noted, json!({"code": "REJECTED", "note": "the code list of PEMS", "owner": "ada", "state": "open"}));
    let fixed: Value = scenario.value("select pfa_sync.note_failure('REJECTED', 'RIO', state => 'fixed', owner => '')").await?;
    assert_eq!(fixed, json!({"code": "REJECTED", "note": "the code list of PEMS", "owner": null, "state": "fixed"}));
    scenario.client.batch_execute("select pfa_sync.maintain()").await?;
    let state = "select state || ', ' || note from pfa_sync.failures";
    assert_eq!(scenario.value::<String>(state).await?, "fixed, the code list of PEMS");
    failing(&scenario, json!({"outcome": "rejected", "error": "no"})).await?;
    assert_eq!(scenario.value::<String>(state).await?, "open, the code list of PEMS");
    let logged = "select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'FAILURE_NOTED' and organization_id = 'org_RIO_173'";
    assert_eq!(scenario.value::<i64>(logged).await?, 2);
    scenario.check().await
}

/// The fleet's note holds where an organization has none of its own.
#[tokio::test]
async fn a_note_of_the_fleet_gives_way_to_one_of_the_organization() -> Result<()> {
    let scenario = Scenario::new().await?;
    failing(&scenario, json!({"outcome": "rejected", "error": "no"})).await?;
    scenario.client.batch_execute("select pfa_sync.note_failure('REJECTED', null, 'everywhere', state => 'known')").await?;
    let noted = "select state || ', ' || note from pfa_sync.failures";
    assert_eq!(scenario.value::<String>(noted).await?, "known, everywhere");
    scenario.client.batch_execute("select pfa_sync.note_failure('REJECTED', 'RIO', 'here', state => 'looking')").await?;
    assert_eq!(scenario.value::<String>(noted).await?, "looking, here");
    Ok(())
}

#[tokio::test]
async fn notes_need_their_permission_and_a_cause() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let grant = r#"update user_organizations set "perm_ManageSettings" = true where "userId" = 'usr_second'"#;
    scenario.client.batch_execute(grant).await?;
    for (organization, user, expected) in [
        (Some("RIO"), Some("usr_editor"), Some("PF002")),
        (Some("RIO"), None, Some("PF002")),
        (Some("HARBOUR"), Some("usr_second"), Some("PF002")),
        (None, Some("usr_second"), Some("PF002")),
        (Some("ATLANTIS"), Some("usr_admin"), Some("PF008")),
        (Some("RIO"), Some("usr_second"), None),
        (None, Some("usr_admin"), None),
    ] {
        let call = "select pfa_sync.note_failure('REJECTED', $1, 'note', user_id => $2)";
        let answer = session.query(call, &[&organization, &user]).await;
        let code = answer.err().map(|error| refusal(&error.into()).0);
        assert_eq!(code.as_deref(), expected, "{organization:?} as {user:?}");
    }
    for code in ["ok", "CHANGED_IN_PEMS", "SOMETHING"] {
        let error = scenario.client.query("select pfa_sync.note_failure($1, 'RIO')", &[&code]).await.unwrap_err();
        assert_eq!(refusal(&error.into()).0, "PF008", "{code}");
    }
    Ok(())
}

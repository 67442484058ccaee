//! `GET /api/pems/sync-status`: the sum over the organizations, and each of them.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, HARBOUR, pems_record};

use crate::support::api::{Api, problem};
use crate::support::scenario::Scenario;

/// RIO with two changes that wait and one in PEMS, HARBOUR paused with one that waits.
async fn prepared() -> Result<Scenario> {
    let scenario = Scenario::new().await?;
    scenario.client.query("select pfa_sync.ingest('HARBOUR', $1)", &[&json!([pems_record("HARBOUR", "1")])]).await?;
    scenario.client.batch_execute("select pfa_sync.resume(); select pfa_sync.heartbeat('relay-1', '1', 'aaaaaa')").await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    while scenario.deliver().await? > 0 {}
    scenario.client.batch_execute("select pfa_sync.pause('HARBOUR', 'maintenance of the dock')").await?;
    scenario.edit("1", json!({"model": "Y"})).await?;
    scenario.edit("1", json!({"model": "Z"})).await?;
    let application = scenario.application();
    application.draft(EDITOR, HARBOUR, "1", json!({"model": "Q"})).await?;
    application.commit(EDITOR, HARBOUR).await?;
    Ok(scenario)
}

fn codes(status: &Value) -> Vec<&str> {
    status["organizations"].as_array().into_iter().flatten().filter_map(|o| o["organizationCode"].as_str()).collect()
}

#[tokio::test]
async fn the_sum_stands_at_the_top_and_has_the_worst_health() -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &[]).await?;
    let status = api.get("usr_admin", "/api/pems/sync-status").await?;
    let keys: Vec<&str> = status.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    for key in [
        "totalQueued",
        "processing",
        "completed",
        "failed",
        "avgSyncTime",
        "lastSyncAt",
        "nextSyncAt",
        "health",
        "healthCode",
        "healthReason",
        "organizations",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    assert_eq!(keys.len(), 11, "{keys:?}");
    let organizations = status["organizations"].as_array().expect("a list");
    for figure in ["totalQueued", "processing", "completed", "failed"] {
        let sum: i64 = organizations.iter().filter_map(|o| o[figure].as_i64()).sum();
        assert_eq!(status[figure], json!(sum), "{figure}");
    }
    let of = |code: &str| organizations.iter().find(|o| o["organizationCode"] == code).expect("the organization");
    assert_eq!((&of("RIO")["health"], &of("RIO")["healthCode"]), (&json!("healthy"), &json!("ok")));
    assert_eq!((&of("HARBOUR")["health"], &of("HARBOUR")["healthCode"]), (&json!("degraded"), &json!("paused")));
    assert_eq!(
        (&status["health"], &status["healthCode"], &status["healthReason"]),
        (&json!("degraded"), &json!("paused"), &json!("maintenance of the dock"))
    );
    // Each completed change counts once in the average.
    let seconds = |o: &Value| o["avgSyncTime"].as_f64().unwrap_or(0.0) * o["completed"].as_f64().unwrap_or(0.0);
    let average = organizations.iter().map(seconds).sum::<f64>() / status["completed"].as_f64().expect("a number");
    assert!((status["avgSyncTime"].as_f64().expect("a number") - average).abs() < 0.002, "{status}");
    assert_eq!(status["lastSyncAt"], *organizations.iter().map(|o| &o["lastSyncAt"]).max_by_key(|at| at.as_str()).expect("one"));
    Ok(())
}

#[rstest]
#[case::pending("status=pending", &["HARBOUR", "RIO"])]
#[case::processing("status=processing", &[])]
#[case::failed("status=failed", &[])]
#[case::completed("status=completed&organizationId=RIO", &["RIO"])]
#[case::health("healthCode=paused", &["HARBOUR"])]
#[case::both("healthCode=ok&status=pending", &["RIO"])]
#[case::organization("organizationId=RIO", &["RIO"])]
#[tokio::test]
async fn filters_select_organizations_and_the_sum_is_theirs(#[case] query: &str, #[case] expected: &[&str]) -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &[]).await?;
    let status = api.get("usr_admin", &format!("/api/pems/sync-status?{query}")).await?;
    assert_eq!(codes(&status), expected);
    let queued: i64 = status["organizations"].as_array().into_iter().flatten().filter_map(|o| o["totalQueued"].as_i64()).sum();
    assert_eq!(status["totalQueued"], json!(queued));
    if expected.is_empty() {
        assert_eq!(
            (&status["health"], &status["healthCode"], &status["avgSyncTime"]),
            (&json!("healthy"), &json!("ok"), &Value::Null)
        );
        assert_eq!((&status["completed"], &status["failed"], &status["processing"]), (&json!(0), &json!(0), &json!(0)));
    }
    Ok(())
}

/// A user sees the sum of what that user may see.
#[tokio::test]
async fn the_sum_is_of_the_visible_organizations() -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &[]).await?;
    let status = api.get("usr_second", "/api/pems/sync-status").await?;
    assert!(!codes(&status).contains(&"HARBOUR"), "{status}");
    assert_ne!(status["healthCode"], "paused");
    Ok(())
}

#[rstest]
#[case::a_health_as_status("status=paused")]
#[case::another_word("status=done")]
#[case::another_code("healthCode=fine")]
#[tokio::test]
async fn another_word_is_refused_with_those_that_there_are(#[case] query: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let response = api.request("GET", &format!("/api/pems/sync-status?{query}"), Some("usr_viewer")).send().await?;
    let (status, code, body) = problem(response).await?;
    assert_eq!((status, code.as_str()), (422, "invalid"));
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("pending") || detail.contains("no_relay"), "{detail}");
    Ok(())
}

/// What is made once for all users shows each of them what their own status would.
#[tokio::test]
async fn each_user_is_shown_a_part_of_one_state() -> Result<()> {
    let scenario = prepared().await?;
    let held = "update pfa_sync_private.sync_organization set held_since = now(), hold_reason = 'PEMS said: 401 after 12500.00' where organization_id = $1; ";
    scenario.client.batch_execute(&held.replace("$1", "'org_HARBOUR_7'")).await?;
    let prices = r#"update user_organizations set "perm_ViewFinancials" = false where "userId" = 'usr_viewer'"#;
    scenario.client.batch_execute(prices).await?;
    let mut seen = Vec::new();
    for user in ["usr_viewer", "usr_editor", "usr_second", "usr_admin"] {
        let session = scenario.acting(user).await?;
        for filters in ["null, null, null", "'RIO', null, null", "null, 'pending', null", "null, null, 'held'"] {
            let own = format!("select coalesce(jsonb_agg(s), '[]') from pfa_sync.status({}) s", named(filters));
            let part =
                format!("select coalesce(jsonb_agg(s), '[]') from pfa_sync.status_from(pfa_sync.status_of_all(), {filters}) s");
            let [own, part]: [Value; 2] =
                [session.query_one(&own, &[]).await?.get(0), session.query_one(&part, &[]).await?.get(0)];
            assert_eq!(own, part, "{user}: {filters}");
            seen.push(part.to_string());
        }
    }
    assert!(seen[0].contains("after #") && !seen[0].contains("12500"), "{}", seen[0]);
    assert!(seen[4].contains("12500"), "{}", seen[4]);
    assert!(!seen[8].contains("HARBOUR"), "{}", seen[8]);
    Ok(())
}

/// The filters of status() by their names: organization, status, health.
fn named(filters: &str) -> String {
    let names = ["organization", "status", "health_code"];
    names.iter().zip(filters.split(", ")).map(|(name, value)| format!("{name} => {value}")).collect::<Vec<_>>().join(", ")
}

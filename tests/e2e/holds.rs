//! Organizations that are held because PEMS refused their credentials.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;

use crate::support::scenario::Scenario;

/// A hold ends when a relay has other credentials, whether a write or a pull met the refusal; the same credentials end
/// nothing.
#[rstest]
#[case::of_a_write("write")]
#[case::of_a_pull("pull")]
#[case::of_a_pull_by_hand("pull_by_hand")]
#[tokio::test]
async fn a_hold_ends_with_other_credentials(#[case] refused: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let heartbeat =
        async |fingerprint: &str| scenario.client.execute("select pfa_sync.heartbeat('relay-1', '1', $1)", &[&fingerprint]).await;
    let health = async || scenario.value::<String>("select health from pfa_sync.status('RIO')").await;
    heartbeat("aaaaaa").await?;
    if refused == "write" {
        scenario.edit("1", json!({"model": "X"})).await?;
        let sent = scenario.send().await?;
        scenario.report("fail", &sent, json!({"outcome": "unauthorized", "error": "401", "http_status": 401})).await?;
    } else {
        // A pull by hand comes from a relay that sends no heartbeat.
        let relay = if refused == "pull" { "relay-1" } else { "by-hand" };
        let pull =
            scenario.client.query_one("select pull_id, fencing_token from pfa_sync.begin_pull($1, 'RIO')", &[&relay]).await?;
        let end = "select pfa_sync.end_pull($1, $2, 'PEMS answered 401', unauthorized => true, credentials => $3)";
        let fingerprint = (refused == "pull_by_hand").then_some("aaaaaa");
        scenario.client.execute(end, &[&pull.get::<_, i64>(0), &pull.get::<_, i32>(1), &fingerprint]).await?;
    }
    assert_eq!(health().await?, "held");
    heartbeat("aaaaaa").await?;
    assert_eq!(health().await?, "held", "the same credentials are not tried again");
    heartbeat("bbbbbb").await?;
    assert_eq!(health().await?, "ok");
    Ok(())
}

//! Sync on demand: what it is asked for exists, and what it promises is true.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::scenario::{Scenario, refusal};

/// Modifications that the organization does not have are named, instead of a job with nothing in it.
#[tokio::test]
async fn unknown_modifications_are_named() -> Result<()> {
    let scenario = Scenario::new().await?;
    let known = scenario.edit("1", json!({"model": "X"})).await?;
    let ask = async |organization: &str, ids: &[Option<&str>]| {
        scenario.client.query_one("select queued from pfa_sync.write_sync($1, $2)", &[&organization, &ids]).await
    };
    assert_eq!(ask("RIO", &[Some(known.as_str())]).await?.get::<_, i64>(0), 1);
    let error = ask("RIO", &[Some(known.as_str()), Some("mod_7"), Some("mod_8")]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!((code.as_str(), message.as_str()), ("PF008", "organization RIO has no modification mod_7, mod_8"));
    for (organization, id) in [("HARBOUR", Some(known.as_str())), ("RIO", None)] {
        assert_eq!(refusal(&ask(organization, &[id]).await.unwrap_err().into()).0, "PF008");
    }
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.jobs where kind = 'write_sync'").await?, 1);
    scenario.check().await
}

/// While nothing is sent there is no time to tell; health says why, whatever else is the matter.
#[rstest]
#[case::paused("select pfa_sync.pause('RIO', 'works')", "paused")]
#[case::held("update pfa_sync_private.sync_organization set held_since = now()", "held")]
#[case::pems_down(
    "update pfa_sync_private.pems set failures = 3, opened_at = now(), open_until = now() + interval '1 minute'",
    "pems_down"
)]
#[case::no_relay(
    "select pfa_sync.heartbeat('r', '1'); update pfa_sync_private.relay set seen_at = now() - interval '1 hour'",
    "no_relay"
)]
#[tokio::test]
async fn nothing_is_promised_while_nothing_is_sent(#[case] fault: &str, #[case] code: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    // A dead letter is worse than a pause, and stops nothing.
    scenario.edit("2", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "rejected"})).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let sync = "select estimate is null, coalesce(health, '-') from pfa_sync.write_sync('RIO')";
    let row = scenario.client.query_one(sync, &[]).await?;
    assert_eq!((row.get::<_, bool>(0), row.get::<_, &str>(1)), (false, "-"));
    scenario.client.batch_execute(fault).await?;
    let row = scenario.client.query_one(sync, &[]).await?;
    assert_eq!((row.get::<_, bool>(0), row.get::<_, &str>(1)), (true, code));
    scenario.check().await
}

#[tokio::test]
async fn the_api_says_the_same() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;
    let answer = api.post("usr_editor", "/api/pems/write-sync", json!({"organizationId": "RIO"})).await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    assert_eq!((&answer["estimatedCompletionTime"], &answer["health"]), (&Value::Null, &json!("paused")));
    let unknown = json!({"organizationId": "RIO", "modificationIds": ["mod_7"]});
    assert_eq!(api.post("usr_editor", "/api/pems/write-sync", unknown).await?.status(), 404);
    Ok(())
}

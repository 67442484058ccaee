//! From when on health says that something is wrong: settings, and the forecast of the queue.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::Scenario;

const BEAT: &str = "select pfa_sync.heartbeat('relay-1', '1')";

/// Code, severity and reason of RIO's health.
async fn health(scenario: &Scenario) -> Result<(String, String, String)> {
    let row = scenario.client.query_one("select code, severity, reason from pfa_sync.health('RIO')", &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// The limits are settings: each case is beyond the default, and within what an administrator allows.
#[rstest]
#[case::silence(
    "update pfa_sync_private.relay set seen_at = now() - interval '20 minutes'",
    "no_relay",
    "health_relay_silence",
    "30 minutes",
    None
)]
#[case::retry(
    "update pfa_sync_private.pfa_write_queue set scheduled_at = now() + interval '10 minutes'",
    "throttled",
    "health_throttle",
    "1 hour",
    Some("RIO")
)]
#[case::stall(
    "update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '1 hour'",
    "stalled",
    "health_stall",
    "2 hours",
    Some("RIO")
)]
#[case::queue_age(
    "update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '5 minutes'",
    "slow",
    "health_queue_age",
    "1 hour",
    Some("RIO")
)]
#[tokio::test]
async fn the_limits_of_health_are_settings(
    #[case] fault: &str,
    #[case] code: &str,
    #[case] setting: &str,
    #[case] value: &str,
    #[case] organization: Option<&str>,
) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("update pfa_sync_private.sync_organization set released_at = null").await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(BEAT).await?;
    scenario.client.batch_execute(fault).await?;
    assert_eq!(health(&scenario).await?.0, code);
    scenario.client.query("select pfa_sync.set($1, $2, $3)", &[&setting, &value, &organization]).await?;
    assert_ne!(health(&scenario).await?.0, code);
    Ok(())
}

/// A queue that has been due for minutes is healthy while it drains, however long it is, and slow when it grows.
#[tokio::test]
async fn a_long_queue_that_drains_is_healthy() -> Result<()> {
    let scenario = Scenario::new().await?;
    let records: Vec<_> = (1000..1400).map(|id| pems_record("RIO", &id.to_string())).collect();
    scenario.ingest(&records).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"contract": "C"}', version, now() from pfa_mirror where length("pfaId") = 4"#;
    scenario.client.execute(insert, &[&EDITOR]).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    let long_ago = "update pfa_sync_private.sync_organization set released_at = null; \
                    update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '1 hour', created_at = now() - interval '1 hour'";
    scenario.client.batch_execute(&format!("{BEAT}; {long_ago}")).await?;
    let claimed = scenario.send().await?;
    scenario.report("complete", &claimed, json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    assert_eq!(health(&scenario).await?.0, "ok");
    let forecast = "select state || ' ' || (clears_at > now()) from pfa_sync.drain_forecast('RIO')";
    assert_eq!(scenario.value::<String>(forecast).await?, "draining true");

    // One large commit is no trend; as much in each of the last slots is one.
    let queued = |slots: i32| {
        let client = &scenario.client;
        async move {
            let insert = "insert into pfa_sync_private.kpi_rollup (organization_id, period, measure, samples) \
                          select 'org_RIO_173', date_bin('5 minutes', now(), 'epoch') - n * interval '5 minutes', 'committed', 5000 \
                            from generate_series(1, $1) n on conflict do nothing";
            client.execute(insert, &[&slots]).await
        }
    };
    queued(1).await?;
    assert_eq!(health(&scenario).await?.0, "ok");
    queued(3).await?;
    let (code, severity, reason) = health(&scenario).await?;
    assert_eq!((code.as_str(), severity.as_str()), ("slow", "warning"), "{reason}");
    assert!(reason.contains("queued in a minute"), "{reason}");
    assert_eq!(scenario.value::<String>("select state from pfa_sync.drain_forecast('RIO')").await?, "growing");
    scenario.check().await
}

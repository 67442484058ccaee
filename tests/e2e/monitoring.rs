//! The monitoring endpoints of the relay and of the API.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::api::Api;
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

async fn ask(address: &str, path: &str) -> Result<(StatusCode, String)> {
    let answer = reqwest::get(format!("{address}{path}")).await?;
    Ok((answer.status(), answer.text().await?))
}

/// The value of a figure, by its name and labels as written.
fn figure(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{name} is missing: {text}"))?;
    Ok(line.trim().parse()?)
}

#[tokio::test]
async fn the_relay_tells_what_it_did_and_how_the_queue_stands() -> Result<()> {
    let stack = Stack::new(3).await?;
    let mut relay = stack.relay_with_arguments("run", &["--monitoring", "127.0.0.1:0"])?;
    let line = relay.line().await?;
    let address = line.strip_prefix("monitored on ").context("the address")?;
    stack.scenario.edit("1", json!({"model": "Mine"})).await?;
    stack.until_drained().await?;
    stack.scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;
    stack.scenario.edit("2", json!({"model": "Mine"})).await?;
    assert_eq!(ask(address, "/livez").await?.0, 204);
    assert_eq!(ask(address, "/readyz").await?.0, 204);
    let (_, text) = ask(address, "/metrics").await?;
    for (name, value) in [
        ("pfa_relay_records_total{status=\"completed\"}", 1.0),
        ("pfa_sync_changes{organization=\"RIO\",state=\"queued\"}", 1.0),
        ("pfa_sync_healthy{health=\"paused\",organization=\"RIO\"}", 0.0),
        ("pfa_sync_database_up", 1.0),
    ] {
        assert_eq!(figure(&text, name)?, value, "{name}");
    }
    assert!(figure(&text, "pfa_relay_requests_total{status=\"200\"}")? >= 1.0);
    assert!(figure(&text, "pfa_relay_request_seconds_count")? >= 1.0);
    let heads: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut once = heads.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(heads.len(), once.len(), "each name is described once");

    stack.scenario.client.batch_execute("select pfa_sync.detach()").await?;
    // Answers of the database are shared for a second.
    while ask(address, "/readyz").await?.0 != 503 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    loop {
        let (status, text) = ask(address, "/metrics").await?;
        assert_eq!(status, StatusCode::OK);
        if figure(&text, "pfa_sync_database_up")? == 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(relay.stop().await?.success());
    Ok(())
}

/// No token is needed for it, so it says nothing of any organization.
#[tokio::test]
async fn the_api_counts_what_it_is_asked() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let mut api = Api::start(&scenario, &["--monitoring", "127.0.0.1:0"]).await?;
    let line = api.process.line().await?;
    let address = line.strip_prefix("monitored on ").context("the address")?;
    for _ in 0..3 {
        api.get("usr_viewer", "/api/pems/sync-status?organizationId=RIO").await?;
    }
    api.request("GET", "/api/nothing/RIO", Some("usr_viewer")).send().await?;
    let (_, text) = ask(address, "/metrics").await?;
    assert_eq!(figure(&text, "pfa_api_requests_total{route=\"/api/pems/sync-status\",status=\"200\"}")?, 3.0);
    assert_eq!(figure(&text, "pfa_api_requests_total{route=\"none\",status=\"404\"}")?, 1.0);
    assert!(!text.contains("RIO"));
    assert_eq!(ask(address, "/readyz").await?.0, 204);
    assert_eq!(api.request("GET", "/metrics", None).send().await?.status(), 404, "not where users ask");
    Ok(())
}

//! The Grafana dashboard and the alert rules: each of their queries is asked of a real Prometheus that reads a relay and an
//! API.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::process::{Process, program};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::support::api::Api;
use crate::support::stack::Stack;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Longest wait for Prometheus. A test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_query_of_dashboard_and_rules_has_its_metrics() -> Result<()> {
    let stack = Stack::new(3).await?;
    // Pulls are due only where they are scheduled.
    stack.scenario.client.batch_execute("select pfa_sync.set('inbound', 'relay')").await?;
    ensure!(stack.relay("pull")?.wait().await?.success());
    let mut relay = stack.relay_with_arguments("run", &["--monitoring", "127.0.0.1:0"])?;
    let mut api = Api::start(&stack.scenario, &["--monitoring", "127.0.0.1:0"]).await?;
    let monitored = [monitored(&mut relay).await?, monitored(&mut api.process).await?];
    stack.scenario.edit("1", json!({"model": "Mine"})).await?;
    stack.until_drained().await?;
    api.get("usr_viewer", "/api/pems/sync-status?organizationId=RIO").await?;

    let directory = tempfile::tempdir()?;
    let rules = Path::new(REPOSITORY).join("deploy/prometheus/pfa-sync.rules.yml");
    let config = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [job("pfa-relay", &monitored[0]), job("pfa-api", &monitored[1])],
    });
    // JSON is YAML.
    fs::write(directory.path().join("prometheus.yml"), config.to_string())?;
    // Prometheus does not say which port it chose.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _prometheus = Command::new(prometheus()?)
        .arg(format!("--web.listen-address={address}"))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
        .current_dir(&directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let both_read = async {
        while !both_are_up(&format!("http://{address}")).await {
            sleep(Duration::from_millis(100)).await
        }
    };
    timeout(PATIENCE, both_read).await.context("Prometheus has not read the relay and the API")?;

    let output = Command::new(Path::new(REPOSITORY).join("scripts/check-grafana"))
        .arg(format!("http://{address}"))
        .kill_on_drop(true)
        .output()
        .await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stack.scenario.check().await
}

/// The address of a program's monitoring, without its scheme.
async fn monitored(process: &mut Process) -> Result<String> {
    Ok(process.line().await?.strip_prefix("monitored on http://").context("the address")?.to_owned())
}

fn job(name: &str, address: &str) -> Value {
    json!({"job_name": name, "static_configs": [{"targets": [address]}]})
}

async fn both_are_up(address: &str) -> bool {
    let Ok(answer) = reqwest::get(format!("{address}/api/v1/query?query=count(up==1)")).await else { return false };
    let answer: Value = answer.json().await.unwrap_or_default();
    answer["data"]["result"][0]["value"][1] == "2"
}

/// Where `make setup` unpacks it, else the one on PATH.
fn prometheus() -> Result<PathBuf> {
    let target = program("pfa-api")?.ancestors().nth(2).context("the tests run outside of target/")?.to_owned();
    let unpacked = target.join("prometheus/usr/bin/prometheus");
    Ok(if unpacked.is_file() { unpacked } else { "prometheus".into() })
}

//! How long edits take from the application's UPDATE to PEMS, through the real relay, within the limit.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio_postgres::Client;

use super::commit::{draft, fill, milliseconds};
use super::{ROUNDS, Report, Unit};
use crate::application::{Application, EDITOR, RIO, pems_record};
use crate::cluster::{Database, Login, Server, Template};
use crate::export::Record;
use crate::process::Process;
use crate::simulator::{Config, Simulator};

const EDITS: usize = 1_000;
const SINGLES: usize = 200;
/// Between single edits: a request slot is free again.
const APART: Duration = Duration::from_millis(250);
/// Longest that anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Measures 1,000 edits of one UPDATE, and single edits on an idle queue, from the UPDATE's start until PEMS has them all.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    fill(&client).await?;
    client.batch_execute("select pfa_sync.set('inbound', 'off')").await?;
    let pems = Simulator::start(Config::default()).await?;
    let rows = client.query(r#"select "pfaId" from pfa_mirror where "organizationId" = $1"#, &[&RIO]).await?;
    pems.load(rows.iter().map(|row| stored("RIO", row.get(0))));
    let (relay, _ca) = relay(&database, &pems)?;
    let application = Application::new(&client);

    let mut bulk = Vec::new();
    // The first round fills caches and is not counted.
    for round in 0..=ROUNDS {
        draft(&client, round).await?;
        let written = written(&pems);
        let started = Instant::now();
        application.commit(EDITOR, RIO).await?;
        until(&pems, written + EDITS).await?;
        if round > 0 {
            bulk.push(started.elapsed().as_secs_f64());
        }
        drained(&client).await?;
    }
    report.median("UPDATE of 1,000 edits until all are in PEMS (10 requests/s)", &bulk, Unit::Seconds, Some("at most 3 s"));

    let mut singles = Vec::new();
    for edit in 0..SINGLES {
        let next = tokio::time::Instant::now() + APART;
        application.draft(EDITOR, RIO, &format!("{edit:05}"), json!({"model": format!("single {edit}")})).await?;
        let written = written(&pems);
        let started = Instant::now();
        application.commit(EDITOR, RIO).await?;
        until(&pems, written + 1).await?;
        singles.push(milliseconds(started));
        drained(&client).await?;
        tokio::time::sleep_until(next).await;
    }
    let name = "single edit on an idle queue, UPDATE until it is in PEMS";
    report.percentile(name, "p50", 0.5, &singles, Unit::Milliseconds, Some("at most 50 ms"));
    report.percentile(name, "p99", 0.99, &singles, Unit::Milliseconds, None);

    ensure!(relay.stop().await?.success(), "the relay failed");
    ensure!(pems.log().iter().all(|request| request.status == Some(200)), "PEMS refused a request");
    pems.stop().await;
    Ok(())
}

/// A relay that writes to the simulator, and the file of its CA.
pub(super) fn relay(database: &Database, pems: &Simulator) -> Result<(Process, NamedTempFile)> {
    let mut ca = NamedTempFile::new()?;
    ca.write_all(pems.ca_pem().as_bytes())?;
    let relay = Process::start("pfa-relay", |command| {
        command
            .args(["run", "--log-level", "warn"])
            .env("DATABASE_URL", database.url_as(Login::Relay))
            .env("PEMS_URL", pems.url())
            .env("PEMS_CA", ca.path())
            .env("PEMS_USER", "pfa-sync")
            .env("PEMS_PASSWORD", "secret")
            .env("PEMS_TENANT", "TEST");
    })?;
    Ok((relay, ca))
}

/// A record of an organization as the simulator takes it.
pub(super) fn stored(code: &str, pfa_id: &str) -> Record {
    let mut fields = pems_record(code, pfa_id).as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| !["organization", "version", "updatedAt"].contains(&field.as_str()));
    Record { organization: code.to_owned(), fields }
}

/// Writes that PEMS has applied so far.
fn written(pems: &Simulator) -> usize {
    pems.log().iter().map(|request| request.writes.len()).sum()
}

/// Waits until PEMS has applied so many writes.
pub(super) async fn until(pems: &Simulator, written: usize) -> Result<()> {
    let arrived = pems.wait_for(|log| log.iter().map(|request| request.writes.len()).sum::<usize>() >= written);
    tokio::time::timeout(PATIENCE, arrived).await.context("the edits don't arrive in PEMS")?;
    Ok(())
}

/// Waits until the outcomes are recorded too.
async fn drained(client: &Client) -> Result<()> {
    let waiting = async {
        while client.query_one("select exists (select from pfa_sync.queue)", &[]).await?.get(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(PATIENCE, waiting).await.context("the outcomes are not recorded")?
}

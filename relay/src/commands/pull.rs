//! `pfa-relay pull`: pulls organizations in full, once, and prints progress and results.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use pfa_service::database::Database;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    calls::{Calls, Organization},
    inbound::pull::{Puller, Totals},
    settings::Settings,
    systems::Systems,
};

/// How often progress is logged when standard error is not a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Pulls the organizations named by id or code in full, or all active ones. `Ok(false)` = at least one failed.
pub async fn pull(settings: &Settings, only: &[String]) -> Result<bool> {
    let database = Database::new(settings.database()?, settings.database.database_ca.as_deref(), 2, "pfa-relay")?;
    let calls = Calls::new(database, settings.relay_name());
    let systems = Arc::new(Systems::new(calls.clone(), settings.pems()?)?);
    systems.follow().await?;
    let puller = Puller { systems: systems.clone(), calls, page_size: settings.page_size, stop: CancellationToken::new() };
    let mut organizations = Vec::new();
    if only.is_empty() {
        organizations = puller.calls.inbound_organizations(None).await?;
    }
    for name in only {
        let found = puller.calls.inbound_organizations(Some(name)).await?;
        organizations.push(found.into_iter().next().with_context(|| format!("organization {name} is not active"))?);
    }

    let mut all_complete = true;
    for organization in &organizations {
        all_complete &= tokio::select! {
            complete = pull_one(&puller, organization) => complete?,
            fault = systems.certificate_fault() => bail!(fault),
        };
    }
    Ok(all_complete)
}

async fn pull_one(puller: &Puller, organization: &Organization) -> Result<bool> {
    let Some(pull) = puller.calls.begin_pull(Some(&organization.id), None).await? else {
        error!(
            organization = organization.code,
            "a relay is pulling this organization; select * from pfa_sync.pulls shows its progress. Try again when it has ended"
        );
        return Ok(false);
    };
    let started = Instant::now();
    let mut totals = Totals::default();
    let mut progress = Progress::new(&organization.code);
    let result = puller.run(&pull, &mut totals, |totals| progress.show(totals)).await;
    drop(progress);
    print(&totals, organization, started.elapsed(), result.is_ok());
    if let Err(error) = &result {
        error!(organization = organization.code, error = error.to_string(), "the pull failed");
    }
    Ok(result.is_ok())
}

fn print(totals: &Totals, organization: &Organization, took: Duration, whole: bool) {
    let Totals { read, changed, unchanged, rejected, discontinued, rejects } = totals;
    let ending = if whole { "" } else { ", then failed" };
    println!(
        "{}: {read} read, {changed} changed, {unchanged} unchanged, {rejected} rejected, {discontinued} discontinued in {:.1} s{ending}",
        organization.code,
        took.as_secs_f64()
    );
    for reject in rejects {
        println!("  rejected: {reject}");
    }
    if *rejected > rejects.len() as i64 {
        println!("  and {} more", *rejected - rejects.len() as i64);
    }
}

/// Shows the progress of a pull: a line that changes on a terminal, otherwise a log line from time to time.
struct Progress<'a> {
    organization: &'a str,
    on_terminal: bool,
    last: Instant,
}

impl<'a> Progress<'a> {
    fn new(organization: &'a str) -> Self {
        Self { organization, on_terminal: stderr().is_terminal(), last: Instant::now() }
    }

    fn show(&mut self, totals: &Totals) {
        let Totals { read, changed, rejected, .. } = totals;
        if self.on_terminal {
            // The pull continues when the terminal is closed.
            let _ = write!(stderr(), "\r\x1b[2K{}: {read} read, {changed} changed, {rejected} rejected", self.organization);
        } else if self.last.elapsed() >= PROGRESS_INTERVAL {
            self.last = Instant::now();
            info!(organization = self.organization, read, changed, rejected, "pulling");
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.on_terminal {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

//! `pfa-relay pull`: reads PEMS' list of an organization from beginning to end into the mirror.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::{
    backoff::Backoff,
    database::{Database, DatabaseError},
    limiter::Limiter,
    pems::{Decision, Failure, HttpPems, ListQuery, Page, Pems},
    queue::{Ingested, Organization, Queue},
    settings::Settings,
};

/// Tries for a page, waits for a throttled or absent PEMS between them.
const TRIES: usize = 6;

/// The wait after a 429 that says nothing of it, and the first one after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How many refused records are shown with their reasons; all are counted.
const SHOWN_REJECTS: usize = 5;

/// How often progress is told where no terminal shows it.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

struct Pull {
    queue: Queue,
    pems: HttpPems,
    limiter: Limiter,
    page_size: u16,
}

/// What a pull of one organization has done so far.
#[derive(Default)]
struct Totals {
    read: i64,
    changed: i64,
    unchanged: i64,
    rejected: i64,
    rejects: Vec<String>,
}

/// Pulls the organizations named by id or code, or all active ones. `Ok(false)` = at least one failed.
pub async fn pull(settings: &Settings, only: &[String]) -> Result<bool> {
    let database = Database::new(settings.database()?, settings.database_ca.as_deref(), 2)?;
    let queue = Queue::new(database, settings.relay_name());
    let pull = Pull {
        pems: HttpPems::new(settings.pems()?)?,
        limiter: Limiter::new(queue.clone(), settings.requests_per_second),
        queue,
        page_size: settings.page_size,
    };
    let mut organizations = Vec::new();
    if only.is_empty() {
        organizations = pull.queue.inbound_organizations(None).await?;
    }
    for name in only {
        let found = pull.queue.inbound_organizations(Some(name)).await?;
        organizations.push(found.into_iter().next().with_context(|| format!("organization {name} is not active"))?);
    }

    let mut all_well = true;
    for organization in &organizations {
        let started = Instant::now();
        let mut totals = Totals::default();
        let result = pull.organization(organization, &mut totals).await;
        totals.print(organization, started.elapsed(), result.is_ok());
        if let Err(error) = result {
            error!(organization = organization.code, error = format!("{error:#}"), "the pull failed");
            all_well = false;
        }
    }
    Ok(all_well)
}

impl Pull {
    async fn organization(&self, organization: &Organization, totals: &mut Totals) -> Result<()> {
        let mut progress = Progress::new(&organization.code);
        let mut query = ListQuery { limit: self.page_size, ..ListQuery::default() };
        loop {
            let page = self.page(organization, &query).await?;
            totals.add(self.ingest(organization, &page.records).await?);
            progress.show(totals);
            match page.next {
                None => return Ok(()),
                next if next == query.after => bail!("PEMS' list goes round in a circle after {} records", totals.read),
                next => query.after = next,
            }
        }
    }

    /// Gets a page, in a slot of its own each time it is tried.
    async fn page(&self, organization: &Organization, query: &ListQuery) -> Result<Page> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            self.limiter.next().await?;
            let failure = match self.pems.list(&organization.code, query).await {
                Ok(page) => return Ok(page),
                Err(failure) if attempt == TRIES => return Err(failure.into()),
                Err(failure) => failure,
            };
            match failure.decision {
                Decision::Throttled { retry_after } => sleep(retry_after.unwrap_or(FIRST_WAIT)).await,
                Decision::Unavailable | Decision::Ambiguous | Decision::Locked => {
                    self.warn_of(organization, &failure);
                    sleep(wait).await;
                    wait *= 2;
                }
                Decision::Unauthorized | Decision::Rejected | Decision::Conflict => return Err(failure.into()),
            }
        }
        unreachable!("the last try returns")
    }

    async fn ingest(&self, organization: &Organization, records: &Value) -> Result<Ingested> {
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            match self.queue.ingest(&organization.id, records).await {
                Err(DatabaseError::Contended(_)) => continue,
                Err(error @ DatabaseError::Unreachable(_)) if attempt < TRIES => {
                    warn!(organization = organization.code, %error, "the database does not answer");
                    sleep(backoff.wait()).await;
                }
                done => return Ok(done?),
            }
        }
        unreachable!("the last try returns")
    }

    fn warn_of(&self, organization: &Organization, failure: &Failure) {
        let cause = failure.source.as_ref().map(|_| failure.message.as_str());
        warn!(organization = organization.code, http_status = failure.status, cause, "PEMS did not give a page; trying again");
    }
}

impl Totals {
    fn add(&mut self, page: Ingested) {
        let before = self.read;
        self.read += page.read;
        self.changed += page.changed;
        self.unchanged += page.unchanged;
        self.rejected += page.rejected;
        let room = SHOWN_REJECTS.saturating_sub(self.rejects.len());
        for reject in page.rejects.as_array().into_iter().flatten().take(room) {
            let row = before + reject["row"].as_i64().unwrap_or_default();
            let text = |key: &str| reject[key].as_str().unwrap_or("none").to_owned();
            self.rejects.push(format!("record {row} (pfaId {}): {}", text("pfaId"), text("reason")));
        }
    }

    fn print(&self, organization: &Organization, took: Duration, whole: bool) {
        let Self { read, changed, unchanged, rejected, rejects } = self;
        let verdict = if whole { "" } else { ", then failed" };
        println!(
            "{}: {read} read, {changed} changed, {unchanged} unchanged, {rejected} rejected in {:.1} s{verdict}",
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
}

/// Shows how far a pull is: a line that changes on a terminal, else a log line from time to time.
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
            // A terminal that is gone is no reason to stop.
            let _ = write!(stderr(), "\r\x1b[2K{}: {read} read, {changed} changed, {rejected} rejected", self.organization);
        } else if self.last.elapsed() >= PROGRESS_EVERY {
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

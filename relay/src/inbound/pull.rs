//! One pull: reads PEMS' list of an organization into the mirror, page by page, from where the pull stands to its end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use pfa_service::{
    database::DatabaseError,
    retry::{self, Policy},
};
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::request::{ReadError, request};
use crate::{
    calls::{Calls, Ingested, Missing, Pull, Refusal},
    pems::{Failure, FailureKind, ListQuery, Page},
    systems::{Route, Systems},
};

/// How long a page or the end of a pull is reported. By default the lease of a pull lasts as long, and another relay may take
/// the pull over afterwards.
const REPORT_PATIENCE: Duration = Duration::from_secs(60);

/// How many refused records are shown with their reasons. All are counted, and stored in the database.
const MAX_SHOWN_REJECTS: usize = 5;

/// What every pull needs.
#[derive(Clone)]
pub struct Puller {
    /// Begins pulls, ingests their pages and ends them.
    pub calls: Calls,
    /// Which PEMS pages are read from, and with which credentials.
    pub systems: Arc<Systems>,
    /// Records in a page.
    pub page_size: u16,
    /// Cancelled when the relay stops: another relay continues the pull.
    pub stop: CancellationToken,
}

/// What a pull has done under this lease.
#[derive(Debug, Default)]
pub struct Totals {
    /// Records read.
    pub read: i64,
    /// Mirror rows inserted or changed.
    pub changed: i64,
    /// Records that the mirror held already.
    pub unchanged: i64,
    /// Records refused.
    pub rejected: i64,
    /// Records that PEMS no longer has.
    pub discontinued: i64,
    /// The first refused records, with their reasons.
    pub rejects: Vec<String>,
}

/// Why a pull did not complete.
#[derive(Debug, Error)]
pub enum PullError {
    /// The relay stops.
    #[error("the relay stops; the pull continues later from where it is")]
    Stopped,
    /// This relay can't log in to the organization's PEMS.
    #[error("this relay does not serve the organization; pfa-relay doctor says why")]
    NotServed,
    /// The lease ended, and another relay has taken over the pull.
    #[error("another relay has taken over the pull")]
    TakenOver,
    /// The page was stored, but not promoted.
    #[error("{0}")]
    Halted(String),
    /// PEMS' list does not end.
    #[error("PEMS returned the same page cursor twice")]
    RepeatedCursor,
    /// PEMS did not return a page or a record.
    #[error(transparent)]
    Pems(#[from] Failure),
    /// The database did not accept it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<ReadError> for PullError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stopped => Self::Stopped,
            ReadError::Pems(failure) => Self::Pems(failure),
            ReadError::Database(error) => Self::Database(error),
        }
    }
}

impl PullError {
    /// Whether the pull can continue later from where it is. Otherwise the next one begins anew.
    fn resumable(&self) -> bool {
        match self {
            Self::Stopped | Self::NotServed | Self::TakenOver | Self::Database(_) => true,
            Self::Halted(_) | Self::RepeatedCursor => false,
            Self::Pems(failure) => !matches!(failure.kind, FailureKind::Rejected | FailureKind::Conflict),
        }
    }
}

impl Puller {
    /// Runs a pull to its end, and reports how it ended. `progress` is called with the totals after each page.
    pub async fn run(&self, pull: &Pull, totals: &mut Totals, progress: impl FnMut(&Totals)) -> Result<(), PullError> {
        let started = Instant::now();
        let route = self.systems.route(&pull.organization_id, &pull.pems).await;
        let result = match &route {
            Some(route) => self.read(route, pull, totals, progress).await,
            None => Err(PullError::NotServed),
        };
        let (error, resume) = match &result {
            Ok(()) => (None, false),
            Err(PullError::Stopped) => (None, true),
            Err(error) => (Some(error.to_string()), error.resumable()),
        };
        let refusal = match (&result, &route) {
            (Err(PullError::Pems(failure)), Some(route)) if failure.kind == FailureKind::Unauthorized => {
                Some(Refusal { fingerprint: route.fingerprint(), login: failure.status == Some(401) })
            }
            _ => None,
        };
        let end = || self.calls.end_pull(pull, error.as_deref(), resume, refusal.as_ref());
        if let Err(error) = self.persist(pull, end).await {
            warn!(pull_id = pull.id, organization = pull.organization, %error, "can't report the end of a pull; its lease decides");
        }
        let Totals { read, changed, unchanged, rejected, discontinued, .. } = totals;
        let kind = if pull.full { "full" } else { "incremental" };
        let ms = started.elapsed().as_millis() as u64;
        let (pull_id, organization) = (pull.id, &pull.organization);
        match error {
            None => info!(
                pull_id,
                organization,
                kind,
                read,
                changed,
                unchanged,
                rejected,
                discontinued,
                ms,
                whole = result.is_ok(),
                "pulled"
            ),
            Some(error) => {
                warn!(
                    pull_id,
                    organization, kind, read, changed, unchanged, rejected, ms, resume, error, "the pull did not complete"
                );
            }
        }
        result
    }

    async fn read(
        &self,
        route: &Route,
        pull: &Pull,
        totals: &mut Totals,
        mut progress: impl FnMut(&Totals),
    ) -> Result<(), PullError> {
        let mut query =
            ListQuery { updated_since: pull.updated_since.clone(), after: pull.next_page.clone(), limit: self.page_size };
        let mut whole = pull.whole;
        let mut cursors = HashSet::new();
        while !whole {
            let page = request(route, &self.stop, || route.client.list(&pull.organization, &query)).await?;
            // A list that ends never repeats one, and the pull fails before it reads a page again.
            if let Some(next) = &page.next
                && (Some(next) == query.after.as_ref() || !cursors.insert(next.clone()))
            {
                return Err(PullError::RepeatedCursor);
            }
            let ingested = self.ingest(pull, &page).await?;
            let stopped = ingested.stopped.clone();
            totals.add(ingested);
            progress(totals);
            if let Some(reason) = stopped {
                return Err(PullError::Halted(reason));
            }
            whole = page.next.is_none();
            query.after = page.next;
        }
        if pull.full { self.check_missing(route, pull, totals).await } else { Ok(()) }
    }

    /// Ingests a page, again after growing waits as long as another session holds a record of it.
    async fn ingest(&self, pull: &Pull, page: &Page) -> Result<Ingested, PullError> {
        let mut backoff = Policy::BUSY.backoff();
        let mut changed_before = 0;
        loop {
            let ingest = || self.calls.ingest_page(pull, page);
            let ingested = self.persist(pull, ingest).await?.ok_or(PullError::TakenOver)?;
            if ingested.busy == 0 || ingested.stopped.is_some() {
                return Ok(Ingested {
                    changed: ingested.changed + changed_before,
                    unchanged: ingested.unchanged - changed_before,
                    ..ingested
                });
            }
            changed_before += ingested.changed;
            self.unless_stopped(sleep(backoff.wait())).await?;
        }
    }

    /// Requests the records that no page contained: pages may have shifted while they were read.
    async fn check_missing(&self, route: &Route, pull: &Pull, totals: &mut Totals) -> Result<(), PullError> {
        let mut answers = Vec::new();
        for (pfa_id, version) in self.persist(pull, || self.calls.missing_records(pull)).await? {
            match request(route, &self.stop, || route.client.get(&pull.organization, &pfa_id)).await {
                Ok(record) => answers.push(Missing { pfa_id, version, record }),
                // PEMS has it and does not show it: it stays as it is, and stops no other.
                Err(ReadError::Pems(failure)) if failure.kind == FailureKind::Rejected => {
                    totals.refuse(format!("pfaId {pfa_id}: {failure}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !answers.is_empty() {
            totals.discontinued += self.persist(pull, || self.calls.report_missing(pull, &answers)).await?;
        }
        Ok(())
    }

    /// Makes a call of the database, and repeats it until it succeeds or the lease has certainly ended.
    async fn persist<T, F>(&self, pull: &Pull, call: impl FnMut() -> F) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let failed = |error: &DatabaseError| {
            warn!(pull_id = pull.id, organization = pull.organization, %error, "reporting on a pull again");
        };
        retry::until(Instant::now() + REPORT_PATIENCE, call, failed).await
    }

    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Result<T, PullError> {
        self.stop.run_until_cancelled(waiting).await.ok_or(PullError::Stopped)
    }
}

impl Totals {
    /// Counts a record that was read by itself.
    fn refuse(&mut self, reason: String) {
        self.rejected += 1;
        if self.rejects.len() < MAX_SHOWN_REJECTS {
            self.rejects.push(reason);
        }
    }

    fn add(&mut self, page: Ingested) {
        let before = self.read;
        self.read += page.read;
        self.changed += page.changed;
        self.unchanged += page.unchanged;
        self.rejected += page.rejected;
        let room = MAX_SHOWN_REJECTS.saturating_sub(self.rejects.len());
        for reject in page.rejects.as_array().into_iter().flatten().take(room) {
            let row = before + reject["row"].as_i64().unwrap_or_default();
            let text = |key: &str| reject.get(key).and_then(Value::as_str).unwrap_or("none").to_owned();
            self.rejects.push(format!("record {row} (pfaId {}): {}", text("pfaId"), text("reason")));
        }
    }
}

//! Reads PEMS' list of an organization, page by page, into the mirror: one pull, from where it stands to its end.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backoff::Backoff,
    database::DatabaseError,
    limiter::Limiter,
    pems::{Decision, Failure, ListQuery, Page, Pems},
    queue::{Ingested, Missing, Pull, Queue},
};

/// Tries for a page, with waits for a throttled or absent PEMS between them.
const TRIES: usize = 6;

/// The wait after a 429 that says nothing of it, and the first one after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How many refused records are shown with their reasons; all are counted, and kept in the database.
const SHOWN_REJECTS: usize = 5;

/// What it takes to pull.
#[derive(Clone)]
pub struct Puller {
    /// Where pulls come from, and pages go.
    pub queue: Queue,
    /// Where pages come from.
    pub pems: Arc<dyn Pems>,
    /// What every request passes; writes pass it, too.
    pub limiter: Arc<Limiter>,
    /// Records of a page.
    pub page_size: u16,
    /// Cancelled when the relay is to stop: the pull is left as it is, for the next relay.
    pub stop: CancellationToken,
}

/// What a pull has done under our lease.
#[derive(Debug, Default)]
pub struct Totals {
    /// Records read.
    pub read: i64,
    /// Mirror rows made or changed.
    pub changed: i64,
    /// Records that the mirror had already.
    pub unchanged: i64,
    /// Records refused.
    pub rejected: i64,
    /// Records that PEMS no longer has.
    pub discontinued: i64,
    /// The first refused ones, with their reasons.
    pub rejects: Vec<String>,
}

/// Why a pull did not come to its end.
#[derive(Debug, Error)]
pub enum PullError {
    /// The relay stops.
    #[error("the relay stops; the pull goes on later from where it is")]
    Stopped,
    /// Its lease ended, and another relay has taken it over.
    #[error("another relay has taken over the pull")]
    TakenOver,
    /// The page was kept, but not promoted.
    #[error("{0}")]
    Halted(String),
    /// The list repeats itself.
    #[error("PEMS' list goes round in a circle")]
    Circle,
    /// PEMS did not give a page or a record.
    #[error(transparent)]
    Pems(#[from] Failure),
    /// The database did not take it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl PullError {
    /// Whether it is worth going on later from where the pull is, or it is to be begun anew.
    fn resumable(&self) -> bool {
        match self {
            Self::Stopped | Self::TakenOver | Self::Database(_) => true,
            Self::Halted(_) | Self::Circle => false,
            Self::Pems(failure) => !matches!(failure.decision, Decision::Rejected | Decision::Conflict),
        }
    }
}

impl Puller {
    /// Carries a pull to its end, and has recorded what came of it. `told` hears of the totals after each page.
    pub async fn carry(&self, pull: &Pull, totals: &mut Totals, told: impl FnMut(&Totals)) -> Result<(), PullError> {
        let started = Instant::now();
        let result = self.read(pull, totals, told).await;
        let (error, resume) = match &result {
            Ok(()) => (None, false),
            Err(PullError::Stopped) => (None, true),
            Err(error) => (Some(error.to_string()), error.resumable()),
        };
        let unauthorized = matches!(&result, Err(PullError::Pems(failure)) if failure.decision == Decision::Unauthorized);
        if let Err(error) = self.persist(pull, || self.queue.end_pull(pull, error.as_deref(), resume, unauthorized)).await {
            warn!(pull_id = pull.id, organization = pull.organization, %error, "can't record the end of a pull; its lease decides");
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
                warn!(pull_id, organization, kind, read, changed, unchanged, rejected, ms, resume, error, "the pull did not end");
            }
        }
        result
    }

    async fn read(&self, pull: &Pull, totals: &mut Totals, mut told: impl FnMut(&Totals)) -> Result<(), PullError> {
        let mut query =
            ListQuery { updated_since: pull.updated_since.clone(), after: pull.next_page.clone(), limit: self.page_size };
        let mut whole = pull.whole;
        while !whole {
            let page = self.page(pull, &query).await?;
            if page.next.is_some() && page.next == query.after {
                return Err(PullError::Circle);
            }
            let ingest = || self.queue.ingest_page(pull, &page.records, page.next.as_deref());
            let ingested = self.persist(pull, ingest).await?.ok_or(PullError::TakenOver)?;
            let stopped = ingested.stopped.clone();
            totals.add(ingested);
            told(totals);
            if let Some(reason) = stopped {
                return Err(PullError::Halted(reason));
            }
            whole = page.next.is_none();
            query.after = page.next;
        }
        if pull.full { self.settle_missing(pull, totals).await } else { Ok(()) }
    }

    /// Asks PEMS for the records that no page held: pages may have shifted while they were read.
    async fn settle_missing(&self, pull: &Pull, totals: &mut Totals) -> Result<(), PullError> {
        let mut answers = Vec::new();
        for (pfa_id, version) in self.persist(pull, || self.queue.missing_records(pull)).await? {
            let record = self.request(pull, || self.pems.get(&pull.organization, &pfa_id)).await?;
            answers.push(Missing { pfa_id, version, record });
        }
        if !answers.is_empty() {
            totals.discontinued += self.persist(pull, || self.queue.settle_missing(pull, &answers)).await?;
        }
        Ok(())
    }

    async fn page(&self, pull: &Pull, query: &ListQuery) -> Result<Page, PullError> {
        self.request(pull, || self.pems.list(&pull.organization, query)).await
    }

    /// Makes a request that reads, in a slot of its own each time it is tried.
    async fn request<T, F>(&self, pull: &Pull, call: impl Fn() -> F) -> Result<T, PullError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            self.unless_stopped(self.limiter.next()).await??;
            let failure = match call().await {
                Ok(answer) => return Ok(answer),
                Err(failure) if attempt == TRIES => return Err(failure.into()),
                Err(failure) => failure,
            };
            attempt += 1;
            let pause = match failure.decision {
                Decision::Throttled { retry_after } => retry_after.unwrap_or(FIRST_WAIT),
                Decision::Unavailable | Decision::Ambiguous | Decision::Locked => wait,
                Decision::Unauthorized | Decision::Rejected | Decision::Conflict => return Err(failure.into()),
            };
            // What PEMS says in words may quote prices; what kept the request from it does not.
            let cause = failure.source.as_ref().map(|_| failure.message.as_str());
            warn!(
                pull_id = pull.id,
                organization = pull.organization,
                http_status = failure.status,
                cause,
                "PEMS did not answer a pull; trying again"
            );
            self.unless_stopped(sleep(pause)).await?;
            wait *= 2;
        }
    }

    async fn persist<T, F>(&self, pull: &Pull, call: impl Fn() -> F) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let mut backoff = Backoff::new();
        let mut attempt = 1;
        loop {
            match call().await {
                Err(DatabaseError::Contended(_)) => {}
                Err(error @ DatabaseError::Unreachable(_)) if attempt < TRIES => {
                    warn!(pull_id = pull.id, organization = pull.organization, %error, "the database does not answer");
                    sleep(backoff.wait()).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Result<T, PullError> {
        self.stop.run_until_cancelled(waiting).await.ok_or(PullError::Stopped)
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
            let text = |key: &str| reject.get(key).and_then(Value::as_str).unwrap_or("none").to_owned();
            self.rejects.push(format!("record {row} (pfaId {}): {}", text("pfaId"), text("reason")));
        }
    }
}

//! Claims batches one by one, each shortly before its slot, and starts to run them.

use std::{sync::Arc, time::Duration};

use pfa_service::{
    database::DatabaseError,
    retry::{self, Backoff, Policy},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::batch::Outbound;
use crate::{calls::Batch, jobs::Jobs, upkeep::Upkeep};

/// Wait before a claim that failed for a passing reason is made again.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// Waits for what is due and could not be claimed, one after the other: its slot has just come near, or another relay claims
/// it at this moment.
const MISSED_PAUSES: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(20), MIN_PAUSE];

/// Shortest time from a claim that found nothing to the next one: under a steady load, each commit wakes the relay.
const CLAIM_GAP: Duration = Duration::from_millis(20);

/// Wait for a change that is due when it could not be claimed after these: its record is kept locked by another session.
const LOCKED_PAUSE: Duration = Duration::from_secs(1);

/// A lease lasts longer than the request timeout by at least this; a request can be started within that time.
pub const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The loop that claims batches and runs them.
pub struct Dispatcher {
    outbound: Arc<Outbound>,
    wake: Arc<Notify>,
    batch_size: i32,
    upkeep: Upkeep,
    jobs: Jobs,
    permits: Arc<Semaphore>,
    in_flight: TaskTracker,
    outage: OutageState,
}

/// Why the database does not serve this relay. Each reason is logged when it begins, not at every try.
#[derive(Default)]
struct OutageState {
    refused: Option<String>,
    unreachable: Option<Backoff>,
}

impl Dispatcher {
    /// Claims at every `wake`, and at the poll interval of the database's settings.
    pub fn new(
        outbound: Arc<Outbound>,
        upkeep: Upkeep,
        jobs: Jobs,
        wake: Arc<Notify>,
        batch_size: i32,
        max_in_flight: usize,
    ) -> Self {
        Self {
            outbound,
            upkeep,
            jobs,
            wake,
            batch_size,
            permits: Arc::new(Semaphore::new(max_in_flight)),
            in_flight: TaskTracker::new(),
            outage: OutageState::default(),
        }
    }

    /// Runs until the relay stops and all batches in flight have ended.
    pub async fn run(mut self) {
        let stop = self.outbound.stop.clone();
        let mut pause = Duration::ZERO;
        let mut missed = 0;
        let mut claim_from = Instant::now();
        loop {
            // The Notify stores a wake that arrives during the work, so none is lost between claiming and waiting.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.wake.notified() => sleep_until(claim_from).await,
                () = sleep(pause) => {}
            }
            self.jobs.look_soon();
            let poll_interval = self.upkeep.settings().poll_interval;
            pause = match self.claim_all().await {
                // Due, and not to be claimed: another relay claims it at this moment, a sweep is due, or another session holds
                // the record.
                Ok(Some(Duration::ZERO)) => {
                    let pause = MISSED_PAUSES.get(missed).copied().unwrap_or(LOCKED_PAUSE);
                    if pause >= MIN_PAUSE {
                        self.upkeep.sweep_soon();
                    }
                    missed += 1;
                    pause
                }
                Ok(due) => {
                    missed = 0;
                    due.map_or(poll_interval, |due| due.min(poll_interval))
                }
                Err(error) => self.outage.begin(error).unwrap_or(poll_interval),
            };
            claim_from = Instant::now() + CLAIM_GAP;
        }
        self.in_flight.close();
        self.in_flight.wait().await;
    }

    /// Claims until nothing is left. Returns how long until something more is due.
    async fn claim_all(&mut self) -> Result<Option<Duration>, DatabaseError> {
        loop {
            let permit = tokio::select! {
                biased;
                () = self.outbound.stop.cancelled() => return Ok(None),
                permit = self.permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            // Marked by the claim, a batch waits for one forced write less. A suspect may not be sent in the first request.
            let mark = self.outbound.suspects.is_empty();
            // What is claimed earlier would delay changes that become more urgent, or are committed, until its slot.
            let ahead = self.outbound.preparation.allowance();
            let systems = &self.outbound.systems;
            let organizations = systems.organizations();
            let lease = self.upkeep.settings().lease.max(systems.request_timeout() + LEASE_MARGIN);
            let claim = || self.outbound.calls.claim(organizations.as_deref(), self.batch_size, lease, mark, ahead);
            let claimed = retry::at_once(DatabaseError::is_retryable, claim).await?;
            self.outage.end();
            match claimed {
                Some(batch) => self.dispatch(batch, permit),
                None if systems.follow().await? => {}
                None => return self.outbound.calls.next_due(organizations.as_deref(), ahead).await,
            }
        }
    }

    /// Starts to run a batch.
    fn dispatch(&self, batch: Batch, permit: OwnedSemaphorePermit) {
        let (outbound, wake) = (self.outbound.clone(), self.wake.clone());
        self.in_flight.spawn(async move {
            outbound.run(&batch, permit).await;
            // Further changes of its records may be due now.
            wake.notify_one();
        });
    }
}

impl OutageState {
    /// Records an error. Returns how long to wait; `None` = until the next poll or wake.
    fn begin(&mut self, error: DatabaseError) -> Option<Duration> {
        let message = error.to_string();
        match error {
            DatabaseError::Retryable(_) => Some(MIN_PAUSE),
            DatabaseError::Unreachable(_) | DatabaseError::Busy(_) | DatabaseError::TimedOut(_) => {
                if self.unreachable.is_none() {
                    warn!(error = message, "the database does not answer; retrying until it does");
                }
                Some(self.unreachable.get_or_insert_with(|| Policy::DATABASE.backoff()).wait())
            }
            DatabaseError::Refused(_) => {
                self.unreachable = None;
                if self.refused.as_ref() != Some(&message) {
                    error!(error = message, "the database refuses; retrying at each poll");
                    self.refused = Some(message);
                }
                None
            }
        }
    }

    fn end(&mut self) {
        if self.refused.take().is_some() || self.unreachable.take().is_some() {
            info!("the database answers again");
        }
    }
}

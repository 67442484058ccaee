//! Claims batches one by one, each for its slot, and starts to run them.

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
use tracing::{debug, error, info, warn};

use super::batch::Outbound;
use crate::calls::{Batch, Step};

/// Shortest wait for a change that is due: a due change that can't be claimed is locked by another transaction.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// Poll interval until the first heartbeat returns that of the database.
const INITIAL_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// A lease lasts longer than the request timeout by at least this; a request can be started within that time.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The loop that claims batches and runs them.
pub struct Dispatcher {
    outbound: Arc<Outbound>,
    wake: Arc<Notify>,
    batch_size: i32,
    lease: Duration,
    poll_interval: Duration,
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
    pub fn new(outbound: Arc<Outbound>, wake: Arc<Notify>, batch_size: i32, max_in_flight: usize) -> Self {
        Self {
            lease: outbound.request_timeout + LEASE_MARGIN,
            poll_interval: INITIAL_POLL_INTERVAL,
            outbound,
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
        let mut next_poll = Instant::now();
        let mut pause = Duration::ZERO;
        loop {
            // The Notify stores a wake that arrives during the work, so none is lost between claiming and waiting.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(next_poll) => {}
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
            pause = match self.claim_all(&mut next_poll).await {
                Ok(due) => due.map_or(self.poll_interval, |due| due.max(MIN_PAUSE)),
                Err(error) => {
                    let wait = self.outage.begin(error).unwrap_or(self.poll_interval);
                    // The sweep runs as soon as the database is back.
                    next_poll = Instant::now() + wait;
                    wait
                }
            };
        }
        self.in_flight.close();
        self.in_flight.wait().await;
    }

    /// Claims until nothing is left. Returns how long until something more is due.
    async fn claim_all(&mut self, next_poll: &mut Instant) -> Result<Option<Duration>, DatabaseError> {
        if Instant::now() >= *next_poll {
            self.housekeeping().await?;
            *next_poll = Instant::now() + self.poll_interval;
        }
        loop {
            let permit = tokio::select! {
                biased;
                () = self.outbound.stop.cancelled() => return Ok(None),
                permit = self.permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            let claim = || self.outbound.calls.claim(self.batch_size, self.lease);
            let claimed = retry::at_once(DatabaseError::is_retryable, claim).await?;
            self.outage.end();
            match claimed {
                Some(batch) => self.dispatch(batch, permit).await,
                None => return self.outbound.calls.next_due().await,
            }
        }
    }

    /// Starts to run a batch, and waits until its slot: a batch claimed earlier would delay changes that have become more
    /// urgent by then.
    async fn dispatch(&self, batch: Batch, permit: OwnedSemaphorePermit) {
        let step = batch.step;
        let (outbound, wake) = (self.outbound.clone(), self.wake.clone());
        self.in_flight.spawn(async move {
            outbound.run(&batch).await;
            drop(permit);
            // Further changes of its records may be due now.
            wake.notify_one();
        });
        if let Step::Send { slot } = step {
            tokio::select! {
                () = self.outbound.stop.cancelled() => {}
                () = sleep_until(slot) => {}
            }
        }
    }

    async fn housekeeping(&mut self) -> Result<(), DatabaseError> {
        let calls = &self.outbound.calls;
        let reply = calls.heartbeat().await?;
        self.lease = reply.lease().max(self.outbound.request_timeout + LEASE_MARGIN);
        self.poll_interval = reply.poll();
        debug!(
            relay = calls.relay(),
            paused = ?reply.paused,
            down = ?reply.down,
            lease = ?self.lease,
            poll_interval = ?self.poll_interval,
            "heartbeat"
        );
        calls.maintain().await?;
        for (organization_id, queued, failed) in calls.sweep().await? {
            info!(relay = calls.relay(), organization_id, queued, failed, "the sweep queued committed work that no trigger saw");
        }
        Ok(())
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

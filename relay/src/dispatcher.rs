//! Claims batches one by one, each for its slot, and has them carried.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::{
    backoff::Backoff,
    carrier::Carrier,
    database::DatabaseError,
    queue::{Batch, Step},
};

/// The shortest wait for something that is due: what is due and can't be claimed yet is locked by somebody.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// How often to look until the database says so.
const FIRST_POLL: Duration = Duration::from_secs(60);

/// A lease outlives the request made under it by at least this, or no time is left to start one.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The loop that keeps batches on their way.
pub struct Dispatcher {
    carrier: Arc<Carrier>,
    wake: Arc<Notify>,
    batch_size: i32,
    lease: Duration,
    poll: Duration,
    in_flight: Arc<Semaphore>,
    under_way: TaskTracker,
    trouble: Trouble,
}

/// What keeps the database from serving us; each is logged when it begins, not at every try.
#[derive(Default)]
struct Trouble {
    refused: Option<String>,
    unreachable: Option<Backoff>,
}

impl Dispatcher {
    /// Looks at the queue at every `wake`, and as often besides as the database's settings say.
    pub fn new(carrier: Arc<Carrier>, wake: Arc<Notify>, batch_size: i32, max_in_flight: usize) -> Self {
        Self {
            lease: carrier.request_timeout + LEASE_MARGIN,
            poll: FIRST_POLL,
            carrier,
            wake,
            batch_size,
            in_flight: Arc::new(Semaphore::new(max_in_flight)),
            under_way: TaskTracker::new(),
            trouble: Trouble::default(),
        }
    }

    /// Runs until the relay is to stop and all that was under way has ended.
    pub async fn run(mut self) {
        let stop = self.carrier.stop.clone();
        let mut next_poll = Instant::now();
        let mut pause = Duration::ZERO;
        loop {
            // A wake that comes while we work is kept by the Notify: nothing is missed between looking and waiting.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(next_poll) => {}
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
            pause = match self.look(&mut next_poll).await {
                Ok(due) => due.map_or(self.poll, |due| due.max(SHORTEST_PAUSE)),
                Err(error) => {
                    let wait = self.trouble.begin(error).unwrap_or(self.poll);
                    // What was missed meanwhile is swept up as soon as the database is back.
                    next_poll = Instant::now() + wait;
                    wait
                }
            };
        }
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Claims until nothing is left; how long until something more is due.
    async fn look(&mut self, next_poll: &mut Instant) -> Result<Option<Duration>, DatabaseError> {
        if Instant::now() >= *next_poll {
            self.keep_house().await?;
            *next_poll = Instant::now() + self.poll;
        }
        loop {
            let permit = tokio::select! {
                biased;
                () = self.carrier.stop.cancelled() => return Ok(None),
                permit = self.in_flight.clone().acquire_owned() => permit.expect("nobody closes the semaphore"),
            };
            let claimed = match self.carrier.queue.claim(self.batch_size, self.lease).await {
                Err(DatabaseError::Contended(_)) => continue,
                claimed => claimed?,
            };
            self.trouble.end();
            match claimed {
                Some(batch) => self.dispatch(batch, permit).await,
                None => return self.carrier.queue.next_due().await,
            }
        }
    }

    /// Starts carrying a batch, and waits until its slot has come: who claims further ahead holds back what is more
    /// urgent by then.
    async fn dispatch(&self, batch: Batch, permit: OwnedSemaphorePermit) {
        let step = batch.step;
        let (carrier, wake) = (self.carrier.clone(), self.wake.clone());
        self.under_way.spawn(async move {
            carrier.carry(&batch).await;
            drop(permit);
            // Its records may have further changes, which may go now.
            wake.notify_one();
        });
        if let Step::Send { slot } = step {
            tokio::select! {
                () = self.carrier.stop.cancelled() => {}
                () = sleep_until(slot) => {}
            }
        }
    }

    async fn keep_house(&mut self) -> Result<(), DatabaseError> {
        let queue = &self.carrier.queue;
        let orders = queue.heartbeat().await?;
        self.lease = orders.lease().max(self.carrier.request_timeout + LEASE_MARGIN);
        self.poll = orders.poll();
        debug!(relay = queue.relay(), paused = ?orders.paused, down = ?orders.down, lease = ?self.lease, poll = ?self.poll, "heartbeat");
        queue.maintain().await?;
        for (organization_id, queued, failed) in queue.sweep().await? {
            info!(relay = queue.relay(), organization_id, queued, failed, "swept up committed work that no trigger saw");
        }
        Ok(())
    }
}

impl Trouble {
    /// Notes an error; how long to wait, `None` = until the next poll or wake.
    fn begin(&mut self, error: DatabaseError) -> Option<Duration> {
        let message = error.to_string();
        match error {
            DatabaseError::Contended(_) => Some(SHORTEST_PAUSE),
            DatabaseError::Unreachable(_) | DatabaseError::Silent(_) => {
                if self.unreachable.is_none() {
                    warn!(error = message, "the database does not answer; trying until it does");
                }
                Some(self.unreachable.get_or_insert_with(Backoff::new).wait())
            }
            DatabaseError::Refused(_) => {
                self.unreachable = None;
                if self.refused.as_ref() != Some(&message) {
                    error!(error = message, "the database refuses; trying again at each poll");
                    self.refused = Some(message);
                }
                None
            }
        }
    }

    fn end(&mut self) {
        if self.refused.take().is_some() || self.unreachable.take().is_some() {
            info!("the database serves us again");
        }
    }
}

//! Scheduled pulls: takes up those that the database says are due, some organizations at a time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    database::DatabaseError,
    pull::{Puller, Totals},
};

/// Pulls under way at a time: an organization that is filled for the first time does not make the others wait.
pub(crate) const PULLS_AT_A_TIME: usize = 4;

/// How long to wait at most until the database is asked again: settings change, and other relays' leases end.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long to wait at least: what is due and can't be begun is being begun by another relay.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Progress of a long pull is told after each so many records.
const PROGRESS_RECORDS: i64 = 10_000;

/// The loop that keeps the mirror fresh.
pub struct Schedule {
    puller: Puller,
    room: Arc<Semaphore>,
    under_way: TaskTracker,
    trouble: Option<String>,
}

impl Schedule {
    /// Will have pulls carried by `puller`.
    pub fn new(puller: Puller) -> Self {
        Self { puller, room: Arc::new(Semaphore::new(PULLS_AT_A_TIME)), under_way: TaskTracker::new(), trouble: None }
    }

    /// Runs until the relay is to stop and the pulls under way have been left in order.
    pub async fn run(mut self) {
        let stop = self.puller.stop.clone();
        while !stop.is_cancelled() {
            let wait = match stop.run_until_cancelled(self.begin_due()).await {
                None => break,
                Some(Ok(due)) => {
                    if self.trouble.take().is_some() {
                        info!("pulls are scheduled again");
                    }
                    due.unwrap_or(LONGEST_WAIT).clamp(SHORTEST_WAIT, LONGEST_WAIT)
                }
                Some(Err(error)) => {
                    // Told when it begins, not at every try.
                    let message = error.to_string();
                    if self.trouble.as_ref() != Some(&message) {
                        warn!(error = message, "the database lets no pull begin; trying until it does");
                        self.trouble = Some(message);
                    }
                    LONGEST_WAIT / 10
                }
            };
            let _ = timeout(wait, stop.cancelled()).await;
        }
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Begins all that is due; how long until something more is.
    async fn begin_due(&self) -> Result<Option<Duration>, DatabaseError> {
        loop {
            let permit = self.room.clone().acquire_owned().await.expect("nobody closes the semaphore");
            let pull = match self.puller.queue.begin_pull(None).await {
                Err(DatabaseError::Contended(_)) => {
                    sleep(SHORTEST_WAIT).await;
                    continue;
                }
                begun => begun?,
            };
            let Some(pull) = pull else { return self.puller.queue.next_pull().await };
            let puller = self.puller.clone();
            self.under_way.spawn(async move {
                let mut told = 0;
                let progress = |totals: &Totals| {
                    if totals.read / PROGRESS_RECORDS > told {
                        told = totals.read / PROGRESS_RECORDS;
                        info!(
                            pull_id = pull.id,
                            organization = pull.organization,
                            read = totals.read,
                            changed = totals.changed,
                            "pulling"
                        );
                    }
                };
                // What went wrong is in the log and in the view pulls already.
                let _ = puller.carry(&pull, &mut Totals::default(), progress).await;
                drop(permit);
            });
        }
    }
}

//! Scheduled pulls: runs those that are due by the database, some organizations at the same time.

use std::{sync::Arc, time::Duration};

use pfa_service::{database::DatabaseError, retry};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::pull::{Puller, Totals};

/// Pulls at the same time: the first pull of an organization takes long and must not delay the others.
pub(crate) const MAX_PULLS: usize = 4;

/// Longest wait until the database is asked again: settings change, and the leases of other relays end.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Shortest wait: a due pull that can't be begun is being begun by another relay.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// Records after which the progress of a long pull is logged.
const PROGRESS_INTERVAL: i64 = 10_000;

/// The loop that keeps the mirror up to date.
pub struct Schedule {
    puller: Puller,
    permits: Arc<Semaphore>,
    in_flight: TaskTracker,
    outage: Option<String>,
}

impl Schedule {
    /// A schedule whose pulls are run by `puller`.
    pub fn new(puller: Puller) -> Self {
        Self { puller, permits: Arc::new(Semaphore::new(MAX_PULLS)), in_flight: TaskTracker::new(), outage: None }
    }

    /// Runs until the relay stops and the pulls in flight have ended.
    pub async fn run(mut self) {
        let stop = self.puller.stop.clone();
        while !stop.is_cancelled() {
            let wait = match stop.run_until_cancelled(self.begin_due()).await {
                None => break,
                Some(Ok(due)) => {
                    if self.outage.take().is_some() {
                        info!("pulls are scheduled again");
                    }
                    due.unwrap_or(MAX_WAIT).clamp(MIN_WAIT, MAX_WAIT)
                }
                Some(Err(error)) => {
                    // Logged when it begins, not at every try.
                    let message = error.to_string();
                    if self.outage.as_ref() != Some(&message) {
                        warn!(error = message, "the database refuses to begin a pull; retrying");
                        self.outage = Some(message);
                    }
                    MAX_WAIT / 10
                }
            };
            let _ = timeout(wait, stop.cancelled()).await;
        }
        self.in_flight.close();
        self.in_flight.wait().await;
    }

    /// Begins all pulls that are due. Returns how long until another one is.
    async fn begin_due(&self) -> Result<Option<Duration>, DatabaseError> {
        loop {
            let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
            let organizations = self.puller.systems.organizations();
            let begin = || self.puller.calls.begin_pull(None, organizations.as_deref());
            let Some(pull) = retry::at_once(DatabaseError::is_retryable, begin).await? else {
                return self.puller.calls.next_pull(organizations.as_deref()).await;
            };
            let puller = self.puller.clone();
            self.in_flight.spawn(async move {
                let mut logged = 0;
                let progress = |totals: &Totals| {
                    if totals.read / PROGRESS_INTERVAL > logged {
                        logged = totals.read / PROGRESS_INTERVAL;
                        info!(
                            pull_id = pull.id,
                            organization = pull.organization,
                            read = totals.read,
                            changed = totals.changed,
                            "pulling"
                        );
                    }
                };
                // An error is logged, and recorded in the view pulls, by the pull itself.
                let _ = puller.run(&pull, &mut Totals::default(), progress).await;
                drop(permit);
            });
        }
    }
}

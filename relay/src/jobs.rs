//! Carries out the slices of bulk jobs, beside claims and upkeep. The database holds all that is to be done, so that a relay
//! that stops leaves nothing half done, and another one goes on.

use std::{sync::Arc, time::Duration};

use pfa_service::retry::Policy;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    calls::{Calls, JobsRun},
    upkeep::Upkeep,
};

/// Shortest time between two looks for jobs: the dispatcher asks for one whenever it wakes.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The bulk jobs, as the rest of the relay sees them.
#[derive(Clone)]
pub struct Jobs {
    wanted: Arc<Notify>,
}

impl Jobs {
    /// Starts to look for bulk jobs: when asked to, and at the poll interval.
    pub fn start(calls: Calls, upkeep: Upkeep, stop: CancellationToken) -> Self {
        let jobs = Self { wanted: Arc::default() };
        let wanted = jobs.wanted.clone();
        tokio::spawn(async move { stop.run_until_cancelled(run(&calls, &upkeep, &wanted)).await });
        jobs
    }

    /// Asks for a look at the jobs.
    pub fn look_soon(&self) {
        self.wanted.notify_one();
    }
}

async fn run(calls: &Calls, upkeep: &Upkeep, wanted: &Notify) {
    let mut failing = None;
    loop {
        let pause = match calls.run_jobs().await {
            Ok(JobsRun::Slice(slice)) => {
                info!(
                    relay = calls.relay(),
                    job_id = slice.job_id,
                    kind = slice.kind,
                    organization_id = slice.organization_id,
                    done = slice.done,
                    skipped = slice.skipped,
                    failed = slice.failed,
                    state = slice.state,
                    "a slice of a bulk job was carried out"
                );
                failing = None;
                continue;
            }
            Ok(JobsRun::Waiting) => {
                failing = None;
                MIN_PAUSE
            }
            Ok(JobsRun::None) => {
                failing = None;
                upkeep.settings().poll_interval
            }
            // Upkeep and dispatcher log that the database does not answer or refuses.
            Err(error) => {
                if failing.is_none() && !error.is_retryable() {
                    warn!(relay = calls.relay(), %error, "the bulk jobs are not carried out now; retrying");
                }
                failing.get_or_insert_with(|| Policy::DATABASE.backoff()).wait()
            }
        };
        if timeout(pause, wanted.notified()).await.is_ok() {
            sleep(MIN_PAUSE.min(pause)).await;
        }
    }
}

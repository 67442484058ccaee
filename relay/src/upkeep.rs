//! The regular work beside claiming: heartbeats, maintenance, and the sweep of what no trigger saw. It runs by itself, so that
//! nothing of it delays a claim: a lock that maintenance waits for, or a sweep of many changes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pfa_service::{
    database::DatabaseError,
    retry::{Backoff, Policy},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{calls::Calls, listener::Listening, systems::Systems};

/// Poll interval and lease until the first heartbeat returns those of the database.
const INITIAL_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// The shortest time between two sweeps that were asked for: what is due and can't be claimed is locked by another session, or
/// waits for a sweep.
const MIN_SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Wait between the calls of a sweep that goes through many modifications and finds nothing.
const SWEEP_STEP: Duration = Duration::from_millis(100);

/// The settings of the database that the dispatcher works by, as the last heartbeat returned them.
#[derive(Clone, Copy, Debug)]
pub struct FleetSettings {
    /// Length of the lease of claimed records.
    pub lease: Duration,
    /// How often the queue is polled without a notification.
    pub poll_interval: Duration,
}

/// The regular work, as the rest of the relay sees it.
#[derive(Clone)]
pub struct Upkeep {
    settings: Arc<Mutex<FleetSettings>>,
    wanted: Arc<Notify>,
}

impl Upkeep {
    /// Starts the regular work. The lease is at least `min_lease`.
    pub fn start(
        calls: Calls,
        systems: Arc<Systems>,
        listening: Listening,
        min_lease: Duration,
        stop: CancellationToken,
    ) -> Self {
        let settings = FleetSettings { lease: min_lease, poll_interval: INITIAL_POLL_INTERVAL };
        let upkeep = Self { settings: Arc::new(Mutex::new(settings)), wanted: Arc::default() };
        let worker = Worker { upkeep: upkeep.clone(), calls, systems, listening, min_lease, failing: None };
        tokio::spawn(async move { stop.run_until_cancelled(worker.run()).await });
        upkeep
    }

    /// The settings that the last heartbeat returned.
    pub fn settings(&self) -> FleetSettings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a sweep before the next poll.
    pub fn sweep_soon(&self) {
        self.wanted.notify_one();
    }
}

struct Worker {
    upkeep: Upkeep,
    calls: Calls,
    systems: Arc<Systems>,
    listening: Listening,
    min_lease: Duration,
    /// Since the first of several failures: how long to wait.
    failing: Option<Backoff>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let mut wait = self.heartbeat().await;
            // Each by itself: maintenance that fails does not keep committed work from being queued.
            self.log_failure("maintenance", self.calls.maintain().await);
            let mut unfinished = self.sweep().await;
            // A sweep that goes on, and sweeps that are asked for, until the next heartbeat.
            while !wait.is_zero() {
                let began = Instant::now();
                let pause = if unfinished { SWEEP_STEP.min(wait) } else { wait };
                let wanted = timeout(pause, self.upkeep.wanted.notified()).await.is_ok();
                if !wanted && !unfinished {
                    break;
                }
                unfinished = self.sweep().await;
                if wanted {
                    sleep(MIN_SWEEP_PAUSE).await;
                }
                wait = wait.saturating_sub(began.elapsed());
            }
        }
    }

    /// How long until the next heartbeat.
    async fn heartbeat(&mut self) -> Duration {
        if let Err(error) = self.systems.follow().await {
            debug!(relay = self.calls.relay(), %error, "can't read the definitions of the PEMS");
        }
        let (organizations, faults) = (self.systems.organizations(), self.systems.faults());
        match self.calls.heartbeat(organizations.as_deref(), faults.as_deref(), self.listening.get()).await {
            Ok(reply) => {
                self.failing = None;
                let settings = FleetSettings { lease: reply.lease().max(self.min_lease), poll_interval: reply.poll() };
                *self.upkeep.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
                debug!(relay = self.calls.relay(), paused = ?reply.paused, down = ?reply.down, ?settings, "heartbeat");
                settings.poll_interval
            }
            // The dispatcher logs that the database does not serve this relay.
            Err(DatabaseError::Refused(_)) => self.upkeep.settings().poll_interval,
            Err(_) => self.failing.get_or_insert_with(|| Policy::DATABASE.backoff()).wait(),
        }
    }

    /// Queues what no trigger saw, a portion at a time. Whether a part of the modifications is still to be looked at.
    async fn sweep(&self) -> bool {
        loop {
            let swept = match self.calls.sweep().await {
                Ok(swept) => swept,
                Err(error) => {
                    self.log_failure("the sweep", Err(error));
                    return false;
                }
            };
            if swept.organizations.is_empty() {
                return swept.unfinished;
            }
            for (organization_id, queued, failed) in swept.organizations {
                info!(
                    relay = self.calls.relay(),
                    organization_id, queued, failed, "the sweep queued committed work that no trigger saw"
                );
            }
        }
    }

    fn log_failure(&self, what: &str, outcome: Result<(), DatabaseError>) {
        // After a heartbeat that failed, the cause is known.
        if let (Err(error), None) = (outcome, &self.failing) {
            warn!(relay = self.calls.relay(), %error, "{what} failed; it is tried again at the next poll");
        }
    }
}

//! Carries claimed batches: holds their leases, has them delivered or read, and gets what came of them recorded.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    backoff::Backoff,
    database::DatabaseError,
    limiter::Limiter,
    pems::Pems,
    queue::{Batch, Claimed, Queue, Statuses, Step, Ticket},
};

/// What it takes to carry a batch.
pub struct Carrier {
    /// Where batches come from, and outcomes go.
    pub queue: Queue,
    /// Where changes go.
    pub pems: Arc<dyn Pems>,
    /// What every request passes.
    pub limiter: Arc<Limiter>,
    /// The longest that a request takes.
    pub request_timeout: Duration,
    /// Cancelled when the relay is to stop: nothing new is sent.
    pub stop: CancellationToken,
}

/// A batch on its way, and what has come of its records so far.
pub(crate) struct Delivery<'a> {
    pub carrier: &'a Carrier,
    pub batch: &'a Batch,
    /// Nothing more of this batch is sent or read: the relay stops, or PEMS refuses the credentials.
    pub halt: CancellationToken,
    statuses: Mutex<Statuses>,
}

impl Carrier {
    /// Carries a batch to its end. Never fails: what can't be recorded is left to the lease.
    pub async fn carry(&self, batch: &Batch) {
        let started = Instant::now();
        let delivery = Delivery { carrier: self, batch, halt: self.stop.child_token(), statuses: Mutex::default() };
        let carried = async {
            match batch.step {
                Step::Send { slot } => delivery.send(&batch.records, Some(slot)).await,
                Step::Read => delivery.read_all().await,
            }
        };
        tokio::select! {
            () = carried => {}
            () = self.hold_leases(batch) => {}
        }
        let statuses = delivery.statuses.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (status, records) in &statuses {
            counter!("pfa_relay_records_total", "status" => status.clone()).increment(*records as u64);
        }
        let count = |status: &str| statuses.get(status).copied().unwrap_or_default();
        info!(
            relay = self.queue.relay(),
            batch_id = batch.id,
            organization = batch.organization,
            step = if batch.step == Step::Read { "read" } else { "send" },
            records = batch.records.len(),
            completed = count("completed"),
            queued = count("pending"),
            failed = count("failed"),
            conflicts = count("conflict"),
            unsettled = count("processing"),
            ms = started.elapsed().as_millis() as u64,
            "batch carried"
        );
    }

    /// Renews the leases of a batch again and again. What has ended meanwhile is not concerned.
    async fn hold_leases(&self, batch: &Batch) {
        let tickets = tickets(&batch.records);
        loop {
            sleep(batch.lease / 2).await;
            if let Err(error) = self.queue.extend_lease(&tickets, batch.lease).await {
                warn!(batch_id = batch.id, organization = batch.organization, %error, "can't renew the leases of a batch");
            }
        }
    }
}

impl Delivery<'_> {
    /// Has an outcome recorded, and keeps trying as long as the lease lasts.
    pub async fn record<F>(&self, what: &str, call: impl Fn() -> F)
    where
        F: Future<Output = Result<Statuses, DatabaseError>>,
    {
        if let Some(recorded) = self.persist(what, call).await {
            let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
            for (status, count) in recorded {
                *statuses.entry(status).or_default() += count;
            }
        }
    }

    /// Gives back records that were not sent, or that PEMS surely did not apply. What may have been applied stays as it
    /// is: when its lease ends, it is read.
    pub async fn give_back(&self, records: &[Claimed]) {
        let free: Vec<_> = records.iter().filter(|record| !record.ambiguous).map(|record| record.ticket).collect();
        if !free.is_empty() {
            self.persist("release", || self.carrier.queue.release(&free)).await;
        }
    }

    async fn persist<T, F>(&self, what: &str, call: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let deadline = Instant::now() + self.batch.lease;
        let mut backoff = Backoff::new();
        loop {
            let error = match call().await {
                Ok(answer) => return Some(answer),
                Err(error) => error,
            };
            let wait = match error {
                DatabaseError::Contended(_) => Duration::ZERO,
                DatabaseError::Unreachable(_) | DatabaseError::Silent(_) | DatabaseError::Refused(_) => backoff.wait(),
            };
            if Instant::now() + wait > deadline {
                error!(batch_id = self.batch.id, organization = self.batch.organization, what, %error,
                       "can't record what came of a batch; its lease decides");
                return None;
            }
            warn!(batch_id = self.batch.id, organization = self.batch.organization, what, %error, "recording again");
            sleep(wait).await;
        }
    }
}

pub(crate) fn tickets(records: &[Claimed]) -> Vec<Ticket> {
    records.iter().map(|record| record.ticket).collect()
}

//! Runs claimed batches: renews their leases, has them written or read back, and reports the outcomes.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use pfa_service::{database::DatabaseError, retry};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::slots::Slots;
use crate::{
    calls::{Batch, Calls, ClaimToken, Claimed, Statuses, Step},
    pems::Pems,
};

/// What every batch needs.
pub struct Outbound {
    /// Claims and reports.
    pub calls: Calls,
    /// Where changes are written.
    pub pems: Arc<dyn Pems>,
    /// The limit that every request passes.
    pub slots: Arc<Slots>,
    /// Longest duration of a request.
    pub request_timeout: Duration,
    /// Cancelled when the relay stops: nothing more is sent.
    pub stop: CancellationToken,
}

/// A batch that is being run, and the statuses of its records so far.
pub(super) struct BatchRun<'a> {
    pub outbound: &'a Outbound,
    pub batch: &'a Batch,
    /// Cancelled when nothing more of this batch may be sent or read: the relay stops, or PEMS refuses the credentials.
    pub halt: CancellationToken,
    statuses: Mutex<Statuses>,
}

impl Outbound {
    /// Runs a batch to its end. Never fails: what can't be reported is left to the lease.
    pub async fn run(&self, batch: &Batch) {
        let started = Instant::now();
        let run = BatchRun { outbound: self, batch, halt: self.stop.child_token(), statuses: Mutex::default() };
        let work = async {
            match batch.step {
                Step::Send { slot } => run.send(&batch.records, Some(slot)).await,
                Step::Read => run.read_all().await,
            }
        };
        tokio::select! {
            () = work => {}
            () = self.renew_leases(batch) => {}
        }
        let statuses = run.statuses.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (status, records) in &statuses {
            counter!("pfa_relay_records_total", "status" => status.clone()).increment(*records as u64);
        }
        let count = |status: &str| statuses.get(status).copied().unwrap_or_default();
        info!(
            relay = self.calls.relay(),
            batch_id = batch.id,
            organization = batch.organization,
            step = if batch.step == Step::Read { "read" } else { "send" },
            records = batch.records.len(),
            completed = count("completed"),
            queued = count("pending"),
            failed = count("failed"),
            conflicts = count("conflict"),
            unknown = count("processing"),
            ms = started.elapsed().as_millis() as u64,
            "batch ended"
        );
    }

    /// Renews the leases of a batch at half their length. Records that have ended are not affected.
    async fn renew_leases(&self, batch: &Batch) {
        let tokens = tokens(&batch.records);
        loop {
            sleep(batch.lease / 2).await;
            if let Err(error) = self.calls.extend_lease(&tokens, batch.lease).await {
                warn!(batch_id = batch.id, organization = batch.organization, %error, "can't renew the leases of a batch");
            }
        }
    }
}

impl BatchRun<'_> {
    /// Reports an outcome, and repeats the report as long as the lease lasts.
    pub async fn report<F>(&self, what: &str, call: impl FnMut() -> F)
    where
        F: Future<Output = Result<Statuses, DatabaseError>>,
    {
        if let Some(reported) = self.persist(what, call).await {
            let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
            for (status, count) in reported {
                *statuses.entry(status).or_default() += count;
            }
        }
    }

    /// Releases records that were not sent, or that PEMS certainly did not apply. A record that PEMS may have applied is
    /// kept: when its lease ends, it is read.
    pub async fn release(&self, records: &[Claimed]) {
        let free: Vec<_> = records.iter().filter(|record| !record.ambiguous).map(|record| record.token).collect();
        if !free.is_empty() {
            self.persist("release", || self.outbound.calls.release(&free)).await;
        }
    }

    async fn persist<T, F>(&self, what: &str, call: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let (batch_id, organization) = (self.batch.id, &self.batch.organization);
        let failed = |error: &DatabaseError| warn!(batch_id, organization, what, %error, "reporting again");
        retry::until(Instant::now() + self.batch.lease, call, failed)
            .await
            .inspect_err(|error| {
                error!(batch_id, organization, what, %error, "can't report the outcome of a batch; its lease decides");
            })
            .ok()
    }
}

pub(super) fn tokens(records: &[Claimed]) -> Vec<ClaimToken> {
    records.iter().map(|record| record.token).collect()
}

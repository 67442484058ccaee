//! Runs claimed batches: renews their leases, has them written or read back, and reports the outcomes.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use metrics::counter;
use pfa_service::{
    database::DatabaseError,
    retry::{self, Policy},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{preparation::Preparation, suspects::Suspects};
use crate::{
    calls::{Batch, Calls, ClaimToken, Claimed, Item, Report, Statuses, Step},
    systems::{Route, Systems},
};

/// What every batch needs.
pub struct Outbound {
    /// Claims and reports.
    pub calls: Calls,
    /// Which PEMS changes are written to, and with which credentials.
    pub systems: Arc<Systems>,
    /// Changes that are sent in smaller requests.
    pub suspects: Suspects,
    /// How long a batch takes from its claim until it may be sent.
    pub preparation: Preparation,
    /// Cancelled when the relay stops: nothing more is sent.
    pub stop: CancellationToken,
}

/// A batch that is being run, and the statuses of its records so far.
pub(super) struct BatchRun<'a> {
    pub outbound: &'a Outbound,
    pub batch: &'a Batch,
    /// Where its requests go.
    pub route: Arc<Route>,
    /// Cancelled when nothing more of this batch may be sent or read: the relay stops, or PEMS refuses the credentials.
    pub halt: CancellationToken,
    /// Requests in a row that PEMS did not answer.
    pub unanswered: AtomicUsize,
    statuses: Mutex<Statuses>,
    /// The batch's place among those in flight. A batch that only waits for records that another session holds has none.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Outbound {
    /// Runs a batch to its end. Never fails: what can't be reported is left to the lease.
    pub async fn run(&self, batch: &Batch, permit: OwnedSemaphorePermit) {
        let started = Instant::now();
        let Some(route) = self.systems.route(&batch.organization_id, &batch.pems).await else {
            // Another relay may serve the organization, or this one once it can: the next claim says so.
            let tokens = tokens(&batch.records);
            let report = || self.calls.report(Report::Release, &tokens);
            if let Err(error) = retry::until(Instant::now() + batch.lease, report, |_| ()).await {
                warn!(batch_id = batch.id, organization = batch.organization, %error, "can't release a batch; its lease decides");
            }
            return;
        };
        let run = BatchRun {
            outbound: self,
            batch,
            route,
            halt: self.stop.child_token(),
            unanswered: AtomicUsize::new(0),
            statuses: Mutex::default(),
            permit: Mutex::new(Some(permit)),
        };
        let work = async {
            match batch.step {
                Step::Send(first) => run.send_all(&batch.records, first).await,
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
    /// Reports outcomes, and repeats the report as long as the lease lasts. Records that another session holds are reported
    /// again after growing waits, while their leases are renewed: what PEMS answered is not forgotten.
    pub async fn report<T: Item>(&self, report: Report, mut items: Vec<T>) {
        let mut backoff = Policy::BUSY.backoff();
        while !items.is_empty() {
            let Some(reported) = self.persist(report, || self.outbound.calls.report(report, &items)).await else { return };
            self.count(reported.statuses);
            items.retain(|item| reported.busy.contains(&item.token().queue_id));
            if !items.is_empty() {
                // Other batches go on meanwhile.
                drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
                debug!(
                    batch_id = self.batch.id,
                    ?report,
                    records = items.len(),
                    "another session holds records; reporting again"
                );
                sleep(backoff.wait()).await;
            }
        }
    }

    fn count(&self, reported: Statuses) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        for (status, records) in reported {
            *statuses.entry(status).or_default() += records;
        }
    }

    /// Releases records that were not sent, or that PEMS certainly did not apply. A record that PEMS may have applied is
    /// kept: when its lease ends, it is read.
    pub async fn release(&self, records: &[Claimed]) {
        let free: Vec<_> = records.iter().filter(|record| !record.ambiguous).map(|record| record.token).collect();
        self.report(Report::Release, free).await;
    }

    async fn persist<T, F>(&self, report: Report, call: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let (batch_id, organization) = (self.batch.id, &self.batch.organization);
        let failed = |error: &DatabaseError| warn!(batch_id, organization, ?report, %error, "reporting again");
        retry::until(Instant::now() + self.batch.lease, call, failed)
            .await
            .inspect_err(|error| {
                error!(batch_id, organization, ?report, %error, "can't report the outcome of a batch; its lease decides");
            })
            .ok()
    }
}

pub(super) fn tokens(records: &[Claimed]) -> Vec<ClaimToken> {
    records.iter().map(|record| record.token).collect()
}

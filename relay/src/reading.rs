//! Reading records of a batch: those whose version or fate is unknown, and those that PEMS answered 409 to.

use futures_util::future::join_all;
use serde_json::Value;
use tracing::warn;

use crate::{
    carrier::Delivery,
    delivery::kept,
    pems::Failure,
    queue::{Claimed, FailedTry, ReadBack},
};

/// A record that was not read.
enum NotRead {
    /// The relay stops, the database grants no slot, or PEMS refuses the credentials: not tried.
    Halted,
    Failed(Failure),
}

impl Delivery<'_> {
    /// Reads every record and settles it as soon as it is read. The limiter lets them leave one by one.
    pub async fn read_all(&self) {
        join_all(self.batch.records.iter().map(|record| self.settle(record))).await;
    }

    async fn settle(&self, record: &Claimed) {
        match self.read(record).await {
            Ok(found) => {
                let items = [read_back(record, found, None)];
                self.record("settle", || self.carrier.queue.settle(&items)).await;
            }
            Err(NotRead::Halted) => self.give_back(std::slice::from_ref(record)).await,
            Err(NotRead::Failed(failure)) => {
                let mut failed = self.failed_try(record, &failure);
                // Whatever keeps us from reading it, an earlier request may still have been applied.
                if record.ambiguous {
                    failed = FailedTry { outcome: "ambiguous", retry_after_ms: None, ..failed };
                }
                self.record_failed(failed).await;
            }
        }
    }

    /// Reads records that PEMS has at another version, and hands each in with PEMS' refusal.
    pub async fn read_back(&self, conflicts: Vec<(&Claimed, Failure)>) {
        join_all(conflicts.into_iter().map(|(record, refusal)| self.hand_in(record, refusal))).await;
    }

    async fn hand_in(&self, record: &Claimed, refusal: Failure) {
        match self.read(record).await {
            Ok(found) => {
                let items = [read_back(record, found, refusal.response.map(kept))];
                self.record("conflict", || self.carrier.queue.conflict(&items)).await;
            }
            Err(NotRead::Halted) => self.give_back(std::slice::from_ref(record)).await,
            Err(NotRead::Failed(failure)) => self.record_failed(self.failed_try(record, &failure)).await,
        }
    }

    async fn read(&self, record: &Claimed) -> Result<Option<Value>, NotRead> {
        let granted = tokio::select! {
            biased;
            () = self.halt.cancelled() => return Err(NotRead::Halted),
            granted = self.carrier.limiter.next() => granted,
        };
        if let Err(error) = granted {
            warn!(batch_id = self.batch.id, organization = self.batch.organization, pfa_id = record.pfa_id, %error, "no slot to read a record");
            return Err(NotRead::Halted);
        }
        self.carrier.pems.get(&self.batch.organization, &record.pfa_id).await.map_err(|failure| {
            self.warn_of(Some(record), &failure);
            NotRead::Failed(failure)
        })
    }

    async fn record_failed(&self, failed: FailedTry) {
        let items = [failed];
        self.record("fail", || self.carrier.queue.fail(&items)).await;
    }
}

fn read_back(record: &Claimed, found: Option<Value>, response: Option<Value>) -> ReadBack {
    ReadBack { queue_id: record.ticket.queue_id, attempt: record.ticket.attempt, record: found, response }
}

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
    /// Not tried: the relay stops, the database grants no slot, or PEMS refuses the credentials.
    Halted,
    Failed(Failure),
}

impl Delivery<'_> {
    /// Reads every record, then settles them together: records settled one by one would be claimed and sent one by one.
    pub async fn read_all(&self) {
        let found = self.read_each(self.batch.records.iter().map(|record| (record, None)).collect()).await;
        if !found.is_empty() {
            self.record("settle", || self.carrier.queue.settle(&found)).await;
        }
    }

    /// Reads records that PEMS has at another version, and hands them in with PEMS' refusal.
    pub async fn read_back(&self, refused: Vec<(&Claimed, Failure)>) {
        let refused = refused.into_iter().map(|(record, refusal)| (record, refusal.response.map(kept))).collect();
        let found = self.read_each(refused).await;
        if !found.is_empty() {
            self.record("conflict", || self.carrier.queue.conflict(&found)).await;
        }
    }

    /// Reads records, given with the answer to the write before; those that were read. The others are recorded as failed
    /// or given back.
    async fn read_each(&self, records: Vec<(&Claimed, Option<Value>)>) -> Vec<ReadBack> {
        // All at once: the limiter lets them leave one by one.
        let answers = join_all(records.iter().map(|(record, _)| self.read(record))).await;
        let (mut found, mut failed, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for ((record, response), answer) in records.into_iter().zip(answers) {
            match answer {
                Ok(record_read) => found.push(ReadBack {
                    queue_id: record.ticket.queue_id,
                    attempt: record.ticket.attempt,
                    record: record_read,
                    response,
                }),
                Err(NotRead::Failed(failure)) => failed.push(self.failed_read(record, &failure)),
                Err(NotRead::Halted) => unread.push(record.clone()),
            }
        }
        if !failed.is_empty() {
            self.record("fail", || self.carrier.queue.fail(&failed)).await;
        }
        self.give_back(&unread).await;
        found
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
            self.halt_if_unauthorized(&failure);
            NotRead::Failed(failure)
        })
    }

    fn failed_read(&self, record: &Claimed, failure: &Failure) -> FailedTry {
        let failed = self.failed_try(record, failure);
        // Whatever keeps us from reading it, an earlier request may still have been applied.
        if record.ambiguous { FailedTry { outcome: "ambiguous", retry_after_ms: None, ..failed } } else { failed }
    }
}

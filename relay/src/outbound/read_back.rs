//! Reading records of a batch: those whose version or outcome is unknown, and those that PEMS answered with 409.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::Value;
use tracing::warn;

use super::{batch::BatchRun, write::truncated};
use crate::{
    calls::{Claimed, FailedTry, ReadBack, Report},
    pems::{Failure, FailureKind, ListQuery, MAX_PAGE, UNREADABLE},
};

/// A list of changes is worth its pages while each of them replaces at least this many single reads.
const READS_PER_PAGE: usize = 4;

/// A record that was not read.
enum NotRead {
    /// Not requested: the relay stops, the database grants no slot, or PEMS refuses the credentials.
    Halted,
    Failed(Failure),
}

impl BatchRun<'_> {
    /// Reads every record, then reconciles them together: reconciled one by one, they would be sent one by one.
    pub async fn read_all(&self) {
        let mut found = self.read_changes().await;
        let seen: Vec<_> = found.iter().map(|record| record.token.queue_id).collect();
        let rest = self.batch.records.iter().filter(|record| !seen.contains(&record.token.queue_id));
        found.extend(self.read_each(rest.map(|record| (record, None)).collect()).await);
        self.report(Report::Reconcile, found).await;
    }

    /// Finds the outcome of a lost batch by one list of what PEMS changed since before it was sent: a record that the list
    /// does not contain was not written. Empty when single reads cost fewer requests.
    async fn read_changes(&self) -> Vec<ReadBack> {
        let lost: Vec<_> = self.batch.records.iter().filter(|record| record.ambiguous).collect();
        let max_pages = lost.len() / READS_PER_PAGE;
        if max_pages == 0 {
            return Vec::new();
        }
        let tokens: Vec<_> = lost.iter().map(|record| record.token).collect();
        let since = match self.outbound.calls.lost_since(&tokens).await {
            Ok(Some(since)) => since,
            Ok(None) => return Vec::new(),
            Err(error) => {
                warn!(
                    batch_id = self.batch.id,
                    organization = self.batch.organization,
                    %error,
                    "can't find out since when a batch is lost; reading record by record"
                );
                return Vec::new();
            }
        };
        let Some(changed) = self.list_changes(since, max_pages).await else { return Vec::new() };
        lost.iter()
            .map(|record| {
                let read = changed.get(&record.pfa_id).cloned();
                ReadBack { token: record.token, unchanged: read.is_none(), record: read, response: None }
            })
            // What the list could not show whole is read by itself.
            .filter(|read| read.record.as_ref().is_none_or(|record| record.get(UNREADABLE).is_none()))
            .collect()
    }

    /// The records that PEMS changed since then, by id; `None` = the list is incomplete.
    async fn list_changes(&self, since: String, max_pages: usize) -> Option<HashMap<String, Value>> {
        let mut changed = HashMap::new();
        let mut query = ListQuery { updated_since: Some(since), after: None, limit: MAX_PAGE as u16 };
        for _ in 0..max_pages {
            self.granted().await?;
            let page = match self.route.client.list(&self.batch.organization, &query).await {
                Ok(page) => page,
                // The single reads that follow report it.
                Err(failure) => {
                    self.warn_of(None, &failure);
                    return None;
                }
            };
            for record in page.records.as_array()? {
                changed.insert(record.get("pfaId")?.as_str()?.to_owned(), record.clone());
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Some(changed),
            }
        }
        None
    }

    /// Reads records that PEMS has at another version, and reports them with PEMS' refusal.
    pub async fn read_back(&self, refused: Vec<(&Claimed, Failure)>) {
        let refused = refused.into_iter().map(|(record, refusal)| (record, refusal.response.map(truncated))).collect();
        let found = self.read_each(refused).await;
        self.report(Report::Conflict, found).await;
    }

    /// Reads records, given with the answer to the write before, and returns those that were read. The others are reported
    /// as failed, or released.
    async fn read_each(&self, records: Vec<(&Claimed, Option<Value>)>) -> Vec<ReadBack> {
        // All at the same time: the slots space the requests.
        let answers = join_all(records.iter().map(|(record, _)| self.read(record))).await;
        let (mut found, mut failed, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for ((record, response), answer) in records.into_iter().zip(answers) {
            match answer {
                Ok(record_read) => found.push(ReadBack { token: record.token, record: record_read, response, unchanged: false }),
                Err(NotRead::Failed(failure)) => failed.push(self.failed_read(record, &failure)),
                Err(NotRead::Halted) => unread.push(record.clone()),
            }
        }
        tokio::join!(self.report(Report::Fail, failed), self.release(&unread),);
        found
    }

    async fn read(&self, record: &Claimed) -> Result<Option<Value>, NotRead> {
        self.granted().await.ok_or(NotRead::Halted)?;
        self.route.client.get(&self.batch.organization, &record.pfa_id).await.map_err(|failure| {
            self.warn_of(Some(record), &failure);
            self.halt_if_unauthorized(&failure);
            // The other reads of the batch would meet the same.
            if matches!(failure.kind, FailureKind::Throttled | FailureKind::Outage) {
                self.halt.cancel();
            }
            NotRead::Failed(failure)
        })
    }

    /// Waits for a slot to read in; `None` = nothing more may be read.
    async fn granted(&self) -> Option<()> {
        let granted = tokio::select! {
            biased;
            () = self.halt.cancelled() => return None,
            granted = self.route.slots.next() => granted,
        };
        granted
            .inspect_err(|error| {
                warn!(batch_id = self.batch.id, organization = self.batch.organization, %error, "no slot to read in");
            })
            .ok()
    }

    fn failed_read(&self, record: &Claimed, failure: &Failure) -> FailedTry {
        let failed = self.failed_try(record, failure, None);
        match failure.kind {
            // PEMS will not show the record, so the outcome of the write stays unknown: a person decides.
            FailureKind::Rejected if record.ambiguous => FailedTry {
                error: format!("the write may have been applied, and reading the record is refused: {}", failed.error),
                ..failed
            },
            // The read failed, but an earlier write may still have been applied.
            FailureKind::Outage => failed,
            _ if record.ambiguous => FailedTry { outcome: "ambiguous", retry_after_ms: None, ..failed },
            _ => failed,
        }
    }
}

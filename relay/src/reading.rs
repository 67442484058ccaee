//! Reading records of a batch: those whose version or fate is unknown, and those that PEMS answered 409 to.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::Value;
use tracing::warn;

use crate::{
    carrier::Delivery,
    delivery::kept,
    pems::{Failure, ListQuery},
    queue::{Claimed, FailedTry, ReadBack, Ticket},
};

/// Records in a page of PEMS' list: the most that it gives.
const PAGE: u16 = 1000;

/// A record that was not read.
enum NotRead {
    /// Not tried: the relay stops, the database grants no slot, or PEMS refuses the credentials.
    Halted,
    Failed(Failure),
}

impl Delivery<'_> {
    /// Reads every record, then settles them together: records settled one by one would be claimed and sent one by one.
    pub async fn read_all(&self) {
        let mut found = self.read_changes().await;
        let seen: Vec<_> = found.iter().map(|record| record.queue_id).collect();
        let rest = self.batch.records.iter().filter(|record| !seen.contains(&record.ticket.queue_id));
        found.extend(self.read_each(rest.map(|record| (record, None)).collect()).await);
        if !found.is_empty() {
            self.record("settle", || self.carrier.queue.settle(&found)).await;
        }
    }

    /// What became of a lost batch, by one list of what PEMS changed since before it was sent: a record that the list does
    /// not show was not written. Nothing, when single reads are cheaper, or the list is longer than they are.
    async fn read_changes(&self) -> Vec<ReadBack> {
        let lost: Vec<_> = self.batch.records.iter().filter(|record| record.ambiguous).collect();
        let most_pages = lost.len() / 4;
        if most_pages == 0 {
            return Vec::new();
        }
        let tickets: Vec<_> = lost.iter().map(|record| record.ticket).collect();
        let since = match self.carrier.queue.lost_since(&tickets).await {
            Ok(Some(since)) => since,
            Ok(None) => return Vec::new(),
            Err(error) => {
                warn!(batch_id = self.batch.id, organization = self.batch.organization, %error, "can't ask since when a batch is lost; reading record by record");
                return Vec::new();
            }
        };
        let Some(changed) = self.list_changes(since, most_pages).await else { return Vec::new() };
        lost.iter()
            .map(|record| {
                let read = changed.get(&record.pfa_id).cloned();
                let Ticket { queue_id, attempt } = record.ticket;
                ReadBack { queue_id, attempt, unchanged: read.is_none(), record: read, response: None }
            })
            .collect()
    }

    /// Records that PEMS changed since then, by their ids; `None` = they are not all known.
    async fn list_changes(&self, since: String, most_pages: usize) -> Option<HashMap<String, Value>> {
        let mut changed = HashMap::new();
        let mut query = ListQuery { updated_since: Some(since), after: None, limit: PAGE };
        for _ in 0..most_pages {
            self.granted().await?;
            let page = match self.carrier.pems.list(&self.batch.organization, &query).await {
                Ok(page) => page,
                // The single reads that follow find out what it means.
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
                    unchanged: false,
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
        self.granted().await.ok_or(NotRead::Halted)?;
        self.carrier.pems.get(&self.batch.organization, &record.pfa_id).await.map_err(|failure| {
            self.warn_of(Some(record), &failure);
            self.halt_if_unauthorized(&failure);
            NotRead::Failed(failure)
        })
    }

    /// Waits for a slot to read in; `None` = nothing may be read any more.
    async fn granted(&self) -> Option<()> {
        let granted = tokio::select! {
            biased;
            () = self.halt.cancelled() => return None,
            granted = self.carrier.limiter.next() => granted,
        };
        granted
            .inspect_err(|error| {
                warn!(batch_id = self.batch.id, organization = self.batch.organization, %error, "no slot to read in");
            })
            .ok()
    }

    fn failed_read(&self, record: &Claimed, failure: &Failure) -> FailedTry {
        let failed = self.failed_try(record, failure, true);
        // Whatever keeps us from reading it, an earlier request may still have been applied.
        if record.ambiguous { FailedTry { outcome: "ambiguous", retry_after_ms: None, ..failed } } else { failed }
    }
}

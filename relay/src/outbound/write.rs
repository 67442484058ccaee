//! Writing a batch: mark its records as sent, send them in a slot, report PEMS' result of each.

use std::sync::atomic::Ordering;

use metrics::histogram;
use pfa_service::{database::DatabaseError, retry};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;

use super::batch::{BatchRun, tokens};
use crate::{
    calls::{Claimed, Completion, FailedTry, FirstRequest, Report},
    pems::{Failure, FailureKind, Write, WriteResult},
};

/// Longest answer of PEMS that is logged whole, in bytes of JSON.
const MAX_LOGGED_RESPONSE: usize = 4096;

/// Requests in a row without an answer of PEMS, after which nothing more of a batch is sent.
const MAX_UNANSWERED: usize = 2;

/// Longest error text that is logged, in characters.
const MAX_LOGGED_ERROR: usize = 500;

impl BatchRun<'_> {
    /// Writes records in one request, or in several where some are suspects; the first one as the claim prepared it. What is
    /// left after two requests in a row that PEMS did not answer stays for later: it is an outage.
    pub async fn send_all(&self, records: &[Claimed], first: FirstRequest) {
        let mut first = Some(first);
        for part in self.outbound.suspects.parts(records) {
            if self.is_over() {
                self.release(&part).await;
            } else {
                self.send(&part, first.take()).await;
            }
        }
    }

    /// Whether nothing more of the batch is to be sent.
    fn is_over(&self) -> bool {
        self.halt.is_cancelled() || self.unanswered.load(Ordering::Relaxed) >= MAX_UNANSWERED
    }

    /// Writes records in one request: the first one of the batch, or one that takes the next slot.
    ///
    /// When PEMS refuses a batch, it names no record, and nothing was applied: each half is sent again, until the refused
    /// record is alone. One among 100 costs 14 further requests, each in its own slot. If PEMS refuses all of them, one by
    /// one and in the same words as the batch, that is no verdict on any of them, and the organization is held.
    async fn send(&self, records: &[Claimed], first: Option<FirstRequest>) {
        let mut refused = Vec::new();
        let of_batch = self.attempt(records, first, &mut refused).await;
        if refused.is_empty() {
            return;
        }
        let same = |(_, failure): &(Claimed, Failure)| {
            of_batch.as_ref().is_some_and(|of_batch| (failure.status, &failure.message) == (of_batch.status, &of_batch.message))
        };
        let of_all = records.len() > 1 && refused.len() == records.len() && refused.iter().all(same);
        let tries: Vec<_> = refused
            .iter()
            .map(|(record, failure)| {
                let failed = self.failed_try(record, failure, Some(1));
                let error = || format!("all {} records are refused alike: {}", records.len(), failed.error);
                if of_all {
                    FailedTry { outcome: "unauthorized", error: error(), credentials: Some(self.route.fingerprint()), ..failed }
                } else {
                    failed
                }
            })
            .collect();
        self.report(Report::Fail, tries).await;
    }

    /// Sends records in one request, or in halves when PEMS refuses it. Adds to `refused` what PEMS refused when it was sent
    /// alone, and reports everything else. Returns the refusal of the request as a whole.
    async fn attempt(
        &self,
        records: &[Claimed],
        first: Option<FirstRequest>,
        refused: &mut Vec<(Claimed, Failure)>,
    ) -> Option<Failure> {
        // The lease starts anew here: a request that starts within lease - request timeout ends before the lease does, so
        // no other relay reconciles the record while the request may still be in flight.
        let (marked, records) = if first.is_some_and(|first| first.marked) {
            (self.batch.called, records.to_vec())
        } else {
            (Instant::now(), self.mark(records).await?)
        };
        if first.is_some() {
            self.outbound.preparation.took(self.batch.called.elapsed());
        }
        let granted = async {
            match first {
                Some(FirstRequest { slot, .. }) => self.route.slots.wait_for(slot).await,
                None => self.route.slots.next().await,
            }
        };
        let granted = tokio::select! {
            biased;
            () = self.halt.cancelled() => false,
            granted = granted => granted.is_ok(),
        };
        if !granted || marked.elapsed() + self.route.request_timeout > self.batch.lease {
            self.release(&records).await;
            return None;
        }

        let writes: Vec<Write> = records.iter().filter_map(|record| record.write.clone()).collect();
        match self.route.client.write(&self.batch.organization, &writes).await {
            Ok(results) => {
                self.weigh(&records, results.first().and_then(|result| result.as_ref().err()).filter(|_| records.len() == 1));
                self.report_results(&records, results, refused).await;
                None
            }
            Err(failure) => {
                self.weigh(&records, Some(&failure));
                self.report_whole(&records, failure, refused).await
            }
        }
    }

    /// Remembers whether PEMS answered a request; `failure` = the request as a whole failed.
    fn weigh(&self, records: &[Claimed], failure: Option<&Failure>) {
        let unanswered = match failure.map(|failure| (failure.kind, failure.status)) {
            Some((FailureKind::Outage | FailureKind::Ambiguous, _) | (FailureKind::Unavailable, Some(_))) => {
                self.outbound.suspects.suspect(records, failure.is_some_and(|failure| failure.status.is_none()));
                self.unanswered.load(Ordering::Relaxed) + 1
            }
            // Without a connection, or when throttled, the content of a request is no reason, and the next meets the same.
            Some((FailureKind::Unavailable | FailureKind::Throttled, _)) => MAX_UNANSWERED,
            _ => {
                self.outbound.suspects.acquit(records);
                0
            }
        };
        self.unanswered.store(unanswered, Ordering::Relaxed);
    }

    /// Marks records as sent. Returns those that are still claimed by this relay; `None` = nothing may be sent.
    async fn mark(&self, records: &[Claimed]) -> Option<Vec<Claimed>> {
        let tokens = tokens(records);
        let marking = || self.outbound.calls.mark_sent(&tokens, self.batch.lease);
        let marked = match retry::at_once(DatabaseError::is_retryable, marking).await {
            Ok(marked) => marked,
            Err(error) => {
                warn!(batch_id = self.batch.id, organization = self.batch.organization, %error, "can't mark a batch as sent");
                self.release(records).await;
                return None;
            }
        };
        let marked: Vec<_> = records.iter().filter(|record| marked.contains(&record.token.queue_id)).cloned().collect();
        (!marked.is_empty()).then_some(marked)
    }

    /// Reports that the request failed as a whole, or sends its halves if PEMS refused it.
    async fn report_whole(
        &self,
        records: &[Claimed],
        failure: Failure,
        refused: &mut Vec<(Claimed, Failure)>,
    ) -> Option<Failure> {
        self.warn_of(None, &failure);
        self.halt_if_unauthorized(&failure);
        let about_the_batch = matches!(failure.kind, FailureKind::Rejected | FailureKind::Conflict | FailureKind::Locked);
        if !about_the_batch || records.len() == 1 {
            let tries: Vec<_> = records.iter().map(|record| self.failed_try(record, &failure, Some(records.len()))).collect();
            self.report(Report::Fail, tries).await;
            return None;
        }
        let (front, back) = records.split_at(records.len() / 2);
        for half in [front, back] {
            if self.is_over() {
                self.release(half).await;
            } else {
                // A recursive future must be boxed.
                Box::pin(self.attempt(half, None, refused)).await;
            }
        }
        Some(failure)
    }

    async fn report_results(&self, records: &[Claimed], results: Vec<WriteResult>, refused: &mut Vec<(Claimed, Failure)>) {
        let (mut completions, mut tries, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
        for (record, result) in records.iter().zip(results) {
            match result {
                Ok(written) => {
                    histogram!("pfa_relay_delivery_seconds").record(record.committed.elapsed());
                    completions.push(Completion {
                        token: record.token,
                        version: written.version,
                        updated_at: written.updated_at,
                        response: truncated(written.response),
                    });
                }
                Err(failure) if failure.kind == FailureKind::Conflict => conflicts.push((record, failure)),
                Err(failure) => {
                    self.warn_of(Some(record), &failure);
                    self.halt_if_unauthorized(&failure);
                    if failure.kind == FailureKind::Rejected && records.len() == 1 {
                        refused.push((record.clone(), failure));
                    } else {
                        // PEMS answered a batch, but a single record as the whole request.
                        let mut failed = self.failed_try(record, &failure, Some(records.len()));
                        failed.whole = records.len() == 1;
                        tries.push(failed);
                    }
                }
            }
        }
        // At the same time: a record that another session holds delays no other.
        tokio::join!(self.report(Report::Complete, completions), self.report(Report::Fail, tries), self.read_back(conflicts),);
    }

    /// Refused credentials stop the rest of the batch, since further requests might lock them.
    pub(super) fn halt_if_unauthorized(&self, failure: &Failure) {
        if failure.kind == FailureKind::Unauthorized {
            self.halt.cancel();
        }
    }

    /// The report of a request that failed as a whole; `records` = how many it was to write, `None` for a read.
    pub(super) fn failed_try(&self, record: &Claimed, failure: &Failure, records: Option<usize>) -> FailedTry {
        let outcome = match failure.kind {
            FailureKind::Throttled => "throttled",
            FailureKind::Outage => "outage",
            FailureKind::Unauthorized => "unauthorized",
            FailureKind::Unavailable | FailureKind::Conflict => "unavailable",
            FailureKind::Rejected => "rejected",
            FailureKind::Locked => "locked",
            FailureKind::Ambiguous => "ambiguous",
        };
        FailedTry {
            token: record.token,
            outcome,
            // A status that is not PEMS' own says nothing; it stands in the text.
            http_status: failure.status.filter(|_| failure.kind != FailureKind::Outage),
            error: failure.message.chars().take(MAX_LOGGED_ERROR).collect(),
            retry_after_ms: failure.retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
            response: failure.response.clone().map(truncated),
            whole: true,
            records,
            credentials: (failure.kind == FailureKind::Unauthorized).then(|| self.route.fingerprint()),
        }
    }

    /// Logs a failure. The text of PEMS stands in the audit log only, since it may quote prices.
    pub(super) fn warn_of(&self, record: Option<&Claimed>, failure: &Failure) {
        warn!(
            batch_id = self.batch.id,
            organization = self.batch.organization,
            queue_id = record.map(|record| record.token.queue_id),
            pfa_id = record.map(|record| record.pfa_id.as_str()),
            http_status = failure.status,
            kind = ?failure.kind,
            cause = failure.source.as_ref().map(|_| failure.message.as_str()),
            "a request to PEMS failed"
        );
    }
}

/// An answer as it is logged: the beginning of a long one.
pub(super) fn truncated(response: Value) -> Value {
    let text = response.to_string();
    if text.len() <= MAX_LOGGED_RESPONSE {
        return response;
    }
    let beginning: String = text.char_indices().take_while(|(at, _)| *at < MAX_LOGGED_RESPONSE / 2).map(|(_, c)| c).collect();
    json!({ "truncated": beginning, "bytes": text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_truncated_and_says_so() {
        let short = json!({"message": "ok", "amount": 5000.10});
        let long = json!({"message": "é".repeat(MAX_LOGGED_RESPONSE)});
        assert_eq!(truncated(short.clone()), short);
        assert!(truncated(long.clone()).to_string().len() <= MAX_LOGGED_RESPONSE);
        assert_eq!(truncated(long.clone())["bytes"], long.to_string().len());
    }
}

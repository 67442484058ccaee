//! Writing a batch: mark as sent, send in its slot, record what PEMS says of each record.

use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;

use crate::{
    carrier::{Delivery, tickets},
    database::DatabaseError,
    pems::{Decision, Failure, Verdict, Write},
    queue::{Claimed, Completion, FailedTry},
};

/// How much of an answer is kept in the log, in bytes of JSON.
const KEPT_RESPONSE: usize = 4096;

/// How much of an error's text is kept.
const KEPT_ERROR: usize = 500;

impl Delivery<'_> {
    /// Writes records in one request, in the slot given or in the next.
    pub async fn send(&self, records: &[Claimed], slot: Option<Instant>) {
        // The lease runs anew from here: a request that starts within lease - request timeout ends before the lease does,
        // and nobody settles the record while the request may still be on its way.
        let marked = Instant::now();
        let Some(records) = self.mark(records).await else { return };
        let granted = async {
            match slot {
                Some(slot) => self.carrier.limiter.wait_for(slot).await,
                None => self.carrier.limiter.next().await,
            }
        };
        let granted = tokio::select! {
            biased;
            () = self.halt.cancelled() => false,
            granted = granted => granted.is_ok(),
        };
        if !granted || marked.elapsed() + self.carrier.request_timeout > self.batch.lease {
            return self.give_back(&records).await;
        }

        let writes: Vec<Write> = records.iter().filter_map(|record| record.write.clone()).collect();
        match self.carrier.pems.write(&self.batch.organization, &writes).await {
            Ok(verdicts) => self.record_verdicts(&records, verdicts).await,
            Err(failure) => self.record_whole(&records, failure).await,
        }
    }

    /// Marks records as under way; those that are still ours. `None` = nothing may be sent.
    async fn mark(&self, records: &[Claimed]) -> Option<Vec<Claimed>> {
        let tickets = tickets(records);
        let ours = loop {
            match self.carrier.queue.sent(&tickets, self.batch.lease).await {
                Ok(ours) => break ours,
                Err(DatabaseError::Contended(_)) => continue,
                Err(error) => {
                    warn!(batch_id = self.batch.id, organization = self.batch.organization, %error, "can't mark a batch as sent");
                    self.give_back(records).await;
                    return None;
                }
            }
        };
        let ours: Vec<_> = records.iter().filter(|record| ours.contains(&record.ticket.queue_id)).cloned().collect();
        (!ours.is_empty()).then_some(ours)
    }

    /// Records that the request failed as a whole.
    ///
    /// When PEMS refuses a batch, it says nothing of its records, and nothing was applied: each half is sent again, until
    /// the guilty record stands alone. One among 100 costs 14 further requests, each in its own slot.
    async fn record_whole(&self, records: &[Claimed], failure: Failure) {
        self.warn_of(None, &failure);
        self.halt_if_unauthorized(&failure);
        let about_the_batch = matches!(failure.decision, Decision::Rejected | Decision::Conflict | Decision::Locked);
        if !about_the_batch || records.len() == 1 {
            let tries: Vec<_> = records.iter().map(|record| self.failed_try(record, &failure, true)).collect();
            return self.record("fail", || self.carrier.queue.fail(&tries)).await;
        }
        let (front, back) = records.split_at(records.len() / 2);
        for half in [front, back] {
            if self.halt.is_cancelled() {
                self.give_back(half).await;
            } else {
                // The compiler needs help with a future that holds itself.
                Box::pin(self.send(half, None)).await;
            }
        }
    }

    async fn record_verdicts(&self, records: &[Claimed], verdicts: Vec<Verdict>) {
        let (mut completions, mut tries, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
        for (record, verdict) in records.iter().zip(verdicts) {
            match verdict {
                Ok(written) => completions.push(Completion {
                    queue_id: record.ticket.queue_id,
                    attempt: record.ticket.attempt,
                    version: written.version,
                    updated_at: written.updated_at,
                    response: kept(written.response),
                }),
                Err(failure) if failure.decision == Decision::Conflict => conflicts.push((record, failure)),
                Err(failure) => {
                    self.warn_of(Some(record), &failure);
                    self.halt_if_unauthorized(&failure);
                    tries.push(self.failed_try(record, &failure, records.len() == 1));
                }
            }
        }
        if !completions.is_empty() {
            self.record("complete", || self.carrier.queue.complete(&completions)).await;
        }
        if !tries.is_empty() {
            self.record("fail", || self.carrier.queue.fail(&tries)).await;
        }
        self.read_back(conflicts).await;
    }

    /// Refused credentials stop the rest of the batch: trying on might lock them.
    pub(crate) fn halt_if_unauthorized(&self, failure: &Failure) {
        if failure.decision == Decision::Unauthorized {
            self.halt.cancel();
        }
    }

    /// What to report of a failure; `whole` = of the request, and not of this record alone.
    pub(crate) fn failed_try(&self, record: &Claimed, failure: &Failure, whole: bool) -> FailedTry {
        let mut retry_after_ms = None;
        let outcome = match failure.decision {
            Decision::Throttled { retry_after } => {
                retry_after_ms = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
                "throttled"
            }
            Decision::Unauthorized => "unauthorized",
            Decision::Unavailable | Decision::Conflict => "unavailable",
            Decision::Rejected => "rejected",
            Decision::Locked => "locked",
            Decision::Ambiguous => "ambiguous",
        };
        FailedTry {
            queue_id: record.ticket.queue_id,
            attempt: record.ticket.attempt,
            outcome,
            http_status: failure.status,
            error: failure.message.chars().take(KEPT_ERROR).collect(),
            retry_after_ms,
            response: failure.response.clone().map(kept),
            whole,
        }
    }

    /// One line for a failure. What PEMS says in words is in the audit log only, since it may quote prices.
    pub(crate) fn warn_of(&self, record: Option<&Claimed>, failure: &Failure) {
        warn!(
            batch_id = self.batch.id,
            organization = self.batch.organization,
            queue_id = record.map(|record| record.ticket.queue_id),
            pfa_id = record.map(|record| record.pfa_id.as_str()),
            http_status = failure.status,
            decision = ?failure.decision,
            cause = failure.source.as_ref().map(|_| failure.message.as_str()),
            "a request to PEMS failed"
        );
    }
}

/// An answer as the log keeps it.
pub(crate) fn kept(response: Value) -> Value {
    let text = response.to_string();
    if text.len() <= KEPT_RESPONSE {
        return response;
    }
    let beginning: String = text.char_indices().take_while(|(at, _)| *at < KEPT_RESPONSE / 2).map(|(_, c)| c).collect();
    json!({ "truncated": beginning, "bytes": text.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_and_says_so() {
        let short = json!({"message": "ok", "amount": 5000.10});
        let long = json!({"message": "é".repeat(KEPT_RESPONSE)});
        assert_eq!(kept(short.clone()), short);
        assert!(kept(long.clone()).to_string().len() <= KEPT_RESPONSE);
        assert_eq!(kept(long.clone())["bytes"], long.to_string().len());
    }
}

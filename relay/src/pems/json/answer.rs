//! What an answer of PEMS means. Pure: no network.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::bytes::whole_number;
use crate::pems::{Failure, FailureKind, Write, WriteResult, Written};

/// Refusals that concern every request of the organization alike, by status and error; 401 is one with any error.
const ABOUT_THE_ORGANIZATION: [(u16, &str); 4] =
    [(403, "WRONG_TENANT"), (403, "UNKNOWN_ORGANIZATION"), (403, "WRONG_ORGANIZATION"), (404, "NO_SUCH_ROUTE")];

/// The wait after a record of a batch was throttled: such an answer has no header.
const THROTTLED_RECORD: Duration = Duration::from_secs(1);

/// An answer as received. A body that is not JSON is `None`.
#[derive(Default)]
pub(super) struct Answer {
    pub status: u16,
    /// The wait that Retry-After asks for, or the back-off that a 429 without one leads to.
    pub retry_after: Option<Duration>,
    pub body: Option<Value>,
    /// The content type, or why the body can't be read.
    pub form: String,
    /// Texts that can't be stored have been replaced; see [`super::bytes`].
    pub replaced: bool,
    /// PEMS' clock: the Date header.
    pub date: Option<SystemTime>,
}

/// The result of the only record of a request.
pub(super) fn single(answer: Answer, sent: &Write) -> WriteResult {
    match answer.status {
        200 => confirmed(answer, sent),
        _ => Err(failure(answer)),
    }
}

/// The results of the records of a batch, in the order sent. A record that the answer leaves out is ambiguous.
pub(super) fn batch(mut answer: Answer, sent: &[Write]) -> Result<Vec<WriteResult>, Failure> {
    let results = answer.body.as_mut().and_then(|body| body.get_mut("results")).map(Value::take);
    match results {
        Some(Value::Array(results)) if answer.status == 200 => Ok(by_record(results, sent)),
        _ => Err(failure(answer)),
    }
}

/// Assigns the results of a batch to its records: by the id that a result names, otherwise by its position if there is a
/// result for each record. A record named twice is ambiguous.
fn by_record(results: Vec<Value>, sent: &[Write]) -> Vec<WriteResult> {
    let whole = results.len() == sent.len();
    let (mut named, mut unnamed) = (HashMap::<String, Vec<Value>>::new(), HashMap::new());
    for (position, result) in results.into_iter().enumerate() {
        match result.get("pfaId") {
            Some(Value::String(pfa_id)) => named.entry(pfa_id.clone()).or_default().push(result),
            None | Some(Value::Null) => drop(unnamed.insert(position, result)),
            Some(_) => {}
        }
    }
    let of = |(position, write): (usize, &Write)| match named.remove(&write.pfa_id).as_deref() {
        Some([result]) => of_batch(result.clone(), write),
        Some(_) => Err(ambiguous(200, "PEMS' answer names the record twice", None)),
        None => match unnamed.remove(&position).filter(|_| whole) {
            Some(result) => of_batch(result, write),
            None => Err(ambiguous(200, "PEMS' answer leaves the record out", None)),
        },
    };
    sent.iter().enumerate().map(of).collect()
}

/// The result of one record of a batch. What does not have the contract's shape is ambiguous for this record alone, since
/// PEMS itself answered.
fn of_batch(result: Value, sent: &Write) -> WriteResult {
    let status = result.get("status").and_then(whole_number).and_then(|status| u16::try_from(status).ok());
    let Some(status) = status else {
        return Err(ambiguous(200, "PEMS' answer gives the record no status", Some(result)));
    };
    let retry_after = (status == 429).then_some(THROTTLED_RECORD);
    single(Answer { status, retry_after, body: Some(result), ..Answer::default() }, sent).map_err(|failure| match failure.kind {
        FailureKind::Outage => {
            ambiguous(status, &format!("PEMS answered {status} for the record, without its reason"), failure.response)
        }
        _ => failure,
    })
}

/// A 200 confirms the write if it names this record and the next version. Anything else leaves the outcome unknown.
fn confirmed(answer: Answer, sent: &Write) -> WriteResult {
    let Some(body) = answer.body.as_ref().filter(|body| body.get("success").is_some_and(Value::is_boolean)) else {
        return Err(failure(answer));
    };
    let success = body["success"] == true;
    let same = body.get("pfaId").and_then(Value::as_str) == Some(&sent.pfa_id);
    let version = body.get("newVersion").and_then(whole_number).filter(|version| *version == sent.version + 1);
    let updated_at = body.get("updatedAt").and_then(Value::as_str).map(str::to_owned);
    match (success && same, version, updated_at, answer.body) {
        (true, Some(version), Some(updated_at), Some(response)) => Ok(Written { version, updated_at, response }),
        (.., body) => Err(ambiguous(200, &said("PEMS answered 200 without confirming the write", body.as_ref()), body)),
    }
}

/// PEMS' own refusal: an object `{success: false, error, message}`. Returns its error.
fn refusal(body: Option<&Value>) -> Option<&str> {
    let body = body?.as_object()?;
    let message = body.get("message").is_none_or(|message| message.is_string() || message.is_null());
    (body.get("success")? == false && message).then(|| body.get("error")?.as_str()).flatten()
}

/// The failure that an answer other than a confirmation stands for. One without the shape of PEMS' own refusals comes from
/// something else than PEMS: an outage, whatever its status.
pub(super) fn failure(answer: Answer) -> Failure {
    let Answer { status, retry_after, body, form, .. } = answer;
    let kind = match (status, refusal(body.as_ref())) {
        // A gateway may enforce the limit in PEMS' name.
        (429, _) | (408, Some(_)) => FailureKind::Throttled,
        (_, None) => FailureKind::Outage,
        (401, _) => FailureKind::Unauthorized,
        (status, Some(error)) if ABOUT_THE_ORGANIZATION.contains(&(status, error)) => FailureKind::Unauthorized,
        (404, Some("NOT_FOUND")) => FailureKind::Rejected,
        (404, _) => FailureKind::Outage,
        (409, _) => FailureKind::Conflict,
        (423, _) => FailureKind::Locked,
        (400..=499, _) => FailureKind::Rejected,
        // PEMS itself says that it applied nothing. If that is wrong, the next try gets a 409 and the values written.
        (500 | 503, _) => FailureKind::Unavailable,
        // A status that PEMS does not use: a redirect, a gateway's 502 or 504 behind which PEMS may still be working.
        (100..=199 | 300..=399 | 501..=599, _) => FailureKind::Outage,
        // A success with a refusal, or no status of HTTP, as a record of a batch may have: it says nothing about the write.
        _ => FailureKind::Ambiguous,
    };
    let message = match kind {
        FailureKind::Outage => format!("not an answer of PEMS: status {status} with {}", described(&form, body.as_ref())),
        _ => said(&format!("PEMS answered {status}"), body.as_ref()),
    };
    Failure { kind, status: Some(status), message, retry_after, response: body, source: None }
}

pub(super) fn ambiguous(status: u16, message: &str, response: Option<Value>) -> Failure {
    let message = message.to_owned();
    Failure { kind: FailureKind::Ambiguous, status: Some(status), message, retry_after: None, response, source: None }
}

/// A statement with what PEMS gave as its reason.
fn said(what: &str, body: Option<&Value>) -> String {
    let text = |key| body.and_then(|body| body.get(key)).and_then(Value::as_str);
    let said: Vec<_> = [text("error"), text("message")].into_iter().flatten().collect();
    if said.is_empty() { what.to_owned() } else { format!("{what}: {}", said.join(": ")) }
}

fn described<'a>(form: &'a str, body: Option<&Value>) -> &'a str {
    match (body, form) {
        (Some(_), _) => "JSON of another shape",
        (None, "") => "no content type",
        (None, form) => form,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

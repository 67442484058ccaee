//! What an answer of PEMS means. Pure: no network.

use std::time::Duration;

use serde_json::Value;

use crate::pems::{Failure, FailureKind, Write, WriteResult, Written};

/// Longest wait that PEMS can ask for, so that a wrong header does not stop an organization for days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// An answer as received. A body that is not JSON is `None`.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Option<Value>,
}

/// The wait that a Retry-After header asks for. Dates are ignored, since they would be compared with the local clock.
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    let seconds = header.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The result of the only record of a request.
pub(super) fn single(answer: Answer, sent: &Write) -> WriteResult {
    match answer.status {
        200 => confirmed(answer.body, sent),
        _ => Err(failure(answer)),
    }
}

/// The results of the records of a batch, in the order sent. A record that the answer leaves out is ambiguous.
pub(super) fn batch(answer: Answer, sent: &[Write]) -> Result<Vec<WriteResult>, Failure> {
    if answer.status != 200 {
        return Err(failure(answer));
    }
    let Some(Value::Array(results)) = answer.body.and_then(|mut body| body.get_mut("results").map(Value::take)) else {
        return Err(ambiguous(200, "PEMS' answer holds no results", None));
    };
    let whole = results.len() == sent.len();
    let mut results = results.into_iter();
    Ok(sent.iter().map(|write| of_batch(results.next(), write, whole)).collect())
}

/// The result of one record of a batch. Its position in the answer identifies it, unless records are missing.
fn of_batch(result: Option<Value>, sent: &Write, whole: bool) -> WriteResult {
    let Some(result) = result else {
        return Err(ambiguous(200, "PEMS' answer leaves the record out", None));
    };
    let named = result.get("pfaId").and_then(Value::as_str);
    if named.is_some_and(|named| named != sent.pfa_id) || (named.is_none() && !whole) {
        return Err(ambiguous(200, "PEMS' answer does not identify the record", Some(result)));
    }
    match result.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()) {
        Some(status) => single(Answer { status, retry_after: None, body: Some(result) }, sent),
        None => Err(ambiguous(200, "PEMS' answer gives the record no status", Some(result))),
    }
}

/// A 200 confirms the write if it names this record and the next version. Anything else leaves the outcome unknown.
fn confirmed(body: Option<Value>, sent: &Write) -> WriteResult {
    let Some(body) = body else {
        return Err(ambiguous(200, "PEMS answered 200 with a body that is not JSON", None));
    };
    let success = body.get("success").and_then(Value::as_bool) == Some(true);
    let same = body.get("pfaId").and_then(Value::as_str) == Some(&sent.pfa_id);
    let version = body.get("newVersion").and_then(Value::as_i64).filter(|version| *version == sent.version + 1);
    let updated_at = body.get("updatedAt").and_then(Value::as_str).map(str::to_owned);
    match (success && same, version, updated_at) {
        (true, Some(version), Some(updated_at)) => Ok(Written { version, updated_at, response: body }),
        _ => Err(ambiguous(200, "PEMS answered 200 without confirming the write", Some(body))),
    }
}

/// The failure that an answer other than a confirmation stands for.
pub(super) fn failure(answer: Answer) -> Failure {
    let kind = match answer.status {
        401 => FailureKind::Unauthorized,
        409 => FailureKind::Conflict,
        423 => FailureKind::Locked,
        429 => FailureKind::Throttled { retry_after: answer.retry_after },
        // Behind a gateway's timeout PEMS may still be working, and a success with an unexpected status may have changed
        // the record.
        502 | 504 | 200..=299 => FailureKind::Ambiguous,
        // PEMS itself says that it applied nothing. If that is wrong, the next try gets a 409 and the values written.
        408 | 500..=599 => FailureKind::Unavailable,
        // Not an answer of PEMS: a proxy, a redirect, a wrong address.
        100..=399 => FailureKind::Unavailable,
        400..=499 => FailureKind::Rejected,
        // No status of HTTP, as a record of a batch may have: it says nothing about the write.
        _ => FailureKind::Ambiguous,
    };
    Failure {
        kind,
        status: Some(answer.status),
        message: message(answer.status, answer.body.as_ref()),
        response: answer.body,
        source: None,
    }
}

pub(super) fn ambiguous(status: u16, message: &str, response: Option<Value>) -> Failure {
    Failure { kind: FailureKind::Ambiguous, status: Some(status), message: message.to_owned(), response, source: None }
}

fn message(status: u16, body: Option<&Value>) -> String {
    let text = |key| body.and_then(|body| body.get(key)).and_then(Value::as_str);
    let said: Vec<_> = [text("error"), text("message")].into_iter().flatten().collect();
    match said.as_slice() {
        [] => format!("PEMS answered {status}"),
        said => format!("PEMS answered {status}: {}", said.join(": ")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::pems::Operation;

    fn write(pfa_id: &str) -> Write {
        Write {
            operation: Operation::Update,
            pfa_id: pfa_id.to_owned(),
            version: 4,
            changes: json!({"dor": "BEO"}),
            modified_by: "editor@example.org".to_owned(),
            reason: None,
            idempotency_key: "1-1".to_owned(),
        }
    }

    fn good(pfa_id: &str) -> Value {
        json!({"status": 200, "success": true, "pfaId": pfa_id, "newVersion": 5, "updatedAt": "2026-11-24T10:00:00.000Z", "message": "ok"})
    }

    fn answer(status: u16, body: Value) -> Answer {
        Answer { status, retry_after: Some(Duration::from_secs(2)), body: Some(body) }
    }

    fn kind(result: &WriteResult) -> Option<FailureKind> {
        result.as_ref().err().map(|failure| failure.kind)
    }

    #[test]
    fn a_confirmation_brings_the_new_version() {
        let written = single(answer(200, good("7")), &write("7")).unwrap();
        assert_eq!((written.version, written.updated_at.as_str()), (5, "2026-11-24T10:00:00.000Z"));
    }

    #[rstest]
    #[case(json!({"success": false, "pfaId": "7", "newVersion": 5, "updatedAt": "x"}))]
    #[case(json!({"success": true, "pfaId": "8", "newVersion": 5, "updatedAt": "x"}))]
    #[case(json!({"success": true, "pfaId": "7", "newVersion": 6, "updatedAt": "x"}))]
    #[case(json!({"success": true, "pfaId": "7", "newVersion": 5}))]
    #[case(json!("ok"))]
    fn a_200_that_confirms_nothing_is_ambiguous(#[case] body: Value) {
        assert_eq!(kind(&single(answer(200, body), &write("7"))), Some(FailureKind::Ambiguous));
    }

    #[rstest]
    #[case(400, FailureKind::Rejected)]
    #[case(401, FailureKind::Unauthorized)]
    #[case(403, FailureKind::Rejected)]
    #[case(404, FailureKind::Rejected)]
    #[case(408, FailureKind::Unavailable)]
    #[case(409, FailureKind::Conflict)]
    #[case(413, FailureKind::Rejected)]
    #[case(422, FailureKind::Rejected)]
    #[case(423, FailureKind::Locked)]
    #[case(429, FailureKind::Throttled { retry_after: Some(Duration::from_secs(2)) })]
    #[case(500, FailureKind::Unavailable)]
    #[case(502, FailureKind::Ambiguous)]
    #[case(503, FailureKind::Unavailable)]
    #[case(504, FailureKind::Ambiguous)]
    #[case(202, FailureKind::Ambiguous)]
    #[case(302, FailureKind::Unavailable)]
    #[case(0, FailureKind::Ambiguous)]
    #[case(600, FailureKind::Ambiguous)]
    fn the_status_decides(#[case] status: u16, #[case] expected: FailureKind) {
        let failed = single(answer(status, json!({"error": "CODE", "message": "why"})), &write("7")).unwrap_err();
        assert_eq!(failed.kind, expected);
        assert_eq!(failed.message, format!("PEMS answered {status}: CODE: why"));
    }

    #[test]
    fn a_batch_is_judged_record_by_record() {
        let body =
            json!({"results": [good("1"), {"status": 409, "success": false, "error": "VERSION_CONFLICT"}, {"status": 422}]});
        let results = batch(answer(200, body), &["1", "2", "3"].map(write)).unwrap();
        let kinds: Vec<_> = results.iter().map(kind).collect();
        assert_eq!(kinds, [None, Some(FailureKind::Conflict), Some(FailureKind::Rejected)]);
    }

    #[test]
    fn what_a_batch_answer_leaves_out_is_ambiguous() {
        let body = json!({"results": [good("1"), {"status": 409, "error": "VERSION_CONFLICT"}]});
        let results = batch(answer(200, body), &["1", "2", "3"].map(write)).unwrap();
        let kinds: Vec<_> = results.iter().map(kind).collect();
        assert_eq!(kinds, [None, Some(FailureKind::Ambiguous), Some(FailureKind::Ambiguous)]);
    }

    #[test]
    fn results_in_another_order_are_ambiguous() {
        let results = batch(answer(200, json!({"results": [good("2"), good("1")]})), &["1", "2"].map(write)).unwrap();
        assert!(results.iter().all(|result| kind(result) == Some(FailureKind::Ambiguous)));
    }

    #[rstest]
    #[case(200, json!([]), FailureKind::Ambiguous)]
    #[case(200, json!({"results": "none"}), FailureKind::Ambiguous)]
    #[case(413, json!({}), FailureKind::Rejected)]
    #[case(503, json!({}), FailureKind::Unavailable)]
    fn a_batch_can_fail_as_a_whole(#[case] status: u16, #[case] body: Value, #[case] expected: FailureKind) {
        assert_eq!(batch(answer(status, body), &["1", "2"].map(write)).unwrap_err().kind, expected);
    }

    #[rstest]
    #[case("3", Some(3))]
    #[case("86400", Some(3600))]
    #[case("Wed, 21 Oct 2026 07:28:00 GMT", None)]
    #[case("-1", None)]
    fn retry_after_is_read_in_seconds(#[case] header: &str, #[case] seconds: Option<u64>) {
        assert_eq!(retry_after(header), seconds.map(Duration::from_secs));
    }
}

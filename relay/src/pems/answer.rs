//! What an answer of PEMS means, with no network in it.

use std::time::Duration;

use serde_json::Value;

use super::{Decision, Failure, Verdict, Write, Written};

/// The longest wait PEMS can ask for; beyond it a mistaken header would stop an organization for days.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// An answer as it came: a body that is no JSON is `None`.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Option<Value>,
}

/// The wait that a Retry-After header asks for. Dates are not understood: they would be measured by our clock.
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    let seconds = header.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// The verdict on the only record of a request.
pub(super) fn single(answer: Answer, sent: &Write) -> Verdict {
    match answer.status {
        200 => confirmed(answer.body, sent),
        _ => Err(failure(answer)),
    }
}

/// The verdicts on the records of a batch, in the order sent. What the answer leaves out is ambiguous.
pub(super) fn batch(answer: Answer, sent: &[Write]) -> Result<Vec<Verdict>, Failure> {
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

/// The verdict on one record of a batch. Its place in the answer says which one it is, unless records are missing.
fn of_batch(result: Option<Value>, sent: &Write, whole: bool) -> Verdict {
    let Some(result) = result else {
        return Err(ambiguous(200, "PEMS' answer leaves the record out", None));
    };
    let named = result.get("pfaId").and_then(Value::as_str);
    if named.is_some_and(|named| named != sent.pfa_id) || (named.is_none() && !whole) {
        return Err(ambiguous(200, "PEMS' answer can't be told to be this record's", Some(result)));
    }
    match result.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()) {
        Some(status) => single(Answer { status, retry_after: None, body: Some(result) }, sent),
        None => Err(ambiguous(200, "PEMS' answer gives the record no status", Some(result))),
    }
}

/// A 200 counts when it says that this record is one version further. Anything else leaves open what was done.
fn confirmed(body: Option<Value>, sent: &Write) -> Verdict {
    let Some(body) = body else {
        return Err(ambiguous(200, "PEMS answered 200 with a body that is no JSON", None));
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

/// What any answer but a confirmation means.
pub(super) fn failure(answer: Answer) -> Failure {
    let decision = match answer.status {
        401 => Decision::Unauthorized,
        409 => Decision::Conflict,
        423 => Decision::Locked,
        429 => Decision::Throttled { retry_after: answer.retry_after },
        // A gateway speaks for a PEMS that did not answer it in time and may still be at work, and a success that is not
        // the agreed one may have done something.
        502 | 504 | 200..=299 => Decision::Ambiguous,
        // PEMS itself says that it did not do it. Should that be wrong, the next try meets a 409 and the values it wrote.
        408 | 500..=599 => Decision::Unavailable,
        // Nobody at that address took it: a proxy, a redirect, an address that is not PEMS'.
        100..=399 => Decision::Unavailable,
        _ => Decision::Rejected,
    };
    Failure {
        decision,
        status: Some(answer.status),
        message: message(answer.status, answer.body.as_ref()),
        response: answer.body,
        source: None,
    }
}

pub(super) fn ambiguous(status: u16, message: &str, response: Option<Value>) -> Failure {
    Failure { decision: Decision::Ambiguous, status: Some(status), message: message.to_owned(), response, source: None }
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

    fn decision(verdict: &Verdict) -> Option<Decision> {
        verdict.as_ref().err().map(|failure| failure.decision)
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
        assert_eq!(decision(&single(answer(200, body), &write("7"))), Some(Decision::Ambiguous));
    }

    #[rstest]
    #[case(400, Decision::Rejected)]
    #[case(401, Decision::Unauthorized)]
    #[case(403, Decision::Rejected)]
    #[case(404, Decision::Rejected)]
    #[case(408, Decision::Unavailable)]
    #[case(409, Decision::Conflict)]
    #[case(413, Decision::Rejected)]
    #[case(422, Decision::Rejected)]
    #[case(423, Decision::Locked)]
    #[case(429, Decision::Throttled { retry_after: Some(Duration::from_secs(2)) })]
    #[case(500, Decision::Unavailable)]
    #[case(502, Decision::Ambiguous)]
    #[case(503, Decision::Unavailable)]
    #[case(504, Decision::Ambiguous)]
    #[case(202, Decision::Ambiguous)]
    #[case(302, Decision::Unavailable)]
    fn the_status_decides(#[case] status: u16, #[case] expected: Decision) {
        let failed = single(answer(status, json!({"error": "CODE", "message": "why"})), &write("7")).unwrap_err();
        assert_eq!(failed.decision, expected);
        assert_eq!(failed.message, format!("PEMS answered {status}: CODE: why"));
    }

    #[test]
    fn a_batch_is_judged_record_by_record() {
        let body =
            json!({"results": [good("1"), {"status": 409, "success": false, "error": "VERSION_CONFLICT"}, {"status": 422}]});
        let verdicts = batch(answer(200, body), &["1", "2", "3"].map(write)).unwrap();
        let decisions: Vec<_> = verdicts.iter().map(decision).collect();
        assert_eq!(decisions, [None, Some(Decision::Conflict), Some(Decision::Rejected)]);
    }

    #[test]
    fn what_a_batch_answer_leaves_out_is_ambiguous() {
        let body = json!({"results": [good("1"), {"status": 409, "error": "VERSION_CONFLICT"}]});
        let verdicts = batch(answer(200, body), &["1", "2", "3"].map(write)).unwrap();
        let decisions: Vec<_> = verdicts.iter().map(decision).collect();
        assert_eq!(decisions, [None, Some(Decision::Ambiguous), Some(Decision::Ambiguous)]);
    }

    #[test]
    fn results_in_another_order_are_ambiguous() {
        let verdicts = batch(answer(200, json!({"results": [good("2"), good("1")]})), &["1", "2"].map(write)).unwrap();
        assert!(verdicts.iter().all(|verdict| decision(verdict) == Some(Decision::Ambiguous)));
    }

    #[rstest]
    #[case(200, json!([]), Decision::Ambiguous)]
    #[case(200, json!({"results": "none"}), Decision::Ambiguous)]
    #[case(413, json!({}), Decision::Rejected)]
    #[case(503, json!({}), Decision::Unavailable)]
    fn a_batch_can_fail_as_a_whole(#[case] status: u16, #[case] body: Value, #[case] expected: Decision) {
        assert_eq!(batch(answer(status, body), &["1", "2"].map(write)).unwrap_err().decision, expected);
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

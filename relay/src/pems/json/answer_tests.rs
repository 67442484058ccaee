//! Answers and what they mean.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::pems::json::samples::{good, write};

fn answer(status: u16, body: Value) -> Answer {
    Answer { status, retry_after: Some(Duration::from_secs(2)), body: Some(body), ..Answer::default() }
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
#[case(json!({"success": true}))]
fn a_200_that_confirms_nothing_is_ambiguous(#[case] body: Value) {
    assert_eq!(kind(&single(answer(200, body), &write("7"))), Some(FailureKind::Ambiguous));
}

/// PEMS' own refusals.
#[rstest]
#[case(400, "BAD_REQUEST", FailureKind::Rejected)]
#[case(401, "UNAUTHORIZED", FailureKind::Unauthorized)]
#[case(403, "WRONG_TENANT", FailureKind::Unauthorized)]
#[case(403, "UNKNOWN_ORGANIZATION", FailureKind::Unauthorized)]
#[case(403, "WRONG_ORGANIZATION", FailureKind::Unauthorized)]
#[case(403, "FORBIDDEN", FailureKind::Rejected)]
#[case(404, "NOT_FOUND", FailureKind::Rejected)]
#[case(404, "NO_SUCH_ROUTE", FailureKind::Unauthorized)]
#[case(404, "OTHER", FailureKind::Outage)]
#[case(408, "CODE", FailureKind::Throttled)]
#[case(409, "VERSION_CONFLICT", FailureKind::Conflict)]
#[case(410, "CODE", FailureKind::Rejected)]
#[case(413, "CODE", FailureKind::Rejected)]
#[case(422, "CODE", FailureKind::Rejected)]
#[case(423, "CODE", FailureKind::Locked)]
#[case(429, "CODE", FailureKind::Throttled)]
#[case(500, "CODE", FailureKind::Unavailable)]
#[case(502, "CODE", FailureKind::Outage)]
#[case(503, "CODE", FailureKind::Unavailable)]
#[case(504, "CODE", FailureKind::Outage)]
#[case(202, "CODE", FailureKind::Ambiguous)]
#[case(302, "CODE", FailureKind::Outage)]
#[case(0, "CODE", FailureKind::Ambiguous)]
#[case(600, "CODE", FailureKind::Ambiguous)]
fn status_and_error_decide(#[case] status: u16, #[case] error: &str, #[case] expected: FailureKind) {
    let body = json!({"success": false, "error": error, "message": "why"});
    let failed = single(answer(status, body), &write("7")).unwrap_err();
    assert_eq!(failed.kind, expected);
    if expected != FailureKind::Outage {
        assert_eq!(failed.message, format!("PEMS answered {status}: {error}: why"));
    }
}

/// Whatever has another shape does not come from PEMS.
#[rstest]
fn what_is_not_the_contracts_is_an_outage(
    #[values(200, 302, 400, 401, 403, 404, 409, 422, 423, 500, 502, 503)] status: u16,
    #[values(
        None,
        Some(json!({})),
        Some(json!([])),
        Some(json!("ok")),
        Some(json!({"error": "NOT_FOUND", "message": "why"})),
        Some(json!({"success": "false", "error": "NOT_FOUND", "message": "why"})),
        Some(json!({"success": false, "error": {"code": 7}})),
    )]
    body: Option<Value>,
) {
    let page = || Answer { status, body: body.clone(), form: "text/html".to_owned(), ..Answer::default() };
    let outage = |failure: &Failure| failure.kind == FailureKind::Outage;
    // A 200 of PEMS that confirms nothing is PEMS' own, if it says success at all.
    if status != 200 || refusal(body.as_ref()).is_none() && body.as_ref().is_none_or(|b| b["success"] != false) {
        assert!(single(page(), &write("7")).is_err_and(|failure| outage(&failure)));
    }
    assert!(batch(page(), &["7", "8"].map(write)).is_err_and(|failure| outage(&failure)));
}

#[test]
fn the_reason_of_a_200_that_refuses_is_kept() {
    let body = json!({"success": false, "error": "CLOSED", "message": "the period is closed"});
    let failed = single(answer(200, body.clone()), &write("7")).unwrap_err();
    assert_eq!(failed.message, "PEMS answered 200 without confirming the write: CLOSED: the period is closed");
    let failed = batch(answer(200, body), &["7", "8"].map(write)).unwrap_err();
    assert_eq!((failed.kind, failed.message.ends_with("the period is closed")), (FailureKind::Ambiguous, true));
}

#[test]
fn a_batch_is_judged_record_by_record() {
    let body = json!({"results": [good("1"), {"status": 409, "success": false, "error": "VERSION_CONFLICT"},
        {"status": "422", "success": false, "error": "INVALID_VALUE"}, {"status": 422}]});
    let results = batch(answer(200, body), &["1", "2", "3", "4"].map(write)).unwrap();
    let kinds: Vec<_> = results.iter().map(kind).collect();
    let expected = [FailureKind::Conflict, FailureKind::Rejected, FailureKind::Ambiguous].map(Some);
    assert_eq!((kinds[0], &kinds[1..]), (None, &expected[..]));
}

#[test]
fn what_a_batch_answer_leaves_out_is_ambiguous() {
    let body = json!({"results": [good("1"), {"status": 409, "error": "VERSION_CONFLICT"}]});
    let results = batch(answer(200, body), &["1", "2", "3"].map(write)).unwrap();
    let kinds: Vec<_> = results.iter().map(kind).collect();
    assert_eq!(kinds, [None, Some(FailureKind::Ambiguous), Some(FailureKind::Ambiguous)]);
}

#[test]
fn results_are_assigned_by_the_id_they_name() {
    let results = batch(answer(200, json!({"results": [good("2"), good("1")]})), &["1", "2"].map(write)).unwrap();
    assert!(results.iter().all(Result::is_ok));
    let results = batch(answer(200, json!({"results": [good("1"), good("1")]})), &["1", "2"].map(write)).unwrap();
    assert!(results.iter().all(|result| kind(result) == Some(FailureKind::Ambiguous)));
}

#[rstest]
#[case("5", "200")]
#[case("5.0", "200.0")]
#[case(r#""5""#, r#""200""#)]
#[case("5e0", "2e2")]
fn whole_numbers_may_be_spelled_in_any_way(#[case] version: &str, #[case] status: &str) {
    let mut body = good("1");
    body["newVersion"] = serde_json::from_str(version).unwrap();
    body["status"] = serde_json::from_str(status).unwrap();
    assert_eq!(single(answer(200, body.clone()), &write("1")).unwrap().version, 5);
    assert!(batch(answer(200, json!({"results": [body]})), &[write("1")]).unwrap()[0].is_ok());
}

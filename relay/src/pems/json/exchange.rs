//! One request and its answer.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use pfa_service::certificate;
use reqwest::RequestBuilder;

use super::{
    answer::Answer,
    bytes,
    pace::{self, Pace},
};
use crate::pems::{Failure, FailureKind};

/// Longest answer that is read, in bytes; a page of 1,000 records is about one MB.
const MAX_ANSWER: usize = 64 << 20;

/// The wait before the first try with a new secret.
const RENEWED: Duration = Duration::from_secs(1);

/// A read is never ambiguous: it can be repeated.
pub(super) fn reading(mut failure: Failure) -> Failure {
    if failure.kind == FailureKind::Ambiguous {
        failure.kind = FailureKind::Unavailable;
    }
    failure
}

/// Sends a request and reads its answer; records status and duration as metrics.
pub(super) async fn exchange(request: RequestBuilder, pace: &Pace) -> Result<Answer, Failure> {
    let started = Instant::now();
    let answer = answer_to(request).await;
    let status = match &answer {
        Ok(answer) => answer.status.to_string(),
        Err(_) => "none".to_owned(),
    };
    counter!("pfa_relay_requests_total", "status" => status).increment(1);
    histogram!("pfa_relay_request_seconds").record(started.elapsed());
    match answer {
        Ok(answer @ Answer { status: 429, retry_after: None, .. }) => {
            Ok(Answer { retry_after: Some(pace.throttled()), ..answer })
        }
        answer => {
            if answer.is_ok() {
                pace.served();
            }
            answer
        }
    }
}

async fn answer_to(request: RequestBuilder) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(no_answer)?;
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (date, encoding, form) = (header("date"), header("content-encoding"), header("content-type"));
    let retry_after = pace::retry_after(&header("retry-after"), Some(&date));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Ok(Some(_)) => {
                return Ok(Answer { status, retry_after, form: "a body that is too long".to_owned(), ..Answer::default() });
            }
            // The status is known, but not whose it is.
            Err(_) if status >= 400 => {
                return Ok(Answer { status, retry_after, form: "half a body".to_owned(), ..Answer::default() });
            }
            Err(error) => return Err(no_answer(error)),
        }
    }
    let Ok(content) = bytes::decoded(body, &encoding, MAX_ANSWER) else {
        return Ok(Answer {
            status,
            retry_after,
            form: format!("a body that can't be decoded from {encoding}"),
            ..Answer::default()
        });
    };
    let (body, replaced) = bytes::parsed(&content).map_or((None, false), |(body, replaced)| (Some(body), replaced));
    Ok(Answer { status, retry_after, body, form, replaced, date: httpdate::parse_http_date(&date).ok() })
}

/// The secret was replaced while a request with the old one was under way: nothing was applied, and the next try uses the
/// new one.
pub(super) fn renewed() -> Failure {
    Failure {
        kind: FailureKind::Throttled,
        status: None,
        message: "PEMS refused a secret that has been replaced since; trying again with the new one".to_owned(),
        retry_after: Some(RENEWED),
        response: None,
        source: None,
    }
}

/// A request without an answer: without a connection PEMS has not received it, otherwise that is unknown.
fn no_answer(error: reqwest::Error) -> Failure {
    let (kind, message) = match &error {
        error if error.is_connect() => (FailureKind::Unavailable, "no connection to PEMS"),
        error if error.is_builder() => (FailureKind::Unavailable, "the request can't be built"),
        error if error.is_timeout() => (FailureKind::Ambiguous, "PEMS did not answer in time"),
        _ => (FailureKind::Ambiguous, "the connection to PEMS broke before its answer"),
    };
    // The log line has the identifiers; the address would repeat them.
    let source = error.without_url();
    let cause = certificate::fault(&source, "pems-ca")
        .map_or_else(|| root_cause(&source), |fault| format!("its certificate is not accepted: {fault}"));
    Failure {
        kind,
        status: None,
        message: format!("{message} ({cause})"),
        retry_after: None,
        response: None,
        source: Some(Box::new(source)),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

//! What every answer has: an id, a line in the log, metrics, security headers, and problem details if it is an error.
//!
//! By hand rather than by tower-http: its request-id layer would accept an id of the client, which would stand in the log.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::{counter, histogram};
use tracing::{Instrument, field::Empty, info, info_span};
use uuid::Uuid;

use super::problem::Problem;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers are data of one user: not cached, not framed, and with no other type than stated.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Wraps every route.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7().to_string();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = info_span!("request", id, method = %request.method(), route = route, user = Empty);
    let answer = next.run(request).instrument(span.clone()).await;
    let mut answer = if is_bare_error(&answer) { with_problem(answer) } else { answer };
    span.in_scope(|| info!(status = answer.status().as_u16(), milliseconds = started.elapsed().as_millis() as u64, "answered"));
    let labels = [("route", route), ("status", answer.status().as_u16().to_string())];
    counter!("pfa_api_requests_total", &labels).increment(1);
    histogram!("pfa_api_request_seconds", &labels[..1]).record(started.elapsed());
    for (name, value) in SECURITY_HEADERS {
        // The API reference has a content policy of its own.
        answer.headers_mut().entry(name).or_insert(value);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

fn is_bare_error(answer: &Response) -> bool {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    (status.is_client_error() || status.is_server_error()) && kind.is_none_or(|kind| kind != "application/problem+json")
}

/// An error of the framework as a problem. Headers such as Allow are kept.
fn with_problem(answer: Response) -> Response {
    let mut problem = Problem::of_status(answer.status()).into_response();
    for (name, value) in answer.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

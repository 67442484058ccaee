//! How answers are sent.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use serde_json::{Value, json};
use thiserror::Error;

use super::fault::Spelling;
use super::spelling::spell;

/// Ends the connection without an answer.
#[derive(Debug, Error)]
#[error("the connection is ended on purpose")]
pub struct Ended;

/// The body of an answer; an error in it ends the connection.
pub(super) type Body = BoxBody<Bytes, Ended>;

/// A status and a body.
pub(super) type Answer = (u16, Value);

pub(super) fn unauthorized() -> Answer {
    refuse(401, "UNAUTHORIZED", "the credentials are not accepted")
}

pub(super) fn refuse(status: u16, error: &str, message: &str) -> Answer {
    (status, json!({"success": false, "error": error, "message": message}))
}

pub(super) fn respond(status: u16, body: &Value, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds.to_string());
    }
    response.body(whole(body.to_string())).expect("status and headers are valid")
}

/// An answer in an odd spelling.
pub(super) fn odd(status: u16, body: Value, spelling: Spelling) -> Response<Body> {
    let (bytes, encoding) = spell(body, spelling);
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(encoding) = encoding {
        response = response.header("content-encoding", encoding);
    }
    response.body(whole(bytes)).expect("status and headers are valid")
}

/// What a gateway says in PEMS' place.
pub(super) fn gateway(status: u16, page: &str) -> Response<Body> {
    let kind = if page.starts_with(['{', '[']) { "application/json" } else { "text/html" };
    let mut response = Response::builder().status(status).header("content-type", kind);
    if (300..400).contains(&status) {
        response = response.header("location", "https://login.example.org/");
    }
    response.body(whole(page.to_owned())).expect("status and headers are valid")
}

pub(super) fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

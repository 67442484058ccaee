//! `Idempotency-Key`: a request that is repeated under the same key is executed once.

use axum::{
    extract::{FromRequest, Request},
    http::HeaderValue,
};
use serde::de::DeserializeOwned;

use super::{
    body::{Body, bytes, json},
    problem::Problem,
};

/// Longest key, in characters.
const MAX_KEY_LENGTH: usize = 255;

/// A body of a request that may carry an idempotency key.
pub(crate) struct Idempotent<T> {
    /// What the caller sent.
    pub(crate) body: T,
    pub(crate) key: Option<Key>,
}

/// An idempotency key, and the request that it was sent with.
pub(crate) struct Key {
    pub(crate) key: String,
    /// Path and body, which distinguish this request from another one under the same key.
    pub(crate) request: String,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = request.headers().get("idempotency-key").map(parse_key).transpose()?;
        let path = request.uri().path().to_owned();
        let bytes = bytes(request, state).await?;
        let Body(body) = json(&bytes)?;
        let request = || format!("{path}\n{}", String::from_utf8_lossy(&bytes));
        Ok(Self { body, key: key.map(|key| Key { key, request: request() }) })
    }
}

pub(super) fn parse_key(header: &HeaderValue) -> Result<String, Problem> {
    let text = header.to_str().ok().filter(|text| (1..=MAX_KEY_LENGTH).contains(&text.len()) && !text.contains('\t'));
    text.map(ToOwned::to_owned)
        .ok_or_else(|| Problem::new("malformed", format!("Idempotency-Key has 1 to {MAX_KEY_LENGTH} characters of ASCII.")))
}

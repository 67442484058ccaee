//! The API reference: the OpenAPI description, and a page that shows it and loads nothing from elsewhere.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;

use crate::state::AppState;

const CONTENT_POLICY: (HeaderName, &str) =
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");

/// `/openapi.json` with this description, and `/docs`. They need no token and hold no data.
pub(crate) fn docs(description: &Value) -> Router<AppState> {
    // Written once: a request needs no token, and must not cost the service its length.
    let description = Description::new(description);
    let file = |kind: &'static str, text: &'static str| get(move || async move { file(kind, text) });
    Router::new()
        .route("/openapi.json", get(async move |headers: HeaderMap| description.answer(&headers)))
        .route("/docs", file("text/html; charset=utf-8", include_str!("../../web/index.html")))
        .route("/docs/page.js", file("text/javascript", include_str!("../../web/page.js")))
        .route("/docs/page.css", file("text/css", include_str!("../../web/page.css")))
}

/// The description as it is sent, and its ETag.
#[derive(Clone)]
struct Description {
    text: Bytes,
    tag: HeaderValue,
}

impl Description {
    fn new(description: &Value) -> Self {
        let text = description.to_string();
        // The same build describes itself by the same text.
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self { text: text.into(), tag: tag.parse().expect("hexadecimal digits in quotes are a header") }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == self.tag);
        // The client keeps its copy and asks whether it is current.
        let own = [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        match known {
            true => (StatusCode::NOT_MODIFIED, own).into_response(),
            false => (own, [(header::CONTENT_TYPE, "application/json")], self.text.clone()).into_response(),
        }
    }
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), CONTENT_POLICY], text)
}

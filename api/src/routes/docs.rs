//! The API reference: the OpenAPI description, and a page that shows it and loads nothing from elsewhere.

use axum::{
    Json, Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::Value;

use crate::state::AppState;

const CONTENT_POLICY: (HeaderName, &str) =
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");

/// `/openapi.json` with this description, and `/docs`. They need no token and hold no data.
pub(crate) fn docs(description: Value) -> Router<AppState> {
    let file = |kind: &'static str, text: &'static str| get(move || async move { file(kind, text) });
    Router::new()
        .route("/openapi.json", get(async || Json(description)))
        .route("/docs", file("text/html; charset=utf-8", include_str!("../../web/index.html")))
        .route("/docs/page.js", file("text/javascript", include_str!("../../web/page.js")))
        .route("/docs/page.css", file("text/css", include_str!("../../web/page.css")))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), CONTENT_POLICY], text)
}

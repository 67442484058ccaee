//! The description of the service for people: a page of its own files, which loads nothing from elsewhere.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

use crate::{openapi, service::Service};

const POLICY: (HeaderName, &str) =
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");

/// `/openapi.json` and `/docs`; they need no token and hold no data.
pub(crate) fn routes() -> Router<Arc<Service>> {
    let file = |kind: &'static str, text: &'static str| get(move || async move { file(kind, text) });
    Router::new()
        .route("/openapi.json", get(async || Json(openapi::document())))
        .route("/docs", file("text/html; charset=utf-8", include_str!("../pages/index.html")))
        .route("/docs/page.js", file("text/javascript", include_str!("../pages/page.js")))
        .route("/docs/page.css", file("text/css", include_str!("../pages/page.css")))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), POLICY], text)
}

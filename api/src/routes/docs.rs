//! The API reference: the OpenAPI description, and Swagger UI, which shows it and loads nothing from elsewhere.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::tag_of;
use crate::state::AppState;

/// Swagger UI writes style attributes and shows images of its own as data. Only these pages may.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `/openapi.json` with this description, and `/docs`. They need no token and hold no data.
pub(crate) fn docs(description: &Value) -> Router<AppState> {
    // Written once: a request needs no token, and must not cost the service its length.
    let description = Description::new(description);
    let config = Config::from("/openapi.json").try_it_out_enabled(true).persist_authorization(false);
    let reference = Router::from(SwaggerUi::new("/docs").config(config)).layer(map_response(with_policy));
    Router::new().route("/openapi.json", get(async move |headers: HeaderMap| description.answer(&headers))).merge(reference)
}

async fn with_policy(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    // They hold no data, and change with the version of the service alone.
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    answer
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
        let tag = tag_of(&text);
        Self { text: text.into(), tag }
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

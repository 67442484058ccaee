//! Errors as problem details (RFC 9457), with a code that stays the same while words change.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pfa_relay::database::DatabaseError;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::error::DbError;
use tracing::error;

/// An error as the caller gets it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    r#type: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    code: &'static str,
    detail: String,
    #[serde(flatten)]
    more: Map<String, Value>,
    #[serde(skip)]
    contended: bool,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// Every code with its status and title. The detail says what happened in the single case.
const CODES: [(&str, StatusCode, &str); 13] = [
    ("malformed", StatusCode::BAD_REQUEST, "The request can't be read"),
    ("unauthenticated", StatusCode::UNAUTHORIZED, "A valid token is needed"),
    ("forbidden", StatusCode::FORBIDDEN, "A permission is missing"),
    ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The route does not take this method"),
    ("committed", StatusCode::CONFLICT, "A committed change can't be edited"),
    ("moved_on", StatusCode::CONFLICT, "It has changed since you looked"),
    ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON"),
    ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "The values are not valid"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The service failed"),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Try again later"),
    ("timeout", StatusCode::GATEWAY_TIMEOUT, "The answer took too long"),
];

impl Problem {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (code, status, title) = *CODES.iter().find(|(known, ..)| *known == code).unwrap_or(&CODES[10]);
        Self {
            r#type: format!("urn:pfa-sync:problem:{code}"),
            title,
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
            contended: false,
        }
    }

    /// For an answer that the framework gave by its status alone.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            status => CODES.iter().find(|(_, known, _)| *known == status).map_or("malformed", |(code, ..)| code),
        };
        let detail = match code {
            "not_found" => "There is nothing at this address.",
            "method_not_allowed" => "The header Allow lists the methods of this route.",
            "too_large" => "Send less at once; the service's body-limit says how much it takes.",
            "unavailable" => "The service can't do this now; its log says why.",
            "timeout" => "Look whether it was done before you ask again.",
            "unsupported_media_type" => "Send Content-Type: application/json.",
            "internal" => "The log of the service has more under this request's id.",
            _ => "The request does not fit this route.",
        };
        Self::new(code, detail)
    }

    /// For a caller that said which state it means (If-Match): that state is gone.
    pub(crate) fn of_precondition(mut self) -> Self {
        if self.code == "moved_on" {
            self.status = StatusCode::PRECONDITION_FAILED;
        }
        self
    }

    /// Whether the same call may succeed at once.
    pub(crate) fn is_contended(&self) -> bool {
        self.contended
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.more.insert(key.to_owned(), value);
        self
    }

    fn of_database(said: &DbError) -> Self {
        let told = match said.hint() {
            Some(hint) => format!("{}. {hint}", said.message()),
            None => said.message().to_owned(),
        };
        let detail = said.detail().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        let refused = |problem: Self| match detail.clone() {
            Some(changes) => problem.with("changes", changes),
            None => problem,
        };
        match said.code().code() {
            "PF001" => refused(Self::new("invalid", said.message())),
            "PF002" => refused(Self::new("forbidden", said.message())),
            "PF003" => Self::new("committed", told),
            "PF006" => match detail.and_then(|state| serde_json::from_value::<crate::conflicts::Conflict>(state).ok()) {
                Some(current) => Self::new("moved_on", said.message()).with("current", serde_json::json!(current)),
                None => Self::new("moved_on", said.message()),
            },
            "PF008" => Self::new("not_found", said.message()),
            "40001" | "40P01" => Self {
                contended: true,
                ..Self::new("unavailable", "Somebody changed the same records at this moment; try again.")
            },
            "57014" => Self::of_status(StatusCode::GATEWAY_TIMEOUT),
            // Text that is no text for Postgres, such as a NUL, and numbers or times out of its range.
            state if state.starts_with("22") => Self::new("invalid", said.message()),
            state => {
                let unavailable = matches!(state, "PF004" | "PF005" | "PF007" | "PF009" | "25006")
                    || ["08", "53", "57"].iter().any(|class| state.starts_with(class));
                error!(sqlstate = state, message = said.message(), "a call of the database failed");
                Self::of_status(if unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR })
            }
        }
    }
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self::of_database(said),
            None => DatabaseError::from(error).into(),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        error!(%error, "no answer from the database");
        Self::new("unavailable", "The database does not answer.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == "unauthenticated" {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == "unavailable" {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

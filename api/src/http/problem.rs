//! Errors as problem details (RFC 9457). The code is stable, the texts may change.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pfa_service::{
    database::DatabaseError,
    sqlstate::{Meaning, meaning},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio_postgres::error::DbError;
use tracing::error;
use utoipa::ToSchema;

use super::malformed::Fault;
use crate::conflict::Conflict;

/// An error as the caller receives it: problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:pfa-sync:problem:` and the code.
    #[schema(value_type = String)]
    r#type: Type,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// Stable, while the texts may change.
    code: &'static str,
    /// What happened, and what to do.
    detail: String,
    /// What is wrong with the request, or with the changes of a refused commit, one by one.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Box<[Fault]>,
    /// For a refused commit: each change with its errors and missing permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    changes: Option<Box<Value>>,
    /// For a conflict that has changed: its current state.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Box<Conflict>>,
    /// A token was sent, and is refused for the reason in the detail.
    #[serde(skip)]
    refused_token: bool,
    #[serde(skip)]
    retryable: bool,
    /// How long to wait before a retry, in seconds.
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// `urn:pfa-sync:problem:` and the code.
#[derive(Debug)]
struct Type(&'static str);

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:pfa-sync:problem:{}", self.0))
    }
}

fn as_number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// Every code with its status and title. The detail describes the single case.
const CODES: [(&str, StatusCode, &str); 14] = [
    ("malformed", StatusCode::BAD_REQUEST, "The request can't be read"),
    ("unauthenticated", StatusCode::UNAUTHORIZED, "A valid token is needed"),
    ("forbidden", StatusCode::FORBIDDEN, "A permission is missing"),
    ("not_found", StatusCode::NOT_FOUND, "Not found"),
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The route does not accept this method"),
    ("committed", StatusCode::CONFLICT, "A committed change can't be edited"),
    ("moved_on", StatusCode::CONFLICT, "It has changed since it was read"),
    ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON"),
    ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "The values are not valid"),
    ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests at once"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The service failed"),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Try again later"),
    ("timeout", StatusCode::GATEWAY_TIMEOUT, "The request timed out"),
];

/// Every status of a problem, with its titles.
pub(crate) fn statuses() -> BTreeMap<u16, String> {
    // A request with If-Match is refused with another status.
    let moved_on =
        CODES.iter().filter(|(code, ..)| *code == "moved_on").map(|(_, _, title)| (StatusCode::PRECONDITION_FAILED, *title));
    let mut statuses = BTreeMap::<u16, Vec<&str>>::new();
    for (status, title) in CODES.iter().map(|(_, status, title)| (*status, *title)).chain(moved_on) {
        statuses.entry(status.as_u16()).or_default().push(title);
    }
    statuses.into_iter().map(|(status, titles)| (status, titles.join("; "))).collect()
}

impl Problem {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (code, status, title) = *CODES.iter().find(|(known, ..)| *known == code).expect("a code of the table");
        Self {
            r#type: Type(code),
            title,
            status,
            code,
            detail: detail.into(),
            errors: Box::default(),
            changes: None,
            current: None,
            refused_token: false,
            retryable: false,
            retry_after: None,
        }
    }

    /// For something that does not exist, or that this caller can't see.
    pub(crate) fn not_found() -> Self {
        Self::new("not_found", "It does not exist, or is not visible to this user.")
    }

    /// For a body that can't be read.
    pub(crate) fn of_body(fault: Fault) -> Self {
        let place = fault.pointer.as_deref().filter(|pointer| !pointer.is_empty());
        let detail = place.map_or_else(|| fault.message.clone(), |place| format!("{place}: {}", fault.message));
        Self { errors: [fault].into(), ..Self::new("malformed", detail) }
    }

    /// For changes that the database refuses, as it lists them.
    fn of_changes(code: &'static str, message: &str, changes: Option<Value>) -> Self {
        let errors = changes.iter().filter_map(Value::as_array).flatten().flat_map(faults).collect();
        Self { errors, changes: changes.map(Box::new), ..Self::new(code, message) }
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// For a token that is refused for this reason.
    pub(crate) fn of_token(reason: &str) -> Self {
        Self { refused_token: true, ..Self::new("unauthenticated", format!("{reason}; log in again")) }
    }

    /// Adds how long to wait before a retry.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1));
        self
    }

    /// For an answer that has a status and nothing else.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            status => CODES.iter().find(|(_, known, _)| *known == status).map_or("malformed", |(code, ..)| code),
        };
        let detail = match code {
            "not_found" => "No route has this address.",
            "method_not_allowed" => "The header Allow lists the methods of this route.",
            "too_large" => "Send a smaller body; the limit is the service's body-limit.",
            "unavailable" => "The service can't do this now; its log has the reason.",
            "timeout" => "Check whether it was done before you send it again.",
            "unsupported_media_type" => "Send Content-Type: application/json.",
            "internal" => "The log of the service has details under this request's id.",
            _ => "The request does not fit this route.",
        };
        let problem = Self::new(code, detail);
        if code == "unavailable" { problem.retry_after(Duration::ZERO) } else { problem }
    }

    /// For a request with If-Match, whose state is out of date.
    pub(crate) fn of_precondition(mut self) -> Self {
        if self.code == "moved_on" {
            self.status = StatusCode::PRECONDITION_FAILED;
        }
        self
    }

    /// Whether the same call can succeed at once.
    pub(crate) fn is_retryable(&self) -> bool {
        self.retryable
    }

    fn of_database(error: &DbError) -> Self {
        let message = match error.hint() {
            Some(hint) => format!("{}. {hint}", error.message()),
            None => error.message().to_owned(),
        };
        let detail = error.detail().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        match meaning(error.code().code()) {
            // The hint of a refused commit refers to the DETAIL of the statement, which is `changes` here.
            Meaning::Invalid if detail.is_some() => Self::of_changes("invalid", error.message(), detail),
            Meaning::Invalid => Self::new("invalid", message),
            Meaning::Forbidden => Self::of_changes("forbidden", error.message(), detail),
            Meaning::Committed => Self::new("committed", message),
            Meaning::MovedOn => {
                Self { current: detail.and_then(Conflict::from_state).map(Box::new), ..Self::new("moved_on", error.message()) }
            }
            Meaning::NotFound => Self::new("not_found", error.message()),
            Meaning::Retryable => Self {
                retryable: true,
                ..Self::new("unavailable", "Another request changes the same records; try again.").retry_after(Duration::ZERO)
            },
            Meaning::Cancelled => Self::of_status(StatusCode::GATEWAY_TIMEOUT),
            Meaning::Unrepresentable => Self::new("invalid", error.message()),
            meaning @ (Meaning::NotReady | Meaning::Unreachable | Meaning::Other) => {
                error!(sqlstate = error.code().code(), message = error.message(), "a call of the database failed");
                Self::of_status(match meaning {
                    Meaning::Other => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                })
            }
        }
    }
}

/// What is wrong with a change that the database refuses.
fn faults(change: &Value) -> Vec<Fault> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let pfa_id = text(&change["pfaId"]);
    let errors = change["errors"].as_array().into_iter().flatten().map(|error| Fault {
        pointer: None,
        pfa_id: pfa_id.clone(),
        field: text(&error["field"]),
        code: text(&error["code"]).unwrap_or_default(),
        message: text(&error["message"]).unwrap_or_default(),
    });
    let missing =
        change["missingPermissions"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|permission| Fault {
            pointer: None,
            pfa_id: pfa_id.clone(),
            field: None,
            code: "MISSING_PERMISSION".to_owned(),
            message: format!("it needs {permission}"),
        });
    errors.chain(missing).collect()
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self::of_database(error),
            None => DatabaseError::from(error).into(),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        let detail = match error {
            DatabaseError::Busy(_) => "Other requests use all connections to the database; try again.",
            _ => "The database does not answer.",
        };
        error!(%error, "no answer from the database");
        Self::new("unavailable", detail).retry_after(Duration::ZERO)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == "unauthenticated" {
            // RFC 6750, section 3.
            let described = format!(r#"Bearer error="invalid_token", error_description="{}""#, self.detail);
            let challenge = if self.refused_token { described.parse().ok() } else { None };
            headers.insert(header::WWW_AUTHENTICATE, challenge.unwrap_or(HeaderValue::from_static("Bearer")));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}

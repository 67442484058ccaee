//! Errors as problem details (RFC 9457), with a code that stays the same while words change.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pfa_relay::database::DatabaseError;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::error::DbError;
use tracing::error;
use utoipa::ToSchema;

use crate::conflicts::Conflict;

/// An error as the caller gets it: problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:pfa-sync:problem:` and the code.
    r#type: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// Stays the same while words change.
    code: &'static str,
    /// What happened, and what to do.
    detail: String,
    /// Of a refused commit: each change with its errors and missing permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    changes: Option<Box<Value>>,
    /// Of a conflict that has moved on: as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Box<Conflict>>,
    #[serde(skip)]
    contended: bool,
    /// When to come again.
    #[serde(skip)]
    after: Option<Duration>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// Every code with its status and title. The detail says what happened in the single case.
const CODES: [(&str, StatusCode, &str); 14] = [
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
    ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests at once"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The service failed"),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Try again later"),
    ("timeout", StatusCode::GATEWAY_TIMEOUT, "The answer took too long"),
];

/// Every status of a problem, with what it may mean.
pub(crate) fn statuses() -> BTreeMap<u16, String> {
    // A caller that said which state it means is refused by a status of its own.
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
            r#type: format!("urn:pfa-sync:problem:{code}"),
            title,
            status,
            code,
            detail: detail.into(),
            changes: None,
            current: None,
            contended: false,
            after: None,
        }
    }

    /// For what is not there, or not for this caller.
    pub(crate) fn no_such_thing() -> Self {
        Self::new("not_found", "There is nothing of this name that you may see.")
    }

    /// Which problem it is.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Says when to come again.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
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
        let problem = Self::new(code, detail);
        if code == "unavailable" { problem.after(Duration::ZERO) } else { problem }
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

    fn of_database(said: &DbError) -> Self {
        let told = match said.hint() {
            Some(hint) => format!("{}. {hint}", said.message()),
            None => said.message().to_owned(),
        };
        let detail = said.detail().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        match said.code().code() {
            // The hint of a refused commit speaks of the statement's DETAIL.
            "PF001" if detail.is_some() => Self { changes: detail.map(Box::new), ..Self::new("invalid", said.message()) },
            "PF001" => Self::new("invalid", told),
            "PF002" => Self { changes: detail.map(Box::new), ..Self::new("forbidden", said.message()) },
            "PF003" => Self::new("committed", told),
            "PF006" => {
                Self { current: detail.and_then(Conflict::of_state).map(Box::new), ..Self::new("moved_on", said.message()) }
            }
            "PF008" => Self::new("not_found", said.message()),
            "40001" | "40P01" => Self {
                contended: true,
                ..Self::new("unavailable", "Somebody changed the same records at this moment; try again.").after(Duration::ZERO)
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
        Self::new("unavailable", "The database does not answer.").after(Duration::ZERO)
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
        if let Some(after) = self.after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs() + 1));
        }
        response
    }
}

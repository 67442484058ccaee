//! What a request carries: a JSON body or parameters, refused with a problem that says where they are wrong.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::problem::Problem;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(match rejection.status() {
                StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Problem::new("malformed", reason(&rejection)),
                status => Problem::of_status(status),
            }),
        }
    }
}

/// Where a body is wrong; axum's own text begins with what the title says already.
fn reason(rejection: &JsonRejection) -> String {
    let cause = std::error::Error::source(rejection).map(ToString::to_string);
    cause.unwrap_or_else(|| rejection.body_text())
}

/// The parameters of the address.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::new("malformed", rejection.body_text())),
        }
    }
}

/// Which part of a list is wanted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// Only this organization, by id or code.
    pub(crate) organization_id: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub(crate) after: i64,
    limit: Option<i64>,
}

impl Page {
    /// Rows in a page: 50 unless another number up to 200 is asked for.
    pub(crate) fn limit(&self) -> Result<i64, Problem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=200 => Ok(limit),
            _ => Err(Problem::new("invalid", "limit is from 1 to 200.")),
        }
    }

    /// The cursor of the page after this one, if this one is full.
    pub(crate) fn next<T>(&self, rows: &[T], id: impl Fn(&T) -> i64) -> Option<i64> {
        let full = rows.len() as i64 >= self.limit.unwrap_or(50);
        rows.last().map(id).filter(|_| full)
    }
}

//! The caller of a request: the user of its token, who is rate-limited and in whose name the database is called.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{Span, info};

use super::token::{Holder, Refusal, Verifier};
use crate::{
    http::{
        idempotency::{Idempotent, Key},
        problem::Problem,
        rate_limit::RateLimit,
    },
    session::{Parameters, Sessions, read_row},
};

/// Longest time that a token is used, so that its end can be represented as an [`Instant`].
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a request passes before it calls the database.
pub(crate) struct Access {
    pub(crate) verifier: Verifier,
    pub(crate) rate_limit: RateLimit,
    pub(crate) sessions: Sessions,
}

/// The user of the request's token.
pub(crate) struct Caller {
    pub(crate) access: Arc<Access>,
    pub(crate) user: String,
    /// When the token ends.
    pub(crate) until: Instant,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Access>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Arc::<Access>::from_ref(state);
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| Problem::new("unauthenticated", "Send Authorization: Bearer and the application's token."))?;
        let holder = if scheme.eq_ignore_ascii_case("bearer") {
            access.verifier.holder(token.trim()).await
        } else {
            Err(Refusal::Final("the scheme of Authorization is not Bearer"))
        };
        let Holder { user, remaining } = holder.map_err(|refusal| {
            let reason = refusal.reason();
            info!(reason, "a token is refused");
            Problem::of_token(reason)
        })?;
        Span::current().record("user", &user);
        access.rate_limit.admit(&user)?;
        Ok(Self { access, user, until: Instant::now() + remaining.min(MAX_TOKEN_LIFE) })
    }
}

impl Caller {
    /// The rows of a query, executed as the user of the request.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, query: &str, parameters: Parameters<'_>) -> Result<Vec<T>, Problem> {
        self.read_rows(None, query, parameters).await
    }

    /// The row of a query that returns one.
    pub(crate) async fn row<T: DeserializeOwned>(&self, query: &str, parameters: Parameters<'_>) -> Result<T, Problem> {
        only(self.rows(query, parameters).await?)
    }

    /// The rows of a query that is executed once for each idempotency key.
    pub(crate) async fn rows_idempotent<B, T: DeserializeOwned>(
        &self,
        request: &Idempotent<B>,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>, Problem> {
        self.read_rows(request.key.as_ref(), query, parameters).await
    }

    /// The row of such a query that returns one.
    pub(crate) async fn row_idempotent<B, T: DeserializeOwned>(
        &self,
        request: &Idempotent<B>,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<T, Problem> {
        only(self.rows_idempotent(request, query, parameters).await?)
    }

    async fn read_rows<T: DeserializeOwned>(
        &self,
        key: Option<&Key>,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<T>, Problem> {
        let rows = self.access.sessions.rows(&self.user, key, query, parameters).await?;
        rows.into_iter().map(|row| read_row(row, query)).collect()
    }
}

fn only<T>(rows: Vec<T>) -> Result<T, Problem> {
    rows.into_iter().next().ok_or_else(Problem::not_found)
}

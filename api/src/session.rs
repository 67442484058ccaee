//! Calls of the database in the name of the user who asks.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tracing::{Span, error};

use crate::{problem::Problem, service::Service};

/// How often a call is made that met another transaction on the same records.
const TRIES: u32 = 3;

/// For this transaction: who acts, and how long a statement may take. Times are told in UTC.
const BEGIN: &str = "select set_config('pfa_sync.user_id', $1, true), set_config('statement_timeout', $2, true), set_config('timezone', 'UTC', true)";

/// The user of the request's token.
pub(crate) struct Caller {
    service: Arc<Service>,
    user: String,
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| Problem::new("unauthenticated", "Send Authorization: Bearer and the application's token."))?;
        let user =
            Some(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer")).and_then(|token| service.verifier.user(token));
        let user =
            user.ok_or_else(|| Problem::new("unauthenticated", "The token is not valid, or not any more; log in again."))?;
        Span::current().record("user", &user);
        Ok(Self { service: service.clone(), user })
    }
}

impl Caller {
    /// The rows of a query, as the user of the request.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>, Problem> {
        let mut tries = 1;
        let rows = loop {
            match self.service.rows(&self.user, query, parameters).await {
                Err(problem) if problem.is_contended() && tries < TRIES => tries += 1,
                answer => break answer?,
            }
        };
        let row = |row| {
            serde_json::from_value(row).map_err(|unexpected| {
                error!(%unexpected, query, "the database answers in a form that this version of the service does not know");
                Problem::new("internal", "The database and the service are of different versions.")
            })
        };
        rows.into_iter().map(row).collect()
    }

    /// The one row of a query that has one.
    pub(crate) async fn row<T: DeserializeOwned>(&self, query: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<T, Problem> {
        let row = self.rows(query, parameters).await?.into_iter().next();
        row.ok_or_else(|| Problem::new("not_found", "There is nothing of this name that you may see."))
    }
}

impl Service {
    /// The rows of a query in a transaction of their own, each as one JSON object.
    pub(crate) async fn rows(&self, user: &str, query: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Value>, Problem> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        let patience = self.request_timeout.as_millis().to_string();
        let begin = transaction.prepare_cached(BEGIN).await?;
        transaction.query_one(&begin, &[&user, &patience]).await?;
        let statement = transaction.prepare_cached(&format!("select to_jsonb(answer) from ({query}) answer")).await?;
        let rows = transaction.query(&statement, parameters).await?;
        transaction.commit().await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

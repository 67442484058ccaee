//! `Idempotency-Key`: what queues something is done once, however often it is asked for. The answer stands in the
//! database, written by the transaction that did the work, so that neither can be there without the other.

use axum::{
    extract::{FromRequest, Request},
    http::HeaderValue,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    problem::Problem,
    request::{Body, bytes, json},
    service::Service,
    session::{Arguments, Caller, rows_in, understood},
};

/// A body that asks for something that is to be done once.
pub(crate) struct Once<T> {
    /// What the caller sent.
    pub(crate) body: T,
    key: Option<String>,
    /// What tells this request from another one under the same key.
    request: String,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Once<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = request.headers().get("idempotency-key").map(readable).transpose()?;
        let path = request.uri().path().to_owned();
        let bytes = bytes(request, state).await?;
        let Body(body) = json(&bytes)?;
        Ok(Self { body, key, request: format!("{path}\n{}", String::from_utf8_lossy(&bytes)) })
    }
}

fn readable(key: &HeaderValue) -> Result<String, Problem> {
    let text = key.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    text.map(ToOwned::to_owned).ok_or_else(|| Problem::new("malformed", "Idempotency-Key has 1 to 255 characters of ASCII."))
}

impl Caller {
    /// The rows of a query that queues something; those of the first time if the request was made before.
    pub(crate) async fn rows_once<B, T: DeserializeOwned>(
        &self,
        once: &Once<B>,
        query: &str,
        arguments: Arguments<'_>,
    ) -> Result<Vec<T>, Problem> {
        let rows = match &once.key {
            None => self.service.rows(&self.user, query, arguments).await?,
            Some(key) => self.service.rows_under(key, &once.request, &self.user, query, arguments).await?,
        };
        rows.into_iter().map(|row| understood(row, query)).collect()
    }

    /// The one row of such a query.
    pub(crate) async fn row_once<B, T: DeserializeOwned>(
        &self,
        once: &Once<B>,
        query: &str,
        arguments: Arguments<'_>,
    ) -> Result<T, Problem> {
        self.rows_once(once, query, arguments).await?.into_iter().next().ok_or_else(Problem::no_such_thing)
    }
}

impl Service {
    async fn rows_under(
        &self,
        key: &str,
        request: &str,
        user: &str,
        query: &str,
        arguments: Arguments<'_>,
    ) -> Result<Vec<Value>, Problem> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        self.begin(&transaction, user).await?;
        let asked = transaction.prepare_cached("select pfa_sync.begin_idempotent($1, $2)").await?;
        let before: Option<Value> = transaction.query_one(&asked, &[&key, &request]).await?.get(0);
        let rows = match before {
            Some(Value::Array(rows)) => rows,
            _ => {
                let rows = rows_in(&transaction, query, arguments).await?;
                let answered = transaction.prepare_cached("select pfa_sync.finish_idempotent($1, $2)").await?;
                transaction.query_one(&answered, &[&key, &Value::Array(rows.clone())]).await?;
                rows
            }
        };
        transaction.commit().await?;
        Ok(rows)
    }
}

//! Calls of the database in the name of the user who asks.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use deadpool_postgres::Transaction;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tracing::{Span, error};

use crate::{problem::Problem, service::Service, token::Holder};

/// How often a call is made that met another transaction on the same records.
const TRIES: u32 = 3;

/// Nothing here outlives a month, so that the end of a token stays within what a clock can say.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// For this transaction: who acts, and how long a statement may take. Times are told in UTC.
const BEGIN: &str = "select set_config('pfa_sync.user_id', $1, true), set_config('statement_timeout', $2, true), set_config('timezone', 'UTC', true)";

/// The parameters of a query.
pub(crate) type Arguments<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The user of the request's token.
pub(crate) struct Caller {
    pub(crate) service: Arc<Service>,
    pub(crate) user: String,
    /// When the token ends.
    pub(crate) until: Instant,
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| Problem::new("unauthenticated", "Send Authorization: Bearer and the application's token."))?;
        let holder = if scheme.eq_ignore_ascii_case("bearer") { service.verifier.holder(token.trim()).await } else { None };
        let Holder { user, remaining } =
            holder.ok_or_else(|| Problem::new("unauthenticated", "The token is not valid, or not any more; log in again."))?;
        Span::current().record("user", &user);
        service.pace.admit(&user)?;
        Ok(Self { service: service.clone(), user, until: Instant::now() + remaining.min(LONGEST) })
    }
}

impl Caller {
    /// The rows of a query, as the user of the request.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, query: &str, arguments: Arguments<'_>) -> Result<Vec<T>, Problem> {
        let rows = self.service.rows(&self.user, query, arguments).await?;
        rows.into_iter().map(|row| understood(row, query)).collect()
    }

    /// The one row of a query that has one.
    pub(crate) async fn row<T: DeserializeOwned>(&self, query: &str, arguments: Arguments<'_>) -> Result<T, Problem> {
        self.rows(query, arguments).await?.into_iter().next().ok_or_else(Problem::no_such_thing)
    }
}

impl Service {
    /// The rows of a query in a transaction of their own, each as one JSON object whose keys are the columns in camelCase.
    /// Made again when it met another transaction on the same records.
    pub(crate) async fn rows(&self, user: &str, query: &str, arguments: Arguments<'_>) -> Result<Vec<Value>, Problem> {
        let mut tries = 1;
        loop {
            match self.rows_once(user, query, arguments).await {
                Err(problem) if problem.is_contended() && tries < TRIES => tries += 1,
                answer => break answer,
            }
        }
    }

    async fn rows_once(&self, user: &str, query: &str, arguments: Arguments<'_>) -> Result<Vec<Value>, Problem> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        self.begin(&transaction, user).await?;
        let rows = rows_in(&transaction, query, arguments).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Lets a transaction act for a user.
    pub(crate) async fn begin(&self, transaction: &Transaction<'_>, user: &str) -> Result<(), Problem> {
        let patience = self.request_timeout.as_millis().to_string();
        let begin = transaction.prepare_cached(BEGIN).await?;
        transaction.query_one(&begin, &[&user, &patience]).await?;
        Ok(())
    }
}

/// The rows of a query in a transaction that has begun.
pub(crate) async fn rows_in(transaction: &Transaction<'_>, query: &str, arguments: Arguments<'_>) -> Result<Vec<Value>, Problem> {
    let statement = transaction.prepare_cached(&format!("select to_jsonb(answer) from ({query}) answer")).await?;
    let rows = transaction.query(&statement, arguments).await?;
    Ok(rows.iter().map(|row| in_camel_case(row.get(0))).collect())
}

/// A row as the type of its route.
pub(crate) fn understood<T: DeserializeOwned>(row: Value, query: &str) -> Result<T, Problem> {
    serde_json::from_value(row).map_err(|unexpected| {
        error!(%unexpected, query, "the database answers in a form that this version of the service does not know");
        Problem::new("internal", "The database and the service are of different versions.")
    })
}

/// An object with its own keys in camelCase; what is inside of its values are names of the domain and stays.
pub(crate) fn in_camel_case(row: Value) -> Value {
    let Value::Object(columns) = row else { return row };
    Value::Object(columns.into_iter().map(|(name, value)| (camel_case(&name), value)).collect::<Map<_, _>>())
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |so_far, word| {
        let mut letters = word.chars();
        so_far + &letters.next().map_or_else(String::new, |letter| letter.to_ascii_uppercase().to_string()) + letters.as_str()
    })
}

//! Transactions that call the database as a user.

use std::time::Duration;

use deadpool_postgres::Transaction;
use pfa_service::{database::Database, retry};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tracing::error;

use crate::http::{concurrency::CallLimit, idempotency::Key, problem::Problem};

/// Sets for one transaction: the acting user, the timeout of its statements, and UTC.
const BEGIN: &str = "select set_config('pfa_sync.user_id', $1, true), set_config('statement_timeout', $2, true), set_config('timezone', 'UTC', true)";

/// The user id of a call that no user makes.
pub(crate) const NO_USER: &str = "";

/// The parameters of a query.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Makes transactions.
pub(crate) struct Sessions {
    pub(crate) database: Database,
    /// Longest duration of a statement.
    pub(crate) statement_timeout: Duration,
    pub(crate) calls: CallLimit,
}

/// How long the call of a user waits for a connection. A longer wait would only add to the load.
const CONNECTION_WAIT: Duration = Duration::from_secs(1);

impl Sessions {
    /// Executes a query as a user, in a transaction of its own, and returns each row as a JSON object. A transaction that
    /// met another one on the same rows is repeated.
    ///
    /// With a key, a query that was executed under that key before is not executed again: its first rows are returned. They
    /// are stored by the transaction that does the work, so that neither exists without the other.
    pub(crate) async fn rows(
        &self,
        user: &str,
        key: Option<&Key>,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Value>, Problem> {
        // The service's own calls are few, and serve all users.
        let (_admitted, wait) = match user {
            NO_USER => (None, self.statement_timeout),
            user => (Some(self.calls.admit(user).await?), CONNECTION_WAIT),
        };
        retry::at_once(Problem::is_retryable, || self.try_rows(user, wait, key, query, parameters)).await
    }

    async fn try_rows(
        &self,
        user: &str,
        wait: Duration,
        key: Option<&Key>,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Value>, Problem> {
        let mut client = self.database.get_within(wait).await?;
        let transaction = client.transaction().await?;
        let begin = transaction.prepare_cached(BEGIN).await?;
        let timeout = self.statement_timeout.as_millis().to_string();
        transaction.query_one(&begin, &[&user, &timeout]).await?;
        let rows = match key {
            None => query_rows(&transaction, query, parameters).await?,
            Some(key) => rows_idempotent(&transaction, key, query, parameters).await?,
        };
        transaction.commit().await?;
        Ok(rows)
    }
}

async fn rows_idempotent(
    transaction: &Transaction<'_>,
    key: &Key,
    query: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Value>, Problem> {
    let begin = transaction.prepare_cached("select pfa_sync.begin_idempotent($1, $2)").await?;
    let earlier: Option<Value> = transaction.query_one(&begin, &[&key.key, &key.request]).await?.get(0);
    if let Some(Value::Array(rows)) = earlier {
        return Ok(rows);
    }
    let rows = query_rows(transaction, query, parameters).await?;
    let finish = transaction.prepare_cached("select pfa_sync.finish_idempotent($1, $2)").await?;
    transaction.query_one(&finish, &[&key.key, &Value::Array(rows.clone())]).await?;
    Ok(rows)
}

async fn query_rows(transaction: &Transaction<'_>, query: &str, parameters: Parameters<'_>) -> Result<Vec<Value>, Problem> {
    let statement = transaction.prepare_cached(&format!("select to_jsonb(answer) from ({query}) answer")).await?;
    Ok(transaction.query(&statement, parameters).await?.iter().map(|row| row.get(0)).collect())
}

/// Reads a row, whose keys are the columns of the query, as the type that its route returns.
pub(crate) fn read_row<T: DeserializeOwned>(row: Value, query: &str) -> Result<T, Problem> {
    serde_json::from_value(row).map_err(|unexpected| {
        error!(%unexpected, query, "the database answers in a form that this version of the service does not know");
        Problem::new("internal", "The database and the service have different versions.")
    })
}

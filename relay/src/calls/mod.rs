//! The functions of the extension that the relay calls, one method each. The database decides; no rule stands here.

mod claim;
mod config;
mod inspect;
mod pulls;
mod report;
mod slots;
mod upkeep;

use std::{sync::Arc, time::Duration};

use pfa_service::database::{Database, DatabaseError};
use tokio_postgres::{Row, types::ToSql};

pub use self::{
    claim::{Batch, ClaimToken, Claimed, FirstRequest, PemsRevision, Step},
    config::{Assignment, ListedCredentials, NextCredentials, RelayConfig, System},
    inspect::{Difference, NextRequest},
    pulls::{Ingested, Missing, Organization, Pull, Refusal},
    report::{Completion, FailedTry, Item, ReadBack, Report, Statuses},
    upkeep::{HeartbeatReply, JobsRun, OrganizationFault, Swept},
};

/// The calls of one relay.
#[derive(Clone)]
pub struct Calls {
    database: Database,
    relay: String,
    credentials: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl Calls {
    /// Calls of the relay with this name.
    pub fn new(database: Database, relay: String) -> Self {
        Self { database, relay, credentials: None }
    }

    /// The same for a relay whose credentials have the fingerprint that this returns. A heartbeat with a fingerprint other
    /// than that of the credentials that PEMS refused ends the hold of the organizations.
    pub fn with_credentials(self, fingerprint: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { credentials: Some(Arc::new(fingerprint)), ..self }
    }

    fn fingerprint(&self) -> Option<String> {
        self.credentials.as_ref().map(|fingerprint| fingerprint())
    }

    /// The name of this relay.
    pub fn relay(&self) -> &str {
        &self.relay
    }

    async fn call(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DatabaseError> {
        self.database.call(sql, parameters).await
    }

    /// For functions that may take long: a sweep, the partitions of a log.
    async fn call_without_timeout(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        let client = self.database.get().await?;
        Ok(client.query(&client.prepare_cached(sql).await?, &[]).await?)
    }
}

/// The value of the first column of the first row, if there is one and it is not null.
fn optional_value<T>(rows: &[Row]) -> Result<Option<T>, tokio_postgres::Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.flatten())
}

fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}

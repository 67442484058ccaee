//! The heartbeat, and the regular work that a relay starts.

use std::time::Duration;

use pfa_service::database::DatabaseError;
use serde::Deserialize;
use tokio_postgres::types::Json;

use super::{Calls, milliseconds};

/// What the database answers to a heartbeat: the settings that every relay works by.
#[derive(Debug, Deserialize)]
pub struct HeartbeatReply {
    /// Ids of the organizations that may not send.
    pub paused: Vec<String>,
    /// The PEMS whose circuit breaker is not closed.
    pub down: Vec<String>,
    lease_ms: f64,
    poll_ms: f64,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Id, queued and failed changes of each organization that had any: there may be more.
    pub organizations: Vec<(String, i64, i64)>,
    /// Nothing was found so far, and a part of the modifications is still to be looked at.
    pub unfinished: bool,
}

impl HeartbeatReply {
    /// Length of the lease of claimed records.
    pub fn lease(&self) -> Duration {
        milliseconds(self.lease_ms)
    }

    /// How often the queue is polled without a notification.
    pub fn poll(&self) -> Duration {
        milliseconds(self.poll_ms)
    }
}

impl Calls {
    /// Records that this relay is running.
    pub async fn heartbeat(&self) -> Result<HeartbeatReply, DatabaseError> {
        let version = env!("CARGO_PKG_VERSION");
        let rows = self.call("select pfa_sync.heartbeat($1, $2, $3)", &[&self.relay, &version, &self.fingerprint()]).await?;
        let Json(reply) = rows[0].try_get(0)?;
        Ok(reply)
    }

    /// Queues a portion of the committed work that no trigger saw.
    pub async fn sweep(&self) -> Result<Swept, DatabaseError> {
        let rows = self.call_without_timeout("select organization_id, queued, failed from pfa_sync.sweep()").await?;
        let mut swept = Swept::default();
        for row in rows {
            match row.try_get(0)? {
                Some(organization_id) => swept.organizations.push((organization_id, row.try_get(1)?, row.try_get(2)?)),
                None => swept.unfinished = true,
            }
        }
        Ok(swept)
    }

    /// Starts the extension's regular maintenance.
    pub async fn maintain(&self) -> Result<(), DatabaseError> {
        self.call_without_timeout("select from pfa_sync.maintain()").await.map(drop)
    }
}

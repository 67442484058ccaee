//! The heartbeat, and the regular work that a relay starts.

use std::time::Duration;

use pfa_service::database::DatabaseError;
use serde::{Deserialize, Serialize};
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

/// Why a relay does not serve an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrganizationFault {
    /// The organization's id.
    pub organization_id: String,
    /// The reason, for people.
    pub reason: String,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    /// Id, queued and failed changes of each organization that had any: there may be more.
    pub organizations: Vec<(String, i64, i64)>,
    /// Nothing was found so far, and a part of the modifications is still to be looked at.
    pub unfinished: bool,
}

/// What a call of `run_jobs()` did.
#[derive(Debug)]
pub enum JobsRun {
    /// No bulk job is running.
    None,
    /// All running jobs wait for PEMS' answers, or for records that other sessions hold.
    Waiting,
    /// A slice was carried out; there may be more.
    Slice(JobSlice),
}

/// A slice of a bulk job, and what became of its items.
#[derive(Debug)]
pub struct JobSlice {
    /// Id of the job.
    pub job_id: i64,
    /// Kind of the job, such as `rollback`.
    pub kind: String,
    /// Id of its organization.
    pub organization_id: String,
    /// Number of items that were done.
    pub done: i64,
    /// Number of items that were left, since something had changed.
    pub skipped: i64,
    /// Number of items that could not be done.
    pub failed: i64,
    /// State of the job: `running` or `finished`.
    pub state: String,
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
    /// Records that this relay is running, and which organizations it serves (`None` = all), why not the
    /// others, and whether notifications reach it.
    pub async fn heartbeat(
        &self,
        organizations: Option<&[String]>,
        faults: Option<&[OrganizationFault]>,
        listening: Option<bool>,
    ) -> Result<HeartbeatReply, DatabaseError> {
        let version = env!("CARGO_PKG_VERSION");
        let sql = "select pfa_sync.heartbeat($1, $2, $3, $4, $5, $6)";
        let rows =
            self.call(sql, &[&self.relay, &version, &self.fingerprint(), &organizations, &faults.map(Json), &listening]).await?;
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

    /// Carries out a slice of a bulk job.
    pub async fn run_jobs(&self) -> Result<JobsRun, DatabaseError> {
        let query = "select job_id, kind, organization_id, done, skipped, failed, state from pfa_sync.run_jobs()";
        let rows = self.call_without_timeout(query).await?;
        let Some(row) = rows.first() else { return Ok(JobsRun::None) };
        let Some(job_id) = row.try_get(0)? else { return Ok(JobsRun::Waiting) };
        Ok(JobsRun::Slice(JobSlice {
            job_id,
            kind: row.try_get(1)?,
            organization_id: row.try_get(2)?,
            done: row.try_get(3)?,
            skipped: row.try_get(4)?,
            failed: row.try_get(5)?,
            state: row.try_get(6)?,
        }))
    }

    /// Starts the extension's regular maintenance.
    pub async fn maintain(&self) -> Result<(), DatabaseError> {
        self.call_without_timeout("select from pfa_sync.maintain()").await.map(drop)
    }
}

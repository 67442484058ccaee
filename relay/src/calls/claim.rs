//! Claiming changes, and keeping the claim.

use std::{error::Error, time::Duration};

use pfa_service::database::DatabaseError;
use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::{
    Row,
    types::{FromSql, Json, Type},
};

use super::{Calls, milliseconds, optional_value};
use crate::pems::{Operation, Write};

/// Records of one organization, claimed together.
#[derive(Debug)]
pub struct Batch {
    /// The batch's id in the log.
    pub id: i64,
    /// What is to be done with all of its records.
    pub step: Step,
    /// The organization's id.
    pub organization_id: String,
    /// Its code in PEMS.
    pub organization: String,
    /// Its PEMS.
    pub pems: PemsRevision,
    /// Length of the lease, from the claim and from each renewal.
    pub lease: Duration,
    /// When the claim was called.
    pub called: Instant,
    /// The records; at least one.
    pub records: Vec<Claimed>,
}

/// A PEMS, and the revision of its definition that a claim or a pull was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemsRevision {
    /// The name of the PEMS.
    pub name: String,
    /// The revision.
    pub revision: i64,
}

/// What is to be done with the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write them in one request.
    Send(FirstRequest),
    /// Read each of them and reconcile it. Slots are taken one by one.
    Read,
}

/// What a claim has prepared for the first request of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstRequest {
    /// When the request may start.
    pub slot: Instant,
    /// Whether the claim has marked the records as sent.
    pub marked: bool,
}

/// A claimed change.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The change, and which claim of it this is.
    pub token: ClaimToken,
    /// The record's id in PEMS.
    pub pfa_id: String,
    /// When it was committed, on the clock of this process.
    pub committed: Instant,
    /// An earlier request of the change may have been applied.
    pub ambiguous: bool,
    /// What to write; `None` when PEMS' version is unknown, so that the record can only be read.
    pub write: Option<Write>,
}

/// A claim of a change. A report with an older fencing token changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimToken {
    /// The change.
    pub queue_id: i64,
    /// Number of times the change has been claimed.
    pub fencing_token: i32,
}

impl Calls {
    /// Claims the next batch of one of the organizations (`None` = of all) whose slot is due within `ahead`; `None` = nothing
    /// is due now. `mark`: when the slot of the batch is there at once, its records are marked as sent, under a lease from now.
    pub async fn claim(
        &self,
        organizations: Option<&[String]>,
        max_records: i32,
        lease: Duration,
        mark: bool,
        ahead: Duration,
    ) -> Result<Option<Batch>, DatabaseError> {
        let sql = "select * from pfa_sync.claim(relay => $1, max_records => $2, lease => make_interval(secs => $3), \
                   request_timeout => make_interval(secs => $4), organizations => $5, ahead => make_interval(secs => $6))";
        let seconds = lease.as_secs_f64();
        let called = Instant::now();
        let mark = mark.then_some(seconds);
        let rows = self.call(sql, &[&self.relay, &max_records, &seconds, &mark, &organizations, &ahead.as_secs_f64()]).await?;
        let answered = Instant::now();
        let Some(first) = rows.first() else { return Ok(None) };
        let step = match first.try_get("wait_ms")? {
            Some(wait_ms) => Step::Send(FirstRequest { slot: answered + milliseconds(wait_ms), marked: first.try_get("sent")? }),
            None => Step::Read,
        };
        Ok(Some(Batch {
            id: first.try_get("batch_id")?,
            step,
            organization_id: first.try_get("organization_id")?,
            organization: first.try_get("organization_code")?,
            pems: PemsRevision { name: first.try_get("pems")?, revision: first.try_get("pems_revision")? },
            lease,
            called,
            records: rows.iter().map(|row| claimed(row, answered)).collect::<Result<_, _>>()?,
        }))
    }

    /// How long until a change of one of the organizations (`None` = of all) is due, and its slot within `ahead`; `None` = none
    /// is scheduled.
    pub async fn next_due(&self, organizations: Option<&[String]>, ahead: Duration) -> Result<Option<Duration>, DatabaseError> {
        let sql = "select pfa_sync.next_due_ms($1, make_interval(secs => $2))";
        let due: Option<f64> = optional_value(&self.call(sql, &[&organizations, &ahead.as_secs_f64()]).await?)?;
        Ok(due.map(milliseconds))
    }

    /// Marks records as sent and renews their lease to `lease` from now. Returns the ids of those that are still claimed
    /// by this relay.
    pub async fn mark_sent(&self, tokens: &[ClaimToken], lease: Duration) -> Result<Vec<i64>, DatabaseError> {
        let sql = "select pfa_sync.mark_sent($1, $2, make_interval(secs => $3))";
        ids(&self.call(sql, &[&self.relay, &Json(tokens), &lease.as_secs_f64()]).await?)
    }

    /// Renews leases to `lease` from now. Returns the ids of the records that are still claimed by this relay.
    pub async fn extend_lease(&self, tokens: &[ClaimToken], lease: Duration) -> Result<Vec<i64>, DatabaseError> {
        let sql = "select pfa_sync.extend_lease($1, $2, make_interval(secs => $3))";
        ids(&self.call(sql, &[&self.relay, &Json(tokens), &lease.as_secs_f64()]).await?)
    }
}

fn claimed(row: &Row, answered: Instant) -> Result<Claimed, tokio_postgres::Error> {
    let pfa_id: String = row.try_get("pfa_id")?;
    let version: Option<i64> = row.try_get("version")?;
    let write = version.map(|version| {
        Ok::<_, tokio_postgres::Error>(Write {
            operation: row.try_get("operation")?,
            pfa_id: pfa_id.clone(),
            version,
            changes: row.try_get("request")?,
            modified_by: row.try_get("modified_by")?,
            reason: row.try_get("reason")?,
            idempotency_key: row.try_get("idempotency_key")?,
        })
    });
    Ok(Claimed {
        token: ClaimToken { queue_id: row.try_get("queue_id")?, fencing_token: row.try_get("fencing_token")? },
        committed: answered.checked_sub(milliseconds(row.try_get("waited_ms")?)).unwrap_or(answered),
        ambiguous: row.try_get("ambiguous")?,
        write: write.transpose()?,
        pfa_id,
    })
}

fn ids(rows: &[Row]) -> Result<Vec<i64>, DatabaseError> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// An operation that this relay does not know is an error of the column, and nothing is written for it.
impl<'a> FromSql<'a> for Operation {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(<&str>::from_sql(kind, bytes)?.parse::<Self>()?)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as FromSql>::accepts(kind)
    }
}

//! Reporting what came of claimed changes.

use std::{collections::BTreeMap, fmt::Debug};

use pfa_service::database::DatabaseError;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::{Calls, ClaimToken, optional_value};

/// A write that PEMS confirmed.
#[derive(Debug, Serialize)]
pub struct Completion {
    /// The claim.
    #[serde(flatten)]
    pub token: ClaimToken,
    /// PEMS' version after the write.
    pub version: i64,
    /// When PEMS applied it, as PEMS spells times.
    pub updated_at: String,
    /// PEMS' answer, for the log.
    pub response: Value,
}

/// A failed try.
#[derive(Debug, Serialize)]
pub struct FailedTry {
    /// The claim.
    #[serde(flatten)]
    pub token: ClaimToken,
    /// throttled, unavailable, outage, unauthorized, rejected, locked or ambiguous.
    pub outcome: &'static str,
    /// Status of PEMS' answer, if one arrived.
    pub http_status: Option<u16>,
    /// What happened.
    pub error: String,
    /// How long PEMS asks to wait before the next try.
    pub retry_after_ms: Option<u64>,
    /// PEMS' answer, for the log.
    pub response: Option<Value>,
    /// The request as a whole failed, and not this record alone.
    pub whole: bool,
    /// How many changes the request was to write; `None` = it was a read.
    pub records: Option<usize>,
    /// The fingerprint of the credentials that were refused.
    pub credentials: Option<String>,
}

/// A record read from PEMS because of a change.
#[derive(Debug, Serialize)]
pub struct ReadBack {
    /// The claim.
    #[serde(flatten)]
    pub token: ClaimToken,
    /// The record; `None` when PEMS has none.
    pub record: Option<Value>,
    /// PEMS' answer to the write before, for the log.
    pub response: Option<Value>,
    /// PEMS' list of changes since before the write does not contain the record, so the write was not applied.
    pub unchanged: bool,
}

/// Number of records of a report by their new status: completed, pending, failed, conflict, processing.
pub type Statuses = BTreeMap<String, usize>;

/// What a report changed.
#[derive(Debug, Default)]
pub struct Reported {
    /// The new statuses of its records.
    pub statuses: Statuses,
    /// Queue ids of the records that another session holds: they are to be reported again.
    pub busy: Vec<i64>,
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Writes that PEMS confirmed: [`Completion`]s.
    Complete,
    /// Failed tries: [`FailedTry`]s.
    Fail,
    /// Records that PEMS has at another version, as they were read afterwards: [`ReadBack`]s.
    Conflict,
    /// Records that were read because the outcome or the version of a change is unknown: [`ReadBack`]s.
    Reconcile,
    /// Records that were not sent: [`ClaimToken`]s.
    Release,
}

/// An item of a report.
pub trait Item: Serialize + Debug + Send + Sync {
    /// Its claim.
    fn token(&self) -> ClaimToken;
}

macro_rules! items {
    ($($item:ty),*) => {
        $(impl Item for $item {
            fn token(&self) -> ClaimToken {
                self.token
            }
        })*
    };
}

items!(Completion, FailedTry, ReadBack);

impl Item for ClaimToken {
    fn token(&self) -> ClaimToken {
        *self
    }
}

impl Calls {
    /// The time, as PEMS spells it, since when PEMS' list shows what it applied of lost requests; `None` = unknown.
    pub async fn lost_since(&self, tokens: &[ClaimToken]) -> Result<Option<String>, DatabaseError> {
        Ok(optional_value(&self.call("select pfa_sync.lost_since($1)", &[&Json(tokens)]).await?)?)
    }

    /// Reports what came of claimed changes.
    pub async fn report<T: Item>(&self, report: Report, items: &[T]) -> Result<Reported, DatabaseError> {
        let sql = match report {
            Report::Complete => "select queue_id, status from pfa_sync.complete($1, $2)",
            Report::Fail => "select queue_id, status from pfa_sync.fail($1, $2)",
            Report::Conflict => "select queue_id, status from pfa_sync.report_conflict($1, $2)",
            Report::Reconcile => "select queue_id, status from pfa_sync.reconcile($1, $2)",
            Report::Release => "select queue_id, status from pfa_sync.release($1, $2)",
        };
        let mut reported = Reported::default();
        for row in self.call(sql, &[&self.relay, &Json(items)]).await? {
            let status: String = row.try_get(1)?;
            if status == "busy" {
                reported.busy.push(row.try_get(0)?);
            } else {
                *reported.statuses.entry(status).or_default() += 1;
            }
        }
        Ok(reported)
    }
}

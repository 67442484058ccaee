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
    /// throttled, unavailable, unauthorized, rejected, locked or ambiguous.
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

impl Calls {
    /// Reports writes that PEMS confirmed.
    pub async fn complete(&self, items: &[Completion]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.complete($1, $2)", items).await
    }

    /// Reports failed tries.
    pub async fn fail(&self, items: &[FailedTry]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.fail($1, $2)", items).await
    }

    /// Reports records that PEMS has at another version, as they were read afterwards.
    pub async fn report_conflict(&self, items: &[ReadBack]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.report_conflict($1, $2)", items).await
    }

    /// Reconciles changes whose outcome or version is unknown with the records as they were read.
    pub async fn reconcile(&self, items: &[ReadBack]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.reconcile($1, $2)", items).await
    }

    /// The time, as PEMS spells it, since when PEMS' list shows what it applied of lost requests; `None` = unknown.
    pub async fn lost_since(&self, tokens: &[ClaimToken]) -> Result<Option<String>, DatabaseError> {
        Ok(optional_value(&self.call("select pfa_sync.lost_since($1)", &[&Json(tokens)]).await?)?)
    }

    async fn report<T: Serialize + Debug + Sync>(&self, sql: &str, items: &[T]) -> Result<Statuses, DatabaseError> {
        let mut statuses = Statuses::new();
        for row in self.call(sql, &[&self.relay, &Json(items)]).await? {
            *statuses.entry(row.try_get(0)?).or_default() += 1;
        }
        Ok(statuses)
    }
}

//! Looking without changing anything: comparisons, what would be sent, and what a maintainer needs.

use pfa_service::database::DatabaseError;
use serde_json::Value;
use tokio_postgres::Row;

use super::Calls;

/// A record that the mirror has otherwise than PEMS.
#[derive(Debug)]
pub struct Difference {
    /// The record's id.
    pub pfa_id: String,
    /// unreadable, not in the mirror, differs, or not in PEMS.
    pub kind: String,
    /// The fields that differ, each with the value of the mirror and that of PEMS.
    pub fields: Value,
    /// A change of the record waits, so that they are to differ.
    pub waits: bool,
}

/// A change that would be sent.
#[derive(Debug)]
pub struct NextRequest {
    /// The organization's code.
    pub organization: String,
    /// The PEMS.
    pub pems: String,
    /// The record's id.
    pub pfa_id: String,
    /// UPDATE or DELETE.
    pub operation: String,
    /// The fields that would be sent.
    pub fields: Vec<String>,
    /// send, conflict, invalid, forbidden, or nothing to send.
    pub outcome: String,
    /// The state of health for which nothing of the organization is sent.
    pub stopped: Option<String>,
}

impl Calls {
    /// The records of a page of PEMS' list that the mirror has otherwise.
    pub async fn compare_page(&self, organization: &str, records: &Value) -> Result<Vec<Difference>, DatabaseError> {
        let sql = "select pfa_id, difference, coalesce(fields, 'null'), waits from pfa_sync.compare_page($1, $2)";
        let difference = |row: &Row| {
            Ok(Difference {
                pfa_id: row.try_get::<_, Option<String>>(0)?.unwrap_or_default(),
                kind: row.try_get(1)?,
                fields: row.try_get(2)?,
                waits: row.try_get(3)?,
            })
        };
        self.call(sql, &[&organization, records]).await?.iter().map(difference).collect()
    }

    /// The records of the mirror that PEMS did not list.
    pub async fn compare_missing(&self, organization: &str, listed: &[String]) -> Result<Vec<String>, DatabaseError> {
        let rows = self.call("select pfa_sync.compare_missing($1, $2)", &[&organization, &listed]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Counts a comparison for the key figure consistency.
    pub async fn record_comparison(&self, organization: &str, same: i64, different: i64) -> Result<(), DatabaseError> {
        self.call("select pfa_sync.record_comparison($1, $2, $3)", &[&organization, &same, &different]).await.map(drop)
    }

    /// What would be sent next.
    pub async fn next_requests(&self) -> Result<Vec<NextRequest>, DatabaseError> {
        let sql = "select organization_code, pems, pfa_id, operation, fields, outcome, stopped from pfa_sync.next_requests()";
        let next = |row: &Row| {
            Ok(NextRequest {
                organization: row.try_get(0)?,
                pems: row.try_get(1)?,
                pfa_id: row.try_get(2)?,
                operation: row.try_get(3)?,
                fields: row.try_get(4)?,
                outcome: row.try_get(5)?,
                stopped: row.try_get(6)?,
            })
        };
        self.call(sql, &[]).await?.iter().map(next).collect()
    }

    /// What a maintainer needs of the database.
    pub async fn support_bundle(&self) -> Result<Value, DatabaseError> {
        let rows = self.call_without_timeout("select pfa_sync.support_bundle()").await?;
        Ok(rows[0].try_get(0)?)
    }
}

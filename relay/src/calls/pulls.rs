//! Pulls: which one to work on, and what its pages held.

use std::time::Duration;

use pfa_service::database::DatabaseError;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{Row, types::Json};

use super::{Calls, PemsRevision, milliseconds, optional_value};
use crate::pems::Page;

/// What a page changed in the mirror.
#[derive(Debug)]
pub struct Ingested {
    /// Records in the page.
    pub read: i64,
    /// Records that are new or differ from the mirror.
    pub changed: i64,
    /// Records that the mirror held already.
    pub unchanged: i64,
    /// Records that were refused.
    pub rejected: i64,
    /// The refused records: JSON array of `{row, pfaId, reason}`.
    pub rejects: Value,
    /// Why the page was not promoted, and the pull has ended.
    pub stopped: Option<String>,
    /// Records that another session holds: the page is to be ingested again.
    pub busy: i64,
}

/// An organization whose records may be pulled.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its code in PEMS.
    pub code: String,
}

/// A pull under the lease of this relay.
#[derive(Clone, Debug)]
pub struct Pull {
    /// The pull.
    pub id: i64,
    /// Number of times the pull has been leased. A report with an older fencing token changes nothing.
    pub fencing_token: i32,
    /// The organization's id.
    pub organization_id: String,
    /// Its code in PEMS.
    pub organization: String,
    /// Its PEMS.
    pub pems: PemsRevision,
    /// Whether it reads all records, and finds those that PEMS no longer has.
    pub full: bool,
    /// It reads what changed at this time or later, as PEMS spells times.
    pub updated_since: Option<String>,
    /// PEMS' cursor of the page to read next.
    pub next_page: Option<String>,
    /// Whether all pages are ingested.
    pub whole: bool,
}

/// PEMS' refusal of credentials.
#[derive(Debug)]
pub struct Refusal {
    /// The fingerprint of the credentials.
    pub fingerprint: String,
    /// PEMS refused the login, and not the organization alone.
    pub login: bool,
}

/// A record that no page of a full pull contained, and what PEMS answered when asked for it.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// Its id in PEMS.
    pub pfa_id: String,
    /// The mirror's version of it.
    pub version: i32,
    /// The record; `None` when PEMS has none.
    pub record: Option<Value>,
}

impl Calls {
    /// The pull to work on now, of the organization with that id or code if given, else of one of the organizations (`None` =
    /// of all); `None` = none is due, or another relay works on it.
    pub async fn begin_pull(&self, only: Option<&str>, organizations: Option<&[String]>) -> Result<Option<Pull>, DatabaseError> {
        let sql = "select pull_id, fencing_token, organization_code, kind = 'full', \
                   to_char(updated_since at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), next_page, whole, \
                   organization_id, pems, pems_revision \
                   from pfa_sync.begin_pull($1, $2, $3)";
        let rows = self.call(sql, &[&self.relay, &only, &organizations]).await?;
        let pull = |row: &Row| {
            Ok(Pull {
                id: row.try_get(0)?,
                fencing_token: row.try_get(1)?,
                organization: row.try_get(2)?,
                full: row.try_get(3)?,
                updated_since: row.try_get(4)?,
                next_page: row.try_get(5)?,
                whole: row.try_get(6)?,
                organization_id: row.try_get(7)?,
                pems: PemsRevision { name: row.try_get(8)?, revision: row.try_get(9)? },
            })
        };
        rows.first().map(pull).transpose()
    }

    /// How long until a pull of one of the organizations (`None` = of all) is due; `None` = none is pulled.
    pub async fn next_pull(&self, organizations: Option<&[String]>) -> Result<Option<Duration>, DatabaseError> {
        let due: Option<f64> = optional_value(&self.call("select pfa_sync.next_pull_ms($1)", &[&organizations]).await?)?;
        Ok(due.map(milliseconds))
    }

    /// Ingests a page of records, as PEMS lists them, and stores the cursor of the next page. `None` = another relay has
    /// taken over the pull.
    pub async fn ingest_page(&self, pull: &Pull, page: &Page) -> Result<Option<Ingested>, DatabaseError> {
        let sql = "select records_read, records_changed, records_unchanged, records_rejected, rejects, stopped, records_busy \
                   from pfa_sync.ingest_page($1, $2, $3, $4, $5)";
        let rows = self.call(sql, &[&pull.id, &pull.fencing_token, &page.records, &page.next, &page.date]).await?;
        let ingested = |row: &Row| {
            Ok(Ingested {
                read: row.try_get(0)?,
                changed: row.try_get(1)?,
                unchanged: row.try_get(2)?,
                rejected: row.try_get(3)?,
                rejects: row.try_get(4)?,
                stopped: row.try_get(5)?,
                busy: row.try_get(6)?,
            })
        };
        rows.first().map(ingested).transpose()
    }

    /// Records that no page of a full pull contained, and that PEMS is to be asked for: their ids and mirror versions.
    pub async fn missing_records(&self, pull: &Pull) -> Result<Vec<(String, i32)>, DatabaseError> {
        let rows =
            self.call("select pfa_id, version from pfa_sync.missing_records($1, $2)", &[&pull.id, &pull.fencing_token]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Reports what PEMS answered for missing records. Returns how many it no longer has.
    pub async fn report_missing(&self, pull: &Pull, items: &[Missing]) -> Result<i64, DatabaseError> {
        let rows =
            self.call("select pfa_sync.report_missing($1, $2, $3)", &[&pull.id, &pull.fencing_token, &Json(items)]).await?;
        Ok(optional_value(&rows)?.unwrap_or_default())
    }

    /// Ends the work on a pull: completed, or failed with an error. With `resume` it continues later from where it is; with
    /// `refusal` the organization is held.
    pub async fn end_pull(
        &self,
        pull: &Pull,
        error: Option<&str>,
        resume: bool,
        refusal: Option<&Refusal>,
    ) -> Result<(), DatabaseError> {
        let sql = "select pfa_sync.end_pull($1, $2, $3, $4, $5, $6, $7)";
        let fingerprint = refusal.map(|refusal| refusal.fingerprint.as_str());
        let login = refusal.is_some_and(|refusal| refusal.login);
        self.call(sql, &[&pull.id, &pull.fencing_token, &error, &resume, &refusal.is_some(), &fingerprint, &login])
            .await
            .map(drop)
    }

    /// The organizations whose records may be pulled; only the one with that id or code, if given.
    pub async fn inbound_organizations(&self, only: Option<&str>) -> Result<Vec<Organization>, DatabaseError> {
        let sql = "select organization_id, organization_code from pfa_sync.inbound_organizations($1)";
        let rows = self.call(sql, &[&only]).await?;
        rows.iter().map(|row| Ok(Organization { id: row.try_get(0)?, code: row.try_get(1)? })).collect()
    }
}

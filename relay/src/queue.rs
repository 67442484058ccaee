//! The extension's functions that the relay calls, one method each. The database decides; here is no rule.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::{
    Row,
    types::{Json, ToSql},
};

use crate::{
    database::{Database, DatabaseError},
    pems::{Operation, Write},
};

/// The PEMS whose slots are taken.
const PEMS: &str = "default";

/// The write queue, as one relay sees it.
#[derive(Clone)]
pub struct Queue {
    database: Database,
    relay: String,
    credentials: Option<String>,
}

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
    /// How long its records are ours, from the claim and from each renewal.
    pub lease: Duration,
    /// The records; at least one.
    pub records: Vec<Claimed>,
}

/// What is to be done with the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write them in one request, whose slot is this one.
    Send {
        /// When the request may leave.
        slot: Instant,
    },
    /// Read each and settle it. Slots are taken one by one.
    Read,
}

/// A claimed change.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which claim of which change this is.
    pub ticket: Ticket,
    /// The record's id in PEMS.
    pub pfa_id: String,
    /// An earlier request of it may have been applied.
    pub ambiguous: bool,
    /// What to write; `None` when PEMS' version is unknown, so that it can only be read.
    pub write: Option<Write>,
}

/// A claim of a change: what is reported under an older attempt changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ticket {
    /// The change.
    pub queue_id: i64,
    /// The how-manieth claim of it.
    #[serde(rename = "fencing_token")]
    pub attempt: i32,
}

/// A confirmed write.
#[derive(Debug, Serialize)]
pub struct Completion {
    /// The change.
    pub queue_id: i64,
    /// Its claim.
    #[serde(rename = "fencing_token")]
    pub attempt: i32,
    /// PEMS' version now.
    pub version: i64,
    /// When, as PEMS spells it.
    pub updated_at: String,
    /// PEMS' answer, for the log.
    pub response: Value,
}

/// A failed try.
#[derive(Debug, Serialize)]
pub struct FailedTry {
    /// The change.
    pub queue_id: i64,
    /// Its claim.
    #[serde(rename = "fencing_token")]
    pub attempt: i32,
    /// throttled, unavailable, unauthorized, rejected, locked or ambiguous.
    pub outcome: &'static str,
    /// Of PEMS' answer, if one came.
    pub http_status: Option<u16>,
    /// What happened.
    pub error: String,
    /// How long PEMS wants to be left alone.
    pub retry_after_ms: Option<u64>,
    /// PEMS' answer, for the log.
    pub response: Option<Value>,
    /// The request failed, and not this record alone.
    pub whole: bool,
}

/// A record read from PEMS because of a change.
#[derive(Debug, Serialize)]
pub struct ReadBack {
    /// The change.
    pub queue_id: i64,
    /// Its claim.
    #[serde(rename = "fencing_token")]
    pub attempt: i32,
    /// The record; `None` when PEMS has none.
    pub record: Option<Value>,
    /// PEMS' answer to the write before, for the log.
    pub response: Option<Value>,
    /// PEMS' list of changes since before the write does not show it, so that the write was not applied.
    pub unchanged: bool,
}

/// How many records of a report ended how: completed, pending, failed, conflict, processing.
pub type Statuses = BTreeMap<String, usize>;

/// What the database tells every relay at its heartbeat.
#[derive(Debug, Deserialize)]
pub struct Orders {
    /// Ids of the organizations that may not send.
    pub paused: Vec<String>,
    /// The PEMS whose circuit breaker is not closed.
    pub down: Vec<String>,
    lease_ms: f64,
    poll_ms: f64,
}

impl Orders {
    /// How long claimed records are a relay's.
    pub fn lease(&self) -> Duration {
        milliseconds(self.lease_ms)
    }

    /// How often to look without being notified.
    pub fn poll(&self) -> Duration {
        milliseconds(self.poll_ms)
    }
}

/// What a page did to the mirror.
#[derive(Debug)]
pub struct Ingested {
    /// Records in the page.
    pub read: i64,
    /// New ones and those that differ.
    pub changed: i64,
    /// Those that the mirror had already.
    pub unchanged: i64,
    /// Those that were refused.
    pub rejected: i64,
    /// The refused ones: JSON array of `{row, pfaId, reason}`.
    pub rejects: Value,
    /// Why the page was not promoted, and the pull has ended.
    pub stopped: Option<String>,
}

/// An organization whose records may be pulled.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// Its code in PEMS.
    pub code: String,
}

/// A pull under our lease.
#[derive(Clone, Debug)]
pub struct Pull {
    /// The pull.
    pub id: i64,
    /// Which taking of it this is: what is reported under an older one changes nothing.
    pub attempt: i32,
    /// The organization's code in PEMS.
    pub organization: String,
    /// It reads all records, and finds those that PEMS no longer has.
    pub full: bool,
    /// It reads what changed at this time or later, as PEMS spells times.
    pub updated_since: Option<String>,
    /// PEMS' cursor of the page to read next.
    pub next_page: Option<String>,
    /// All pages are taken in.
    pub whole: bool,
}

/// A record that a full pull did not meet, and what PEMS said of it when asked.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// Its id in PEMS.
    pub pfa_id: String,
    /// The mirror's version of it.
    pub version: i32,
    /// The record; `None` when PEMS has none.
    pub record: Option<Value>,
}

impl Queue {
    /// The queue in a database, for the relay of that name.
    pub fn new(database: Database, relay: String) -> Self {
        Self { database, relay, credentials: None }
    }

    /// The same for a relay whose credentials have this fingerprint: other ones than those that PEMS refused end the hold.
    pub fn with_credentials(self, fingerprint: String) -> Self {
        Self { credentials: Some(fingerprint), ..self }
    }

    /// The name of this relay.
    pub fn relay(&self) -> &str {
        &self.relay
    }

    /// Claims the next batch; `None` = nothing to do now.
    pub async fn claim(&self, max_records: i32, lease: Duration) -> Result<Option<Batch>, DatabaseError> {
        let sql = "select * from pfa_sync.claim(relay => $1, max_records => $2, lease => make_interval(secs => $3))";
        let rows = self.call(sql, &[&self.relay, &max_records, &lease.as_secs_f64()]).await?;
        let answered = Instant::now();
        let Some(first) = rows.first() else { return Ok(None) };
        let step = match first.try_get("wait_ms")? {
            Some(wait_ms) => Step::Send { slot: answered + milliseconds(wait_ms) },
            None => Step::Read,
        };
        Ok(Some(Batch {
            id: first.try_get("batch_id")?,
            step,
            organization_id: first.try_get("organization_id")?,
            organization: first.try_get("organization_code")?,
            lease,
            records: rows.iter().map(claimed).collect::<Result<_, _>>()?,
        }))
    }

    /// How long until something is due that is not due yet; `None` = nothing is scheduled.
    pub async fn next_due(&self) -> Result<Option<Duration>, DatabaseError> {
        let rows = self.call("select pfa_sync.next_due_ms()", &[]).await?;
        let due: Option<f64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(due.map(milliseconds))
    }

    /// Marks records as under way and renews their lease to `lease` from now; those that are still ours.
    pub async fn sent(&self, tickets: &[Ticket], lease: Duration) -> Result<Vec<i64>, DatabaseError> {
        let sql = "select pfa_sync.mark_sent($1, $2, make_interval(secs => $3))";
        ids(&self.call(sql, &[&self.relay, &Json(tickets), &lease.as_secs_f64()]).await?)
    }

    /// Records what PEMS confirmed.
    pub async fn complete(&self, items: &[Completion]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.complete($1, $2)", items).await
    }

    /// Records failed tries.
    pub async fn fail(&self, items: &[FailedTry]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.fail($1, $2)", items).await
    }

    /// Hands in records read after a version conflict.
    pub async fn conflict(&self, items: &[ReadBack]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.report_conflict($1, $2)", items).await
    }

    /// Hands in records read before a write.
    pub async fn settle(&self, items: &[ReadBack]) -> Result<Statuses, DatabaseError> {
        self.report("select status from pfa_sync.reconcile($1, $2)", items).await
    }

    /// The time, as PEMS spells it, from which PEMS' list shows what it applied of lost requests; `None` = not known.
    pub async fn lost_since(&self, tickets: &[Ticket]) -> Result<Option<String>, DatabaseError> {
        let rows = self.call("select pfa_sync.lost_since($1)", &[&Json(tickets)]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Gives back what was not sent.
    pub async fn release(&self, tickets: &[Ticket]) -> Result<Vec<i64>, DatabaseError> {
        ids(&self.call("select pfa_sync.release($1, $2)", &[&self.relay, &Json(tickets)]).await?)
    }

    /// Renews leases to `lease` from now; those that are still ours.
    pub async fn extend_lease(&self, tickets: &[Ticket], lease: Duration) -> Result<Vec<i64>, DatabaseError> {
        let sql = "select pfa_sync.extend_lease($1, $2, make_interval(secs => $3))";
        ids(&self.call(sql, &[&self.relay, &Json(tickets), &lease.as_secs_f64()]).await?)
    }

    /// Takes the next slot for one request to PEMS: when it may leave.
    pub async fn take_slot(&self) -> Result<Instant, DatabaseError> {
        let rows = self.call("select pfa_sync.take_slots($1, 1)", &[&PEMS]).await?;
        let answered = Instant::now();
        let wait_ms: Option<f64> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(answered + wait_ms.map(milliseconds).unwrap_or_default())
    }

    /// Notes that this relay lives; what it is to work by.
    pub async fn heartbeat(&self) -> Result<Orders, DatabaseError> {
        let version = env!("CARGO_PKG_VERSION");
        let rows = self.call("select pfa_sync.heartbeat($1, $2, $3)", &[&self.relay, &version, &self.credentials]).await?;
        let Json(orders) = rows[0].try_get(0)?;
        Ok(orders)
    }

    /// Queues committed work that no trigger saw; for each organization where there was any: id, queued, failed.
    pub async fn sweep(&self) -> Result<Vec<(String, i64, i64)>, DatabaseError> {
        let rows = self.call_patiently("select organization_id, queued, failed from pfa_sync.sweep()").await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// Lets the extension do its regular chores.
    pub async fn maintain(&self) -> Result<(), DatabaseError> {
        self.call_patiently("select from pfa_sync.maintain()").await.map(drop)
    }

    /// The pull to work on now, of the organization of that id or code if given; `None` = none is due, or it is being pulled.
    pub async fn begin_pull(&self, only: Option<&str>) -> Result<Option<Pull>, DatabaseError> {
        let sql = "select pull_id, fencing_token, organization_code, kind = 'full', \
                   to_char(updated_since at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), next_page, whole \
                   from pfa_sync.begin_pull($1, $2)";
        let rows = self.call(sql, &[&self.relay, &only]).await?;
        let pull = |row: &Row| {
            Ok(Pull {
                id: row.try_get(0)?,
                attempt: row.try_get(1)?,
                organization: row.try_get(2)?,
                full: row.try_get(3)?,
                updated_since: row.try_get(4)?,
                next_page: row.try_get(5)?,
                whole: row.try_get(6)?,
            })
        };
        rows.first().map(pull).transpose()
    }

    /// How long until a pull is due; `None` = none will be.
    pub async fn next_pull(&self) -> Result<Option<Duration>, DatabaseError> {
        let rows = self.call("select pfa_sync.next_pull_ms()", &[]).await?;
        let due: Option<f64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(due.map(milliseconds))
    }

    /// Takes a page of records, as PEMS lists them, into the mirror, and notes where the next one begins. `None` = the pull
    /// is another relay's by now.
    pub async fn ingest_page(&self, pull: &Pull, page: &Value, next: Option<&str>) -> Result<Option<Ingested>, DatabaseError> {
        let sql = "select records_read, records_changed, records_unchanged, records_rejected, rejects, stopped \
                   from pfa_sync.ingest_page($1, $2, $3, $4)";
        let rows = self.call(sql, &[&pull.id, &pull.attempt, page, &next]).await?;
        let ingested = |row: &Row| {
            Ok(Ingested {
                read: row.try_get(0)?,
                changed: row.try_get(1)?,
                unchanged: row.try_get(2)?,
                rejected: row.try_get(3)?,
                rejects: row.try_get(4)?,
                stopped: row.try_get(5)?,
            })
        };
        rows.first().map(ingested).transpose()
    }

    /// Records that a full pull did not meet, and about which PEMS is to be asked: their ids and mirror versions.
    pub async fn missing_records(&self, pull: &Pull) -> Result<Vec<(String, i32)>, DatabaseError> {
        let rows = self.call("select pfa_id, version from pfa_sync.missing_records($1, $2)", &[&pull.id, &pull.attempt]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Hands in what PEMS said of records that a full pull did not meet; how many it no longer has.
    pub async fn settle_missing(&self, pull: &Pull, items: &[Missing]) -> Result<i64, DatabaseError> {
        let rows = self.call("select pfa_sync.report_missing($1, $2, $3)", &[&pull.id, &pull.attempt, &Json(items)]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
    }

    /// Ends the work on a pull: completed, or failed with an error; with `resume` it goes on later from where it is, and
    /// with `unauthorized` the organization is held.
    pub async fn end_pull(
        &self,
        pull: &Pull,
        error: Option<&str>,
        resume: bool,
        unauthorized: bool,
    ) -> Result<(), DatabaseError> {
        let sql = "select pfa_sync.end_pull($1, $2, $3, $4, $5)";
        self.call(sql, &[&pull.id, &pull.attempt, &error, &resume, &unauthorized]).await.map(drop)
    }

    /// The organizations whose records may be pulled; only the one of that id or code, if given.
    pub async fn inbound_organizations(&self, only: Option<&str>) -> Result<Vec<Organization>, DatabaseError> {
        let sql = "select organization_id, organization_code from pfa_sync.inbound_organizations($1)";
        let rows = self.call(sql, &[&only]).await?;
        rows.iter().map(|row| Ok(Organization { id: row.try_get(0)?, code: row.try_get(1)? })).collect()
    }

    async fn report<T: Serialize + std::fmt::Debug + Sync>(&self, sql: &str, items: &[T]) -> Result<Statuses, DatabaseError> {
        let mut statuses = Statuses::new();
        for row in self.call(sql, &[&self.relay, &Json(items)]).await? {
            *statuses.entry(row.try_get(0)?).or_default() += 1;
        }
        Ok(statuses)
    }

    async fn call(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DatabaseError> {
        self.database.call(sql, parameters).await
    }

    /// For what may take long: work found by a sweep, a log's partitions.
    async fn call_patiently(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        let client = self.database.get().await?;
        Ok(client.query(&client.prepare_cached(sql).await?, &[]).await?)
    }
}

fn claimed(row: &Row) -> Result<Claimed, tokio_postgres::Error> {
    let pfa_id: String = row.try_get("pfa_id")?;
    let version: Option<i64> = row.try_get("version")?;
    let write = version.map(|version| {
        Ok::<_, tokio_postgres::Error>(Write {
            operation: match row.try_get("operation")? {
                "DELETE" => Operation::Delete,
                _ => Operation::Update,
            },
            pfa_id: pfa_id.clone(),
            version,
            changes: row.try_get("request")?,
            modified_by: row.try_get("modified_by")?,
            reason: row.try_get("reason")?,
            idempotency_key: row.try_get("idempotency_key")?,
        })
    });
    Ok(Claimed {
        ticket: Ticket { queue_id: row.try_get("queue_id")?, attempt: row.try_get("fencing_token")? },
        ambiguous: row.try_get("ambiguous")?,
        write: write.transpose()?,
        pfa_id,
    })
}

fn ids(rows: &[Row]) -> Result<Vec<i64>, DatabaseError> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or_default()
}

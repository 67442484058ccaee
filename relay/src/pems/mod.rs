//! The port to PEMS: what the relay asks of it, in words that every dialect of PEMS can answer.

pub mod address;
mod answer;
mod http;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use thiserror::Error;

pub use self::http::{Endpoint, HttpPems, SetupError};

/// A system of record that takes writes and gives records.
///
/// Every call is one request, and none is repeated here: whoever calls has taken a slot for it.
#[async_trait]
pub trait Pems: Send + Sync {
    /// Writes records of one organization, all in one request; a verdict for each, in order.
    ///
    /// `Err` says that the request as a whole failed, in the same way for every record. A `Rejected` of several records
    /// is no verdict on any of them.
    async fn write(&self, organization: &str, records: &[Write]) -> Result<Vec<Verdict>, Failure>;

    /// Reads a record with its version; `None` when PEMS has none of that id. Never `Ambiguous`: reading changes nothing.
    async fn get(&self, organization: &str, pfa_id: &str) -> Result<Option<Value>, Failure>;

    /// Lists records of an organization by time of change. Never `Ambiguous`.
    async fn list(&self, organization: &str, query: &ListQuery) -> Result<Page, Failure>;

    /// Asks whether PEMS is there and takes the credentials.
    async fn health(&self, organization: &str) -> Result<(), Failure>;
}

/// A change to write.
#[derive(Clone, Debug)]
pub struct Write {
    /// What to do.
    pub operation: Operation,
    /// The record's id.
    pub pfa_id: String,
    /// The version PEMS must be at.
    pub version: i64,
    /// Changed fields with their new values, canonical.
    pub changes: Value,
    /// Who changed it: an e-mail address or a user name.
    pub modified_by: String,
    /// Why.
    pub reason: Option<String>,
    /// The same for every repetition of this very request, and for no other.
    pub idempotency_key: String,
}

/// What a write does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets fields.
    Update,
    /// Marks it discontinued.
    Delete,
}

/// What PEMS said of one record.
pub type Verdict = Result<Written, Failure>;

/// A write that PEMS confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The record's version now.
    pub version: i64,
    /// When PEMS applied it, as PEMS spells it.
    pub updated_at: String,
    /// The answer.
    pub response: Value,
}

/// A call that brought nothing, with what the caller is to do.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Failure {
    /// What follows.
    pub decision: Decision,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// What happened, for people.
    pub message: String,
    /// The answer, if one came that could be read.
    pub response: Option<Value>,
    /// What it came from, if no answer came.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a failure means for the change that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not now; later, and not before this much time has passed.
    Throttled {
        /// What PEMS asked for.
        retry_after: Option<Duration>,
    },
    /// Not applied; PEMS or the way there does not work. Another try may succeed.
    Unavailable,
    /// The credentials are refused; so will be those of every other change of the organization.
    Unauthorized,
    /// PEMS will never take it as it is.
    Rejected,
    /// PEMS has another version of the record.
    Conflict,
    /// Another user works on the record.
    Locked,
    /// Sent, and nobody knows whether it was applied. It must be read before it may be sent again.
    Ambiguous,
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only those changed at this time or later, as PEMS spells times.
    pub updated_since: Option<String>,
    /// From the page behind this cursor on.
    pub after: Option<String>,
    /// Records in the page at most.
    pub limit: u16,
}

/// A page of records.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records as PEMS lists them, a JSON array.
    pub records: Value,
    /// How many there are.
    pub count: usize,
    /// Where the next page begins; `None` = this is the last one.
    pub next: Option<String>,
}

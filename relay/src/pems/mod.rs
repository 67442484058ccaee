//! The port to PEMS: what the relay requests of it, in terms that every dialect of PEMS can serve.
//!
//! [`json`] is the dialect that speaks JSON over HTTPS.

pub mod json;

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde_json::Value;
use thiserror::Error;

/// Most records in one write request.
pub const MAX_BATCH: i64 = 100;

/// Most records in one page of a list.
pub const MAX_PAGE: i64 = 1000;

/// The field of a record in a [`Page`] that says which of its fields could not be read, and why. PEMS has none of this name.
pub const UNREADABLE: &str = "$unreadable";

/// A system of record that accepts writes and returns records.
///
/// Every call is one request, and none is repeated here: the caller has taken one slot for it.
#[async_trait]
pub trait Pems: Send + Sync {
    /// Writes records of one organization, all in one request; returns the result of each, in order.
    ///
    /// `Err` means that the request as a whole failed, in the same way for every record. `Rejected` for several records
    /// says nothing about any single one.
    async fn write(&self, organization: &str, records: &[Write]) -> Result<Vec<WriteResult>, Failure>;

    /// Reads a record with its version; `None` when PEMS has none of that id. Never `Ambiguous`: reading changes nothing.
    /// `Rejected` when PEMS will not show it, or shows it in a form that can't be read.
    async fn get(&self, organization: &str, pfa_id: &str) -> Result<Option<Value>, Failure>;

    /// Lists records of an organization by time of change. Never `Ambiguous`.
    async fn list(&self, organization: &str, query: &ListQuery) -> Result<Page, Failure>;

    /// Checks that PEMS answers and accepts the credentials.
    async fn health(&self, organization: &str) -> Result<(), Failure>;
}

/// A change to write.
#[derive(Clone, Debug)]
pub struct Write {
    /// What to do.
    pub operation: Operation,
    /// The record's id.
    pub pfa_id: String,
    /// The version that the record must have in PEMS.
    pub version: i64,
    /// Changed fields with their new values, canonical.
    pub changes: Value,
    /// The author of the change: an e-mail address or a user name.
    pub modified_by: String,
    /// The author's reason.
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

impl Operation {
    /// Its name, in the database and in PEMS alike.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        [Self::Update, Self::Delete]
            .into_iter()
            .find(|operation| operation.name() == name)
            .ok_or_else(|| UnknownOperation(name.to_owned()))
    }
}

/// A name that is not the name of an operation.
#[derive(Debug, Error)]
#[error("unknown operation {0:?}; this relay knows UPDATE and DELETE")]
pub struct UnknownOperation(String);

/// PEMS' answer for one record.
pub type WriteResult = Result<Written, Failure>;

/// A write that PEMS confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The record's version after the write.
    pub version: i64,
    /// When PEMS applied it, as PEMS spells it.
    pub updated_at: String,
    /// The answer.
    pub response: Value,
}

/// A failed call of PEMS.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Failure {
    /// What the failure means for the change.
    pub kind: FailureKind,
    /// The HTTP status, if an answer arrived.
    pub status: Option<u16>,
    /// What happened, for people.
    pub message: String,
    /// The wait that PEMS asks for, or that follows a 429 that names none.
    pub retry_after: Option<Duration>,
    /// The answer, if one arrived that could be parsed.
    pub response: Option<Value>,
    /// The cause, if no answer arrived.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a failure means for the change that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// PEMS limits requests; try again after [`Failure::retry_after`].
    Throttled,
    /// Not applied; PEMS says that it does not work, or there is no connection to it. Another try may succeed.
    Unavailable,
    /// Something other than PEMS answered in its place: a page of a gateway, a redirect. It says nothing about the record.
    /// Whether a write was applied is unknown.
    Outage,
    /// Credentials, tenant, organization or address are refused, as they would be for every other change of the
    /// organization.
    Unauthorized,
    /// PEMS will never accept the change as it is.
    Rejected,
    /// PEMS has another version of the record.
    Conflict,
    /// Another user has locked the record.
    Locked,
    /// Sent, and it is unknown whether it was applied. The record must be read before the change may be sent again.
    Ambiguous,
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only those changed at this time or later, as PEMS spells times.
    pub updated_since: Option<String>,
    /// Only those after this cursor.
    pub after: Option<String>,
    /// Most records in the page.
    pub limit: u16,
}

/// A page of records.
#[derive(Clone, Debug)]
pub struct Page {
    /// Records as PEMS lists them, a JSON array. One that can't be read whole has what could be, and [`UNREADABLE`].
    pub records: Value,
    /// How many there are.
    pub count: usize,
    /// Cursor of the next page; `None` = this is the last one.
    pub next: Option<String>,
    /// What PEMS' clock showed when it answered, if it said so.
    pub date: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_operation_is_an_error() {
        assert_eq!("DELETE".parse::<Operation>().unwrap(), Operation::Delete);
        assert!("UPSERT".parse::<Operation>().unwrap_err().to_string().contains("UPSERT"));
    }
}

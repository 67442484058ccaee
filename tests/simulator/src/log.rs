//! What PEMS has seen: every request, in order of arrival.

use serde::Serialize;
use serde_json::Value;

use super::fault::{Fault, Operation};

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// Its number, from 0.
    pub sequence: usize,
    /// When it arrived, in milliseconds since the simulator started.
    pub arrived_ms: f64,
    /// What it asked for.
    pub operation: Operation,
    /// The organization of its header.
    pub organization: Option<String>,
    /// What each record of it asked for and got.
    pub writes: Vec<WriteLog>,
    /// The status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// The fault it was shown.
    pub fault: Option<Fault>,
}

/// One write of a record.
#[derive(Debug, Clone, Serialize)]
pub struct WriteLog {
    /// The record.
    pub pfa_id: String,
    /// The key by which a repeated request is recognized.
    pub idempotency_key: Option<String>,
    /// The version it expected.
    pub version: i64,
    /// The fields it set.
    pub changes: Value,
    /// Who asked for it.
    pub modified_by: String,
    /// What it got: 200 = applied.
    pub status: u16,
}

//! Faults that the simulator shows on demand: a queue for each operation, first in, first out.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// What a request asks of PEMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// PUT of one record.
    Put,
    /// POST of a batch.
    Batch,
    /// DELETE of one record.
    Delete,
    /// GET of one record.
    Get,
    /// GET of a page of the list.
    List,
    /// GET of the health.
    Health,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The answer comes so many milliseconds later.
    Latency(u64),
    /// This HTTP status, with Retry-After in seconds if given; nothing is applied.
    Status(u16, Option<u64>),
    /// The connection ends before anything is applied.
    ResetBefore,
    /// All is applied, and the connection ends without an answer.
    ResetAfter,
    /// The first so many records of a batch are applied, and the connection ends.
    Partial(usize),
    /// All is applied, and the answer is no JSON.
    Malformed,
    /// All is applied, and the answer's JSON ends half-way.
    Truncated,
    /// All is applied, and the connection breaks half-way through the answer.
    Cut,
    /// Nothing is applied, and status 200 comes with the body of an error.
    ErrorBody,
    /// A page of the list leaves out its last records, as pages do that shift while they are read.
    Skip(usize),
    /// All is applied, and the request waits until it is let go.
    Hold,
    /// A gateway answers in PEMS' place: this status and body; nothing is applied. A redirect leads to a login page.
    Page(u16, String),
    /// PEMS refuses: status, error and message in its own shape; nothing is applied.
    Refuse(u16, String, String),
    /// PEMS refuses with this status, and these texts as the headers Retry-After and Date; nothing is applied.
    Wait {
        /// 429 or 503.
        status: u16,
        /// Retry-After as it stands; `None` = no such header.
        retry_after: Option<String>,
        /// Date as it stands; `None` = the time of the answer.
        date: Option<String>,
    },
    /// All is applied, and the answer is spelled in an odd way.
    Odd(Spelling),
    /// A page of the list, from its beginning, with this cursor of the next one.
    Next(String),
}

/// An odd way to spell an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// A byte order mark comes first.
    Bom,
    /// The first text of its kind holds `\u0000`.
    Nul,
    /// The first text of its kind holds half a surrogate pair.
    Surrogate,
    /// The first text of its kind holds a byte that is not UTF-8.
    NotUtf8,
    /// The id of the first record holds `\u0000`.
    NulInId,
    /// The first record has a field `remark` that is nested 200 levels deep.
    Deep,
    /// The first record has a field `remark` with a number that no database stores.
    Huge,
    /// The first record has a field `remark` with the key by which a parser marks numbers.
    PrivateKey,
    /// Compressed, although no client asked for it.
    Gzip,
    /// The items in reverse order.
    Reversed,
    /// Whole numbers as `7.0`.
    Fraction,
    /// Whole numbers as `"7"`.
    Quoted,
    /// What is null is left out.
    WithoutNulls,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub struct Faults {
    queues: BTreeMap<Operation, VecDeque<Fault>>,
}

impl Faults {
    /// Adds one behind those of its operation.
    pub fn push(&mut self, operation: Operation, fault: Fault) {
        self.queues.entry(operation).or_default().push_back(fault);
    }

    /// Takes the next one of an operation.
    pub fn pop(&mut self, operation: Operation) -> Option<Fault> {
        self.queues.get_mut(&operation)?.pop_front()
    }
}

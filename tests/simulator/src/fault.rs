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

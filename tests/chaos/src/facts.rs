//! What is known after a run, from both sides: what the editors asked for, what PEMS saw, and what the database says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use pems_simulator::Request;

/// A record: its organization's code and its pfaId.
pub type Key = (String, String);

/// The fields of a record or of a change.
pub type Fields = Map<String, Value>;

/// What became of an edit at its commit, as its editor knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditOutcome {
    /// The database took it.
    Committed,
    /// The database refused it as invalid or not permitted.
    Refused,
    /// Its transaction was rolled back.
    RolledBack,
}

/// A row of the queue's archive.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The modification it carried.
    pub modification: String,
    /// The record it is about.
    pub key: Key,
    /// completed, conflict, failed or withdrawn.
    pub status: String,
    /// The change, in canonical form.
    pub payload: Fields,
    /// The record as its author saw it, by the mirror and its history; `None` = not known.
    pub saw: Option<Fields>,
    /// Other values that it may have replaced without losing an edit.
    pub accepted: Option<Fields>,
}

/// A change of a record by another user of PEMS.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The record.
    pub key: Key,
    /// The version that it made.
    pub version: i64,
    /// The fields that it set.
    pub changes: Fields,
}

/// Everything that the checker compares. Times are milliseconds on the clock of PEMS' log.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Each edit's outcome, by modification.
    pub edits: BTreeMap<String, EditOutcome>,
    /// `syncState` of each modification that exists.
    pub states: BTreeMap<String, String>,
    /// Modifications that are still queued.
    pub live: Vec<String>,
    /// What has left the queue, by queue id.
    pub ended: BTreeMap<i64, Ended>,
    /// Queue ids of the dead letters.
    pub dead_letters: BTreeSet<i64>,
    /// Modifications that were withdrawn, according to the log.
    pub withdrawn: BTreeSet<String>,
    /// Modifications of the open conflicts, one entry for each.
    pub open_conflicts: Vec<String>,
    /// Modifications with a resolved conflict.
    pub resolved: BTreeSet<String>,
    /// WRITE_ATTEMPT rows of the log, counted by queue id.
    pub attempts: BTreeMap<i64, usize>,
    /// Queue ids that the log calls synced.
    pub synced: BTreeSet<i64>,
    /// The mirror after the queue had drained.
    pub mirror: BTreeMap<Key, Fields>,
    /// The mirror after a pull that followed.
    pub pulled: BTreeMap<Key, Fields>,
    /// PEMS' records at version 1.
    pub beginning: BTreeMap<Key, Fields>,
    /// PEMS' records at the end.
    pub pems: BTreeMap<Key, Fields>,
    /// What others changed in PEMS.
    pub foreign: Vec<Foreign>,
    /// What PEMS saw.
    pub log: Vec<Request>,
    /// Starts of the slots that the database granted, ascending.
    pub slots: Vec<f64>,
    /// The pace that was set.
    pub slot_interval: f64,
    /// Records at the end of the organization that PEMS restored.
    pub restored: BTreeMap<Key, Fields>,
    /// Fields that a rollback replaced though the job that it undoes had not written their value.
    pub overruled: Vec<String>,
    /// Dead letters that no rule of ours made: PEMS refuses nothing in a run.
    pub verdicts: Vec<String>,
    /// The most sessions in Postgres at a time, of each relay process.
    pub sessions: BTreeMap<String, usize>,
    /// What `pfa_sync.check()` found.
    pub broken: Vec<String>,
}

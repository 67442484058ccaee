//! Whether a run has kept every promise: a pure function over its facts.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::facts::{EditOutcome, Ended, Facts, Fields, Key};
use super::history::History;
use super::pace::pace;

/// Sessions of a relay in Postgres: one for each of 8 batches in flight and of 4 pulls, 6 spare ones, and the listener.
const MAX_SESSIONS: usize = 19;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Each committed change is in exactly one end state, and no other change is.
    OneEnd,
    /// A synced change is in PEMS, or PEMS already held it.
    NothingLost,
    /// No change is applied twice.
    NothingTwice,
    /// A change that PEMS applied is never reported to have ended otherwise, unless it is a conflict for a user.
    NothingUnsaid,
    /// The changes of a record are applied in the order of their commits.
    Order,
    /// A value that was changed in PEMS is never overwritten by an edit whose author had not seen it.
    NothingOverwritten,
    /// PEMS and the mirror hold the same.
    Agreement,
    /// Every write has its rows in the log.
    Audited,
    /// Requests keep to slots of one clock, and slots to the pace.
    Pace,
    /// An outage makes no dead letter, whatever its shape.
    OutageIsNoVerdict,
    /// A relay has no more sessions in Postgres than its pool and its listener.
    Sessions,
    /// The database's own invariants hold.
    Invariants,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which one.
    pub promise: Promise,
    /// What is wrong, with the ids to look it up.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.detail)
    }
}

/// Every broken promise; none = all were kept.
pub fn violations(facts: &Facts) -> Vec<Violation> {
    let history = History::of(facts);
    let mut found = Found(Vec::new());
    ends(facts, &mut found);
    writes(facts, &history, &mut found);
    order(facts, &history, &mut found);
    overwritten(facts, &history, &mut found);
    agreement(facts, &history, &mut found);
    restored(facts, &mut found);
    audited(facts, &history, &mut found);
    pace(facts, &mut found);
    facts.overruled.iter().for_each(|field| found.add(Promise::NothingOverwritten, field.clone()));
    facts.verdicts.iter().for_each(|letter| found.add(Promise::OutageIsNoVerdict, letter.clone()));
    for (process, &sessions) in &facts.sessions {
        found.unless(sessions <= MAX_SESSIONS, Promise::Sessions, || format!("{process} had {sessions} sessions"));
    }
    facts.broken.iter().for_each(|broken| found.add(Promise::Invariants, broken.clone()));
    found.0
}

pub(super) struct Found(Vec<Violation>);

impl Found {
    pub fn add(&mut self, promise: Promise, detail: String) {
        self.0.push(Violation { promise, detail });
    }

    pub fn unless(&mut self, kept: bool, promise: Promise, detail: impl FnOnce() -> String) {
        if !kept {
            self.add(promise, detail());
        }
    }
}

fn ends(facts: &Facts, found: &mut Found) {
    for modification in &facts.live {
        found.add(Promise::OneEnd, format!("{modification} is still queued"));
    }
    let mut last: BTreeMap<&str, (i64, &Ended)> = BTreeMap::new();
    for (&id, ended) in &facts.ended {
        last.insert(&ended.modification, (id, ended));
    }
    for (modification, outcome) in &facts.edits {
        let state = facts.states.get(modification).map(String::as_str);
        let last = last.get(modification.as_str()).copied();
        let status = last.map(|(_, ended)| ended.status.as_str());
        let dead = last.is_some_and(|(id, _)| facts.dead_letters.contains(&id));
        let open = facts.open_conflicts.iter().filter(|open| *open == modification).count();
        let resolved = facts.resolved.contains(modification);
        let one_end = match (outcome, state) {
            (EditOutcome::RolledBack, None) => status.is_none(),
            (EditOutcome::Refused, Some("draft")) => status.is_none() && open == 0,
            (EditOutcome::Committed, Some("synced")) => {
                (status == Some("completed") || status == Some("conflict") && resolved) && !dead && open == 0
            }
            // A resolution that was undone has been queued, and withdrawn.
            (EditOutcome::Committed, Some("conflict")) => matches!(status, Some("conflict" | "withdrawn")) && !dead && open == 1,
            (EditOutcome::Committed, Some("sync_error")) => status == Some("failed") && dead && open == 0,
            (EditOutcome::Committed, Some("draft" | "discarded")) => {
                // One that was withdrawn before any trigger saw it has no queue row.
                let unseen = status.is_none() && facts.withdrawn.contains(modification);
                (unseen || matches!(status, Some("withdrawn" | "conflict" | "failed"))) && open == 0
            }
            _ => false,
        };
        found.unless(one_end, Promise::OneEnd, || {
            format!(
                "{modification}, {outcome:?}, is {} and its last queue row {}; dead letter: {dead}, open conflicts: {open}",
                state.unwrap_or("nowhere"),
                status.unwrap_or("missing")
            )
        });
    }
    for ended in facts.ended.values().filter(|ended| !facts.edits.contains_key(&ended.modification)) {
        found.add(Promise::OneEnd, format!("{} was queued, and no edit committed it", ended.modification));
    }
}

fn writes(facts: &Facts, history: &History, found: &mut Found) {
    for (&id, ended) in &facts.ended {
        let applied: Vec<i64> = history.versions_of(id).collect();
        let row = || format!("queue {id} ({}, record {:?})", ended.modification, ended.key);
        found.unless(applied.len() <= 1, Promise::NothingTwice, || format!("{} made versions {applied:?}", row()));
        match (ended.status.as_str(), applied.first()) {
            ("completed", Some(&version)) => {
                let held = history.at(&ended.key, version).is_some_and(|record| holds(record, &ended.payload));
                found
                    .unless(held, Promise::NothingLost, || format!("{} made version {version} without all of its values", row()));
            }
            ("completed", None) => {
                let held = history.states(&ended.key).any(|record| holds(record, &ended.payload));
                found.unless(held, Promise::NothingLost, || format!("{} is completed, and PEMS never held it", row()));
            }
            // Its outcome was ambiguous, and a person was asked.
            ("conflict", _) | (_, None) => {}
            (status, Some(version)) => {
                found.add(Promise::NothingUnsaid, format!("{} is {status}, and PEMS applied it as version {version}", row()));
            }
        }
    }
    for (id, version) in history.written_before_their_end(facts) {
        found.add(Promise::NothingUnsaid, format!("PEMS applied queue {id} as version {version}, and no such row has ended"));
    }
    for doubled in &history.doubled {
        found.add(Promise::NothingTwice, doubled.clone());
    }
}

fn order(facts: &Facts, history: &History, found: &mut Found) {
    for key in facts.beginning.keys() {
        let ours: Vec<(i64, i64)> = history.ours(key).collect();
        for pair in ours.windows(2) {
            let ((earlier, first), (later, second)) = (pair[0], pair[1]);
            found.unless(earlier < later, Promise::Order, || {
                format!("record {key:?}: queue {earlier} made version {first}, queue {later} version {second}")
            });
        }
    }
}

fn overwritten(facts: &Facts, history: &History, found: &mut Found) {
    for lost in history.foreign_values_overwritten() {
        let seen = facts.ended.get(&lost.queue_id).is_some_and(|row| {
            [&row.saw, &row.accepted].into_iter().flatten().any(|seen| same(seen.get(lost.field), Some(lost.value)))
        });
        found.unless(seen, Promise::NothingOverwritten, || {
            let row = facts.ended.get(&lost.queue_id);
            let field = |fields: Option<&Fields>| fields.and_then(|fields| fields.get(lost.field)).cloned().unwrap_or_default();
            format!(
                "queue {} ({}) overwrote {} = {} of record {:?} unseen: its author saw {}, and {} was accepted",
                lost.queue_id,
                row.map_or("never ended", |row| row.status.as_str()),
                lost.field,
                lost.value,
                lost.key,
                field(row.and_then(|row| row.saw.as_ref())),
                field(row.and_then(|row| row.accepted.as_ref()))
            )
        });
    }
}

fn agreement(facts: &Facts, history: &History, found: &mut Found) {
    for (key, record) in &facts.pems {
        if let Some(difference) = difference(facts.pulled.get(key), record) {
            found.add(Promise::Agreement, format!("record {key:?} after a pull: {difference}"));
        }
        let ours_is_last = history.last_is_ours(key);
        if let Some(difference) = difference(facts.mirror.get(key), record).filter(|_| ours_is_last) {
            found.add(Promise::Agreement, format!("record {key:?}, last written by us: {difference}"));
        }
    }
}

fn restored(facts: &Facts, found: &mut Found) {
    for (key, record) in &facts.restored {
        if let Some(difference) = difference(facts.pulled.get(key), record) {
            found.add(Promise::Agreement, format!("record {key:?}, restored and accepted: {difference}"));
        }
    }
}

fn audited(facts: &Facts, history: &History, found: &mut Found) {
    for (id, arrived) in history.arrivals() {
        let attempts = facts.attempts.get(&id).copied().unwrap_or_default();
        found.unless(attempts >= arrived, Promise::Audited, || {
            format!("queue {id} reached PEMS {arrived} times, and the log has {attempts} attempts")
        });
    }
    for (id, ended) in &facts.ended {
        let completed = ended.status == "completed";
        found.unless(completed == facts.synced.contains(id), Promise::Audited, || {
            format!(
                "queue {id} is {}, and the log {} synced",
                ended.status,
                if completed { "does not call it" } else { "calls it" }
            )
        });
    }
}

/// Whether a record has all the values of a change.
fn holds(record: &Fields, change: &Fields) -> bool {
    change.iter().all(|(field, value)| same(record.get(field), Some(value)))
}

/// Null and absent are the same.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    a.filter(|value| !value.is_null()) == b.filter(|value| !value.is_null())
}

/// The first field in which the mirror differs from PEMS. `hasPlan` and `hasActuals` are derived, and PEMS' bookkeeping is
/// kept elsewhere.
fn difference(mirror: Option<&Fields>, pems: &Fields) -> Option<String> {
    let Some(mirror) = mirror else { return Some("the mirror does not have it".to_owned()) };
    let apart = ["version", "updatedAt", "hasPlan", "hasActuals"];
    let field = pems
        .keys()
        .chain(mirror.keys())
        .find(|field| !apart.contains(&field.as_str()) && !same(mirror.get(*field), pems.get(*field)))?;
    let value = |record: &Fields| record.get(field).cloned().unwrap_or_default();
    Some(format!("{field} is {} in the mirror, {} in PEMS", value(mirror), value(pems)))
}

/// A foreign value that a write of the relay replaced.
pub(super) struct Overwritten<'a> {
    pub queue_id: i64,
    pub key: &'a Key,
    pub field: &'a str,
    pub value: &'a Value,
}

//! What a test reads and changes in a running simulator.

use jiff::SignedDuration;
use serde_json::{Map, Value};

use crate::export::Record;
use crate::fault::{Fault, Faults, Operation};
use crate::{Credentials, Simulator, lock};

impl Simulator {
    /// Takes records at version 1.
    pub fn load(&self, records: impl IntoIterator<Item = Record>) {
        lock(&self.shared.records).load(records);
    }

    /// A record as PEMS answers for it.
    pub fn record(&self, code: &str, pfa_id: &str) -> Option<Value> {
        lock(&self.shared.records).get(code, pfa_id)
    }

    /// All records of an organization, by id.
    pub fn records(&self, code: &str) -> Vec<Value> {
        lock(&self.shared.records).all(code)
    }

    /// Another user of PEMS changes a record; its new version.
    pub fn edit(&self, code: &str, pfa_id: &str, changes: &Map<String, Value>) -> Option<i64> {
        lock(&self.shared.records).edit(code, pfa_id, changes)
    }

    /// PEMS loses a record; whether it had it.
    pub fn remove(&self, code: &str, pfa_id: &str) -> bool {
        lock(&self.shared.records).remove(code, pfa_id)
    }

    /// Another user of PEMS opens a record, or closes it.
    pub fn lock_record(&self, code: &str, pfa_id: &str, locked: bool) {
        lock(&self.shared.records).lock(code, pfa_id, locked);
    }

    /// From now on, PEMS lets in these and no others.
    pub fn set_credentials(&self, credentials: Credentials) {
        *lock(&self.shared.credentials) = credentials;
    }

    /// The next request of that operation is shown this fault, after those that wait already.
    pub fn fault(&self, operation: Operation, fault: Fault) {
        lock(&self.shared.faults).push(operation, fault);
    }

    /// Takes back the faults that no request has met yet.
    pub fn clear_faults(&self) {
        *lock(&self.shared.faults) = Faults::default();
    }

    /// From now on a gateway answers every request in PEMS' place, with this status and body; `None` = PEMS answers again.
    pub fn set_gateway(&self, page: Option<(u16, &str)>) {
        *lock(&self.shared.gateway) = page.map(|(status, body)| (status, body.to_owned()));
    }

    /// From now on PEMS answers 500 to every write of these records, and applies none.
    pub fn set_failing(&self, pfa_ids: &[&str]) {
        *lock(&self.shared.failing) = pfa_ids.iter().map(|&id| id.to_owned()).collect();
    }

    /// From now on a firewall answers 403 with a page of its own to every request whose body holds this text.
    pub fn set_firewall(&self, text: Option<&str>) {
        *lock(&self.shared.firewall) = text.map(str::to_owned);
    }

    /// Sets PEMS' clock: so many milliseconds ahead of ours, or behind.
    pub fn set_clock(&self, ahead_ms: i64) {
        lock(&self.shared.records).set_clock(SignedDuration::from_millis(ahead_ms));
    }

    /// Stamps a record with a time of change that is so many milliseconds ahead of PEMS' clock; whether it has the record.
    pub fn stamp(&self, code: &str, pfa_id: &str, ahead_ms: i64) -> bool {
        let mut records = lock(&self.shared.records);
        let at = records.now() + SignedDuration::from_millis(ahead_ms);
        records.stamp(code, pfa_id, at)
    }

    /// Makes a backup of an organization.
    pub fn back_up(&self, code: &str) {
        lock(&self.shared.records).back_up(code);
    }

    /// Puts an organization back to its backup, with the lower versions of then; `false` = there is none.
    pub fn restore(&self, code: &str) -> bool {
        lock(&self.shared.records).restore(code)
    }
}

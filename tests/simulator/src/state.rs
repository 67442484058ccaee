//! PEMS' records and rules, behind whatever transport.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::export::Record;

use super::contract::Write;

/// A record of PEMS.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its fields in canonical form.
    pub fields: Map<String, Value>,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// All organizations' records.
#[derive(Debug, Default)]
pub struct Records {
    organizations: BTreeMap<String, BTreeMap<String, Stored>>,
    locked: BTreeSet<(String, String)>,
    /// The last time given out: PEMS' own clock never goes back, unless it is set.
    clock: Timestamp,
    /// How far PEMS' clock is ahead of ours.
    ahead: SignedDuration,
    /// The organizations as a backup holds them.
    backup: BTreeMap<String, BTreeMap<String, Stored>>,
}

/// Whether PEMS takes a value.
type Shape = fn(&Value) -> bool;

/// Which fields PEMS lets be written, and how a value of each must look.
const WRITABLE: [(&str, Shape); 19] = [
    ("areaSilo", is_text),
    ("category", is_text),
    ("forecastCategory", is_text),
    ("class", is_text),
    ("manufacturer", is_text),
    ("model", is_text),
    ("contract", is_text),
    ("equipment", is_text),
    ("source", is_text),
    ("dor", is_text),
    ("monthlyRate", is_decimal),
    ("purchasePrice", is_decimal),
    ("forecastStart", is_instant),
    ("forecastEnd", is_instant),
    ("actualStart", is_instant),
    ("actualEnd", is_instant),
    ("isActualized", Value::is_boolean),
    ("isDiscontinued", Value::is_boolean),
    ("isFundsTransferable", Value::is_boolean),
];

impl Records {
    /// Knows an organization, even before it has records.
    pub fn enrol(&mut self, code: &str) {
        self.organizations.entry(code.to_owned()).or_default();
    }

    /// Whether PEMS has such an organization.
    pub fn knows(&self, code: &str) -> bool {
        self.organizations.contains_key(code)
    }

    /// Takes records at version 1.
    pub fn load(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let updated_at = self.tick();
            let pfa_id = record.fields["pfaId"].as_str().unwrap_or_default().to_owned();
            let stored = Stored { fields: record.fields, version: 1, updated_at };
            self.organizations.entry(record.organization).or_default().insert(pfa_id, stored);
        }
    }

    /// A record as PEMS answers for it.
    pub fn get(&self, code: &str, pfa_id: &str) -> Option<Value> {
        Some(answer(code, self.organizations.get(code)?.get(pfa_id)?))
    }

    /// All records of an organization, by id.
    pub fn all(&self, code: &str) -> Vec<Value> {
        self.organizations.get(code).into_iter().flat_map(|records| records.values().map(|stored| answer(code, stored))).collect()
    }

    /// A page of records changed at or after a time, by time and id, behind a cursor; and the cursor of the next page.
    pub fn page(
        &self,
        code: &str,
        since: Option<Timestamp>,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> (Vec<Value>, Option<String>) {
        let mut records: Vec<(&String, &Stored)> = self.organizations.get(code).into_iter().flatten().collect();
        records.retain(|(id, stored)| {
            since.is_none_or(|since| stored.updated_at >= since)
                && after.as_ref().is_none_or(|(time, last)| (stored.updated_at, id.as_str()) > (*time, last.as_str()))
        });
        records.sort_by(|(a_id, a), (b_id, b)| (a.updated_at, a_id).cmp(&(b.updated_at, b_id)));
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|(id, stored)| format!("{}~{id}", stored.updated_at));
        (records.iter().map(|(_, stored)| answer(code, stored)).collect(), next)
    }

    /// Another user of PEMS changes a record; its new version.
    pub fn edit(&mut self, code: &str, pfa_id: &str, changes: &Map<String, Value>) -> Option<i64> {
        let now = self.tick();
        let stored = self.organizations.get_mut(code)?.get_mut(pfa_id)?;
        stored.fields.extend(changes.clone());
        stored.version += 1;
        stored.updated_at = now;
        Some(stored.version)
    }

    /// PEMS loses a record.
    pub fn remove(&mut self, code: &str, pfa_id: &str) -> bool {
        self.organizations.get_mut(code).is_some_and(|records| records.remove(pfa_id).is_some())
    }

    /// Another user of PEMS opens a record, or closes it.
    pub fn lock(&mut self, code: &str, pfa_id: &str, locked: bool) {
        let key = (code.to_owned(), pfa_id.to_owned());
        if locked {
            self.locked.insert(key)
        } else {
            self.locked.remove(&key)
        };
    }

    /// Applies a write, or refuses it; HTTP status and body.
    pub fn write(&mut self, code: &str, write: &Write) -> (u16, Value) {
        let refuse =
            |status: u16, error: &str, message: String| (status, json!({"success": false, "error": error, "message": message}));
        let Some(stored) = self.organizations.get(code).and_then(|records| records.get(&write.pfa_id)) else {
            return refuse(404, "NOT_FOUND", format!("organization {code} has no record {}", write.pfa_id));
        };
        for (field, value) in &write.changes {
            match WRITABLE.iter().find(|(name, _)| name == field) {
                None => return refuse(422, "FIELD_NOT_WRITABLE", format!("{field} can't be written")),
                Some((_, fits)) if !value.is_null() && !fits(value) => {
                    return refuse(422, "INVALID_VALUE", format!("{field} takes no {value}"));
                }
                Some(_) => {}
            }
        }
        if self.locked.contains(&(code.to_owned(), write.pfa_id.clone())) {
            return refuse(423, "RECORD_LOCKED", "another user has the record open".to_owned());
        }
        if stored.version != write.version {
            let differing: Vec<&String> = write
                .changes
                .iter()
                .filter(|(f, v)| stored.fields.get(*f).unwrap_or(&Value::Null) != *v)
                .map(|(f, _)| f)
                .collect();
            return (
                409,
                json!({"success": false, "error": "VERSION_CONFLICT", "message": "the record has changed", "currentVersion": stored.version,
                       "expectedVersion": write.version, "conflictingFields": differing}),
            );
        }
        let version = self.edit(code, &write.pfa_id, &write.changes).unwrap_or_default();
        let updated_at = spell(self.clock);
        (
            200,
            json!({"success": true, "pfaId": write.pfa_id, "newVersion": version, "updatedAt": updated_at, "message": "updated"}),
        )
    }

    /// Sets PEMS' clock: so far ahead of ours.
    pub fn set_clock(&mut self, ahead: SignedDuration) {
        self.ahead = ahead;
        self.clock = self.now();
    }

    /// What PEMS' clock shows.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now().checked_add(self.ahead).unwrap_or_default();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or_default()
    }

    /// Stamps a record with another time of change, and changes nothing else.
    pub fn stamp(&mut self, code: &str, pfa_id: &str, updated_at: Timestamp) -> bool {
        let stored = self.organizations.get_mut(code).and_then(|records| records.get_mut(pfa_id));
        stored.map(|stored| stored.updated_at = updated_at).is_some()
    }

    /// Makes a backup of an organization.
    pub fn back_up(&mut self, code: &str) {
        self.backup.extend(self.organizations.get(code).map(|records| (code.to_owned(), records.clone())));
    }

    /// Puts an organization's records back to the backup, with their versions and times; `false` = there is none.
    pub fn restore(&mut self, code: &str) -> bool {
        self.backup.get(code).map(|records| self.organizations.insert(code.to_owned(), records.clone())).is_some()
    }

    /// PEMS' time now, later than any it gave before.
    fn tick(&mut self) -> Timestamp {
        self.clock = self.clock.max(self.now());
        self.clock
    }
}

fn answer(code: &str, stored: &Stored) -> Value {
    let mut record = stored.fields.clone();
    record.insert("organization".to_owned(), code.into());
    record.insert("version".to_owned(), stored.version.into());
    record.insert("updatedAt".to_owned(), spell(stored.updated_at).into());
    Value::Object(record)
}

fn spell(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= 80)
}

fn is_decimal(value: &Value) -> bool {
    let number: Option<rust_decimal::Decimal> = value.as_number().and_then(|number| number.as_str().parse().ok());
    number.is_some_and(|number| !number.is_sign_negative() && number.scale() <= 2 && number.normalize().scale() == number.scale())
}

fn is_instant(value: &Value) -> bool {
    const SHAPE: &str = "0000-00-00T00:00:00.000Z";
    value.as_str().is_some_and(|text| {
        text.len() == SHAPE.len()
            && text
                .bytes()
                .zip(SHAPE.bytes())
                .all(|(byte, shape)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
            && text.parse::<Timestamp>().is_ok()
    })
}

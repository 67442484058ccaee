//! A delta over its record: what it alters, and what it asks for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kind::{Kind, Meaning};
use crate::{Map, Rules};

pub(crate) const PFA_ID: &str = "pfaId";
pub(crate) const IS_DISCONTINUED: &str = "isDiscontinued";

/// A record with a delta laid over it.
pub(crate) struct Change<'a> {
    pub record: &'a Map,
    pub delta: &'a Map,
}

impl<'a> Change<'a> {
    /// The value before the change; absent is null.
    pub fn before(&self, name: &str) -> &'a Value {
        self.record.get(name).unwrap_or(&Value::Null)
    }

    /// The value as it would be.
    pub fn after(&self, name: &str) -> &'a Value {
        self.delta.get(name).unwrap_or_else(|| self.before(name))
    }

    /// Whether the delta gives the field another meaning. A value the record has already is no change, so a form that
    /// sends all its fields is judged by those the user touched.
    pub fn alters(&self, name: &str, kind: Kind) -> bool {
        self.delta.get(name).is_some_and(|after| !kind.equal(self.before(name), after))
    }

    /// Whether the record has no key, so that it can't be addressed in PEMS.
    pub fn lacks_key(&self) -> bool {
        matches!(Kind::Text.read(self.before(PFA_ID)), Ok(Meaning::Nothing))
    }

    /// Whether the record's key would address something else in PEMS than the record.
    pub fn has_unsafe_key(&self) -> bool {
        self.before(PFA_ID).as_str().is_some_and(is_unsafe_key)
    }

    /// Whether the record is to be soft-deleted.
    pub fn discontinues(&self) -> bool {
        is_true(self.after(IS_DISCONTINUED)) && !is_true(self.before(IS_DISCONTINUED))
    }

    /// Whether a soft-deleted record is to come back.
    pub fn revives(&self) -> bool {
        is_true(self.before(IS_DISCONTINUED)) && matches!(self.after(IS_DISCONTINUED), Value::Bool(false) | Value::Null)
    }
}

/// Whether a key would address something else in PEMS than its record. The key is a segment of a path, in which the relay
/// encodes what needs it; `.`, `..` and `batch` lead to other routes all the same, and so may a segment of dots within the
/// key, behind a gateway that decodes the slashes around it.
pub(crate) fn is_unsafe_key(key: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    key.eq_ignore_ascii_case("batch") || key.split(['/', '\\']).any(is_dots) || key.contains(char::is_control)
}

pub(crate) fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

/// What PEMS is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Change fields of the record.
    Update,
    /// Soft-delete the record.
    Delete,
}

impl Operation {
    /// `UPDATE` or `DELETE`, as the queue and PEMS' batch call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

/// How a delta is written: one that sets `isDiscontinued` and nothing else is a soft delete. With other fields beside
/// it, it is an update, since a delete carries none.
pub fn operation(delta: &Map) -> Operation {
    if delta.len() == 1 && delta.get(IS_DISCONTINUED).is_some_and(is_true) { Operation::Delete } else { Operation::Update }
}

/// The permissions a delta needs by its content: those of its fields, and `perm_Delete` if it soft-deletes or revives the
/// record.
/// Unknown and locked fields need none: no permission allows them.
pub fn required_permissions(rules: &Rules, record: &Map, delta: &Map) -> BTreeSet<String> {
    let of_fields = delta.keys().filter_map(|name| rules.field(name)?.permission.as_ref());
    let mut needed: BTreeSet<&str> = of_fields.map(String::as_str).collect();
    let change = Change { record, delta };
    if change.discontinues() || change.revives() {
        needed.insert("perm_Delete");
    }
    needed.into_iter().map(str::to_owned).collect()
}

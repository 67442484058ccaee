//! The canonical spelling of deltas and records.

use serde_json::Value;

use crate::change::{PFA_ID, is_unsafe_key};
use crate::consistency::UNSAFE_KEY;
use crate::{Code, Map, Problem, Rules};

/// The canonical form of a delta, as PEMS gets it: date-times as `2026-01-31T08:00:00.000Z`, decimals in plain
/// notation without trailing zeros, empty text as null, other text unchanged. What can't be read as its field's type,
/// and unknown fields, stay as they are; a delta that is not an object has no fields.
pub fn canonical(rules: &Rules, delta: &Value) -> Map {
    let spell = |(name, value): (&String, &Value)| {
        let spelled = rules.field(name).and_then(|field| field.kind.canonical(value).ok());
        (name.clone(), spelled.unwrap_or_else(|| value.clone()))
    };
    delta.as_object().into_iter().flatten().map(spell).collect()
}

/// A record from PEMS in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The record without the fields that can't be read as their type, and without a key that can't be part of an address
    /// in PEMS. Unknown fields stay as they are.
    pub data: Map,
    /// The first such field, by name.
    pub problem: Option<Problem>,
}

/// Reads a record as PEMS has it. PEMS is right about its own records: a value that an edit would be refused for
/// (outside a list of choices, too long, negative) is taken as it is, as long as it has the field's type.
pub fn typed(rules: &Rules, record: &Map) -> Typed {
    let mut typed = Typed { data: Map::new(), problem: None };
    for (name, value) in record {
        let spelled = match rules.field(name) {
            Some(_) if has_unsafe_key(name, value) => {
                Err(Problem::of_field(PFA_ID, Code::BusinessRuleViolation, UNSAFE_KEY.to_owned()))
            }
            Some(field) => field.kind.canonical(value).map_err(|why| Problem::unreadable(field, value, why)),
            None => Ok(value.clone()),
        };
        match spelled {
            Ok(value) => {
                typed.data.insert(name.clone(), value);
            }
            Err(problem) => {
                typed.problem.get_or_insert(problem);
            }
        }
    }
    typed
}

/// Whether [`typed()`] leaves a field of a record as it is.
pub fn is_typed(rules: &Rules, name: &str, value: &Value) -> bool {
    rules.field(name).is_none_or(|field| field.kind.is_canonical(value) && !has_unsafe_key(name, value))
}

fn has_unsafe_key(name: &str, value: &Value) -> bool {
    name == PFA_ID && value.as_str().is_some_and(is_unsafe_key)
}

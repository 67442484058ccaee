//! What a JSON value means as a value of its field's type, and its canonical spelling.

use jiff::civil::DateTime;
use rust_decimal::Decimal;
use serde_json::{Number, Value};

use crate::field::Kind;
use crate::{Map, Problem, Rules, decimal, moment};

/// What a value means: values of equal meaning are the same value, however they are spelled.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning<'a> {
    /// null, or a text of nothing but white space, since PEMS takes an empty cell for null.
    Nothing,
    Text(&'a str),
    Decimal(Decimal),
    /// In UTC, to the millisecond.
    Moment(DateTime),
    Boolean(bool),
}

/// Why a value can't be read as its field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    OtherType,
    /// A text that names no date there is.
    NoDate,
    /// A date outside the years 1900 to 9999.
    OtherYear,
    /// A number of more digits than can be kept exactly.
    TooLarge,
    /// A number of more decimals than can be kept exactly.
    TooPrecise,
}

impl Kind {
    pub(crate) fn read(self, value: &Value) -> Result<Meaning<'_>, Unreadable> {
        match (self, value) {
            (_, Value::Null) => Ok(Meaning::Nothing),
            (Kind::Text, Value::String(text)) if text.trim().is_empty() => Ok(Meaning::Nothing),
            (Kind::Text, Value::String(text)) => Ok(Meaning::Text(text)),
            (Kind::Decimal, Value::Number(number)) => decimal::read(number).map(Meaning::Decimal),
            (Kind::Datetime, Value::String(text)) => moment::read(text).map(Meaning::Moment),
            (Kind::Boolean, Value::Bool(boolean)) => Ok(Meaning::Boolean(*boolean)),
            _ => Err(Unreadable::OtherType),
        }
    }

    pub(crate) fn equal(self, a: &Value, b: &Value) -> bool {
        match (self.read(a), self.read(b)) {
            (Ok(a), Ok(b)) => a == b,
            _ => same_json(a, b),
        }
    }

    /// The value as PEMS gets it.
    fn canonical(self, value: &Value) -> Result<Value, Unreadable> {
        Ok(match (self.read(value)?, value) {
            (Meaning::Nothing, _) => Value::Null,
            (Meaning::Decimal(decimal), Value::Number(number)) => Value::Number(plain(decimal, number)),
            (Meaning::Moment(utc), Value::String(text)) if !moment::is_canonical(text) => Value::String(moment::write(utc)),
            _ => value.clone(),
        })
    }
}

/// The number without trailing zeros and exponent.
fn plain(decimal: Decimal, number: &Number) -> Number {
    let plain = decimal.to_string();
    if plain == number.as_str() { number.clone() } else { plain.parse().unwrap_or_else(|_| number.clone()) }
}

/// JSON equality that takes 5000 and 5000.00 for one number.
pub(crate) fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (decimal::read(a), decimal::read(b)) {
            (Ok(a), Ok(b)) => a == b,
            // Numbers too long to be exact count as the same only if they are spelled alike: no value is lost.
            _ => a.as_str() == b.as_str(),
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        _ => a == b,
    }
}

/// The canonical form of a delta, as PEMS gets it: date-times as `2026-01-31T08:00:00.000Z`, decimals in plain
/// notation without trailing zeros, empty text as null, other text unchanged. What can't be read as its field's type,
/// and unknown fields, stay as they are; a delta that is no object has no fields.
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
    /// The record without the fields that can't be read as their type. Unknown fields stay as they are.
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

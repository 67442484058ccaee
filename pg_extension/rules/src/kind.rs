//! The types of fields: what a JSON value means as a value of its field's type, and its canonical spelling.

use jiff::civil::DateTime;
use rust_decimal::Decimal;
use serde_json::{Number, Value};
use unicode_normalization::UnicodeNormalization;

use crate::unreadable::Unreadable;
use crate::{decimal, moment};

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Text,
    Decimal,
    Datetime,
    Boolean,
}

/// What a value means: values of equal meaning are the same value, however they are spelled.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning<'a> {
    /// null, or a text of white space alone, since PEMS takes an empty cell for null.
    Nothing,
    Text(&'a str),
    Decimal(Decimal),
    /// In UTC, to the millisecond.
    Moment(DateTime),
    Boolean(bool),
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
            (Ok(Meaning::Text(a)), Ok(Meaning::Text(b))) => a == b || same_text(a, b),
            (Ok(a), Ok(b)) => a == b,
            _ => same_json(a, b),
        }
    }

    /// The value as PEMS gets it.
    pub(crate) fn canonical(self, value: &Value) -> Result<Value, Unreadable> {
        Ok(match (self.read(value)?, value) {
            (Meaning::Nothing, _) => Value::Null,
            (Meaning::Decimal(decimal), Value::Number(number)) => Value::Number(plain(decimal, number)),
            (Meaning::Moment(utc), Value::String(text)) if !moment::is_canonical(text) => Value::String(moment::write(utc)),
            _ => value.clone(),
        })
    }

    /// Whether a value is as [`canonical()`](Self::canonical) spells it.
    pub(crate) fn is_canonical(self, value: &Value) -> bool {
        match (self.read(value), value) {
            (Err(_), _) => false,
            (Ok(Meaning::Nothing), _) => value.is_null(),
            (Ok(Meaning::Decimal(decimal)), Value::Number(number)) => decimal.to_string() == number.as_str(),
            (Ok(Meaning::Moment(_)), Value::String(text)) => moment::is_canonical(text),
            _ => true,
        }
    }
}

/// The number without trailing zeros and exponent.
fn plain(decimal: Decimal, number: &Number) -> Number {
    let plain = decimal.to_string();
    if plain == number.as_str() { number.clone() } else { plain.parse().unwrap_or_else(|_| number.clone()) }
}

/// Whether texts differ only in blanks at their end, which PEMS cuts off, and in their Unicode form.
fn same_text(a: &str, b: &str) -> bool {
    a.trim_end().nfc().eq(b.trim_end().nfc())
}

/// JSON equality in which 5000 and 5000.00 are the same number.
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

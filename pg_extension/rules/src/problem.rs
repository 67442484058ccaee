//! What is wrong with an edit or a record: a code for programs, a sentence for people.

use std::fmt;

use serde_json::Value;

use crate::field::Field;
use crate::kind::Kind;
use crate::unreadable::Unreadable;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field it is about; none when it is the delta as a whole.
    pub field: Option<String>,
    /// What kind of fault it is, for programs.
    pub code: Code,
    /// A sentence that is enough by itself: the field, its value in short, what is allowed. Prices are never quoted,
    /// since messages reach people who may not see them.
    pub message: String,
}

/// The kind of a [`Problem`]. The names are a contract with callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    BusinessRuleViolation,
    FieldLocked,
    InvalidDateOrder,
    InvalidEnumValue,
    InvalidRange,
    InvalidType,
    InvalidValue,
    MissingRequiredField,
    TooLong,
    UnknownField,
}

impl Code {
    /// The name that callers see, such as `INVALID_RANGE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BusinessRuleViolation => "BUSINESS_RULE_VIOLATION",
            Code::FieldLocked => "FIELD_LOCKED",
            Code::InvalidDateOrder => "INVALID_DATE_ORDER",
            Code::InvalidEnumValue => "INVALID_ENUM_VALUE",
            Code::InvalidRange => "INVALID_RANGE",
            Code::InvalidType => "INVALID_TYPE",
            Code::InvalidValue => "INVALID_VALUE",
            Code::MissingRequiredField => "MISSING_REQUIRED_FIELD",
            Code::TooLong => "TOO_LONG",
            Code::UnknownField => "UNKNOWN_FIELD",
        }
    }
}

impl Problem {
    /// A fault of the delta as a whole.
    pub(crate) fn of_delta(code: Code, message: String) -> Self {
        Self { field: None, code, message }
    }

    /// A fault of a field, told in a whole sentence.
    pub(crate) fn of_field(name: &str, code: Code, message: String) -> Self {
        Self { field: Some(name.to_owned()), code, message }
    }

    /// A value that breaks its field's rule: `monthlyRate` "must be at least 0".
    pub(crate) fn of_value(field: &Field, value: &Value, code: Code, must: impl fmt::Display) -> Self {
        let name = &field.name;
        let message = match value {
            _ if field.price => format!("{name} {must}"),
            Value::Null => format!("{name} {must}"),
            _ => format!("{name} is {}; it {must}", Shown(value)),
        };
        Self::of_field(name, code, message)
    }

    /// A value that can't be read as its field's type.
    pub(crate) fn unreadable(field: &Field, value: &Value, why: Unreadable) -> Self {
        let (code, must) = match (why, field.kind) {
            (Unreadable::OtherType, Kind::Text) => (Code::InvalidType, "must be a text"),
            (Unreadable::OtherType, Kind::Decimal) => (Code::InvalidType, "must be a number"),
            (Unreadable::OtherType, Kind::Datetime) => (Code::InvalidType, "must be a date in a text"),
            (Unreadable::OtherType, Kind::Boolean) => (Code::InvalidType, "must be true or false"),
            (Unreadable::NoDate, _) => {
                (Code::InvalidValue, "must be a date there is, such as 2026-01-31 or 2026-01-31T08:00:00Z")
            }
            (Unreadable::OtherYear, _) => (Code::InvalidRange, "must be in the years 1900 to 9999"),
            (Unreadable::TooLarge, _) => (Code::InvalidRange, "must be a number of at most 28 digits"),
            (Unreadable::TooPrecise, _) => (Code::InvalidValue, "must have fewer decimals, so that it can be kept exactly"),
        };
        Self::of_value(field, value, code, must)
    }
}

/// A value in a message: short, on one line, with nothing that could act on a terminal.
pub(crate) struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 40;
        let start = |text: &'_ str| text.char_indices().nth(LONGEST).map(|(end, _)| end);
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(boolean) => write!(f, "{boolean}"),
            Value::Number(number) => match start(number.as_str()) {
                Some(end) => write!(f, "{}…", &number.as_str()[..end]),
                None => f.write_str(number.as_str()),
            },
            Value::String(text) => match start(text) {
                Some(end) => write!(f, "{:?}…", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Value::Array(_) => f.write_str("a list"),
            Value::Object(_) => f.write_str("an object"),
        }
    }
}

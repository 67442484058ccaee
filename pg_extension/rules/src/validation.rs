//! Validation of a record as it would be with a delta laid over it.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::change::{Change, PFA_ID};
use crate::consistency;
use crate::field::Field;
use crate::kind::Meaning;
use crate::problem::Shown;
use crate::report::ValidationReport;
use crate::{Code, Map, Problem, Rules};

/// Validates a delta over its record.
///
/// A field counts as touched if the delta gives it another meaning; to repeat the record's value leaves it alone, except
/// that unknown and locked fields are refused whatever they carry. A rule between fields that does not hold is an error
/// if the delta touches any of its fields, even when the record was at fault before. If the
/// delta touches none of them, it is a warning.
pub fn validate(rules: &Rules, record: &Map, delta: &Value) -> ValidationReport {
    report(rules, record, delta, true, Rights::default())
}

/// What the author of a change may do beyond the permissions of its fields.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    /// The author may see prices. Without it each price in the delta counts as touched, since its errors would else confirm a
    /// guess of the record's price.
    pub sees_prices: bool,
    /// The change may revive a discontinued record: it undoes a soft delete.
    pub may_revive: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self { sees_prices: true, may_revive: false }
    }
}

/// The errors of [`validate`] alone, for callers that judge thousands: fields that the delta leaves alone are skipped.
pub fn errors(rules: &Rules, record: &Map, delta: &Value, rights: Rights) -> Vec<Problem> {
    report(rules, record, delta, false, rights).errors
}

fn report(rules: &Rules, record: &Map, delta: &Value, with_left_alone: bool, rights: Rights) -> ValidationReport {
    let delta = match delta {
        Value::Object(delta) if !delta.is_empty() => delta,
        Value::Object(_) => {
            let message = "the change is empty; it must set at least one field".to_owned();
            return refused(Problem::of_delta(Code::MissingRequiredField, message));
        }
        other => {
            let message = format!("the change is {}; it must be an object of fields", Shown(other));
            return refused(Problem::of_delta(Code::InvalidType, message));
        }
    };
    let change = Change { record, delta };
    let mut report = ValidationReport::default();
    check_edited(rules, &change, rights.sees_prices, &mut report.errors);
    if with_left_alone {
        check_left_alone(rules, &change, &mut report.warnings);
    }
    consistency::check(&change, rights.may_revive, &mut report);
    report
}

fn refused(problem: Problem) -> ValidationReport {
    ValidationReport { errors: vec![problem], warnings: Vec::new() }
}

fn check_edited(rules: &Rules, change: &Change, sees_prices: bool, errors: &mut Vec<Problem>) {
    for (name, value) in change.delta {
        match rules.field(name) {
            None => errors.push(Problem::of_field(
                name,
                Code::UnknownField,
                format!("{} is not a field of a PFA record", Shown(&Value::from(name.as_str()))),
            )),
            Some(field) if field.permission.is_none() => {
                errors.push(Problem::of_field(name, Code::FieldLocked, format!("{name} can't be edited")));
            }
            Some(field) if change.alters(name, field.kind) || field.price && !sees_prices => check_value(field, value, errors),
            Some(_) => {}
        }
    }
}

fn check_left_alone(rules: &Rules, change: &Change, warnings: &mut Vec<Problem>) {
    for field in rules.fields() {
        let edited = field.permission.is_some() && change.alters(&field.name, field.kind);
        // A missing key is more than a warning: the rules of the whole record report it.
        let is_missing_key = field.name == PFA_ID && change.lacks_key();
        if !edited && !is_missing_key {
            check_value(field, change.before(&field.name), warnings);
        }
    }
}

fn check_value(field: &Field, value: &Value, problems: &mut Vec<Problem>) {
    match field.kind.read(value) {
        Err(why) => problems.push(Problem::unreadable(field, value, why)),
        Ok(Meaning::Decimal(decimal)) => check_decimal(field, value, decimal, problems),
        Ok(Meaning::Moment(_) | Meaning::Boolean(_)) => {}
        Ok(meaning @ (Meaning::Text(_) | Meaning::Nothing)) => {
            let mut report = |code, must: String| problems.push(Problem::of_value(field, value, code, must));
            if value.as_str().is_some_and(|text| text.contains(char::is_control)) {
                report(Code::InvalidValue, "must not contain control characters such as tabs and line breaks".into());
            }
            match meaning {
                Meaning::Text(text) => check_text(field, text, report),
                _ if !field.nullable => report(Code::MissingRequiredField, "must not be empty".into()),
                _ => {}
            }
        }
    }
}

fn check_text(field: &Field, text: &str, mut report: impl FnMut(Code, String)) {
    if let Some(choices) = &field.choices {
        if !choices.iter().any(|choice| choice == text) {
            report(Code::InvalidEnumValue, format!("must be one of {}", choices.join(", ")));
        }
    } else if let Some(limit) = field.max_length
        && text.len() > limit
    {
        // Bytes are at least as many as characters, so only texts that may be too long are counted.
        let length = text.chars().count();
        if length > limit {
            report(Code::TooLong, format!("must have at most {limit} characters, not {length}"));
        }
    }
}

fn check_decimal(field: &Field, value: &Value, decimal: Decimal, problems: &mut Vec<Problem>) {
    let mut report = |code, must: String| problems.push(Problem::of_value(field, value, code, must));
    if let Some(scale) = field.scale.filter(|scale| decimal.scale() > *scale) {
        report(Code::InvalidValue, format!("must have at most {scale} decimals"));
    }
    if let Some(minimum) = field.minimum.filter(|minimum| decimal < *minimum) {
        report(Code::InvalidRange, format!("must be at least {minimum}"));
    }
    if let Some(maximum) = field.maximum.filter(|maximum| decimal > *maximum) {
        report(Code::InvalidRange, format!("must be at most {maximum}"));
    }
}

//! An answer that can't be parsed as a whole, value by value: one value that can't be read spoils its record and no other.
//!
//! serde_json reads values nested up to 128 levels, and numbers that are numbers; PostgreSQL stores numbers of a limited
//! size. What goes beyond that is left out of its record, and the reason stands in the record as [`UNREADABLE`].

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Map, Value};

use crate::pems::UNREADABLE;

/// Names of the arrays whose items are records or results.
const LISTS: [&str; 2] = ["records", "results"];

/// Longest number, in characters, and largest exponent, of either sign: far below what PostgreSQL stores.
const MAX_NUMBER: (usize, u32) = (1000, 1000);

/// Parses an object value by value; `None` = not an object. What can't be read is left out.
pub(super) fn salvaged(text: &str) -> Option<Value> {
    let mut whole = Map::new();
    for (name, value) in fields(text)? {
        let parsed = match items(value).filter(|_| LISTS.contains(&name.as_str())) {
            Some(items) => Ok(Value::Array(items.into_iter().map(item).collect())),
            None => serde_json::from_str(value),
        };
        match parsed {
            Ok(value) => drop(whole.insert(name, value)),
            Err(error) => note(&mut whole, &name, &reason(&error)),
        }
    }
    Some(Value::Object(whole))
}

/// Leaves numbers that PostgreSQL can't store out of an answer and of the items of its lists.
pub(super) fn leave_out_numbers(body: &mut Value) {
    let Some(body) = body.as_object_mut() else { return };
    for name in LISTS {
        for item in body.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(record) = item.as_object_mut() {
                leave_out_fields(record, &[]);
            }
        }
    }
    leave_out_fields(body, &LISTS);
}

fn leave_out_fields(record: &mut Map<String, Value>, besides: &[&str]) {
    let unstorable = |(name, value): &(&String, &Value)| !besides.contains(&name.as_str()) && !is_storable(value);
    let names: Vec<String> = record.iter().filter(unstorable).map(|(name, _)| name.clone()).collect();
    for name in names {
        record.remove(&name);
        note(record, &name, "a number that can't be stored");
    }
}

fn is_storable(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.as_str();
            let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i32>());
            text.len() <= MAX_NUMBER.0 && exponent.is_ok_and(|exponent| exponent.unsigned_abs() <= MAX_NUMBER.1)
        }
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(fields) => fields.values().all(is_storable),
        _ => true,
    }
}

/// One record or result.
fn item(text: &str) -> Value {
    match (serde_json::from_str(text), fields(text)) {
        (Ok(value), _) => value,
        (Err(_), Some(fields)) => {
            let mut record = Map::new();
            for (name, value) in fields {
                match serde_json::from_str(value) {
                    Ok(value) => drop(record.insert(name, value)),
                    Err(error) => note(&mut record, &name, &reason(&error)),
                }
            }
            Value::Object(record)
        }
        (Err(error), None) => {
            let mut record = Map::new();
            note(&mut record, "the record", &reason(&error));
            Value::Object(record)
        }
    }
}

/// Adds what is wrong with a field to a record.
fn note(record: &mut Map<String, Value>, field: &str, what: &str) {
    let before = record.get(UNREADABLE).and_then(Value::as_str).map(|before| format!("{before}; ")).unwrap_or_default();
    // Names may be long, too.
    let field: String = field.chars().take(100).collect();
    record.insert(UNREADABLE.to_owned(), format!("{before}{field}: {what}").into());
}

/// Without the line and column, which count from the start of the value and not of the answer.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split(" at line ").next() {
        Some("recursion limit exceeded") => "nested deeper than 128 levels".to_owned(),
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// The fields of an object as they stand; `None` = the text is not one object.
fn fields(text: &str) -> Option<Vec<(String, &str)>> {
    let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
    let mut fields = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = value(rest)?;
        let (value, after) = value(after.trim_start().strip_prefix(':')?)?;
        fields.push((serde_json::from_str(name).ok()?, value));
        rest = next(after, '}')?;
    }
    rest[1..].trim().is_empty().then_some(fields)
}

/// The items of an array as they stand; `None` = the text is not one array.
fn items(text: &str) -> Option<Vec<&str>> {
    let mut rest = text.trim_start().strip_prefix('[')?.trim_start();
    let mut items = Vec::new();
    while !rest.starts_with(']') {
        let (item, after) = value(rest)?;
        items.push(item);
        rest = next(after, ']')?;
    }
    rest[1..].trim().is_empty().then_some(items)
}

/// The first value of a text, and what follows it. Whatever is ignored is read without recursion, however deep.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(text.split_at(values.byte_offset()))
}

/// The text behind a comma, or at the end of what holds the value.
fn next(text: &str, end: char) -> Option<&str> {
    let text = text.trim_start();
    match text.strip_prefix(',') {
        Some(after) => Some(after.trim_start()).filter(|after| !after.starts_with(end)),
        None => text.starts_with(end).then_some(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_can_not_be_read_spoils_its_record_alone() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        let text = format!(
            r#"{{"records": [{{"pfaId": "1", "remark": {deep}}}, {{"pfaId": "2"}}, {deep}], "next": null, "seen": {deep}}}"#
        );
        let deep = "nested deeper than 128 levels";
        assert_eq!(
            salvaged(&text),
            Some(json!({
                "records": [
                    {"pfaId": "1", UNREADABLE: format!("remark: {deep}")}, {"pfaId": "2"}, {UNREADABLE: format!("the record: {deep}")}
                ],
                "next": null, UNREADABLE: format!("seen: {deep}"),
            }))
        );
        let text = r#"{"results": [{"status": 200, "a": {"$serde_json::private::Number": "none"}}], "empty": {}, "none": []}"#;
        let salvaged = salvaged(text).unwrap();
        assert_eq!(salvaged["results"][0]["status"], 200);
        assert!(salvaged["results"][0][UNREADABLE].as_str().unwrap().starts_with("a: "));
    }

    #[test]
    fn what_is_not_one_object_is_not_salvaged() {
        for text in ["", "[", "{", "{}x", r#"{"a" 1}"#, r#"{"a": 1,}"#, r#"{"a": 1 "b": 2}"#, "[1]", "<html>", r#"{"a": [}"#] {
            assert_eq!(salvaged(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_that_can_not_be_stored_are_left_out() {
        let mut body =
            serde_json::from_str(r#"{"records": [{"pfaId": "1", "rate": 1e200000}, {"pfaId": "2", "rate": 1e3}]}"#).unwrap();
        leave_out_numbers(&mut body);
        assert_eq!(body["records"][0], json!({"pfaId": "1", UNREADABLE: "rate: a number that can't be stored"}));
        assert_eq!(body["records"][1]["pfaId"], "2");
        assert!(body["records"][1].get(UNREADABLE).is_none());
    }
}

//! Reads JSON that Postgres stores, whatever its depth.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use crate::Map;

/// The value of a JSON text that Postgres wrote.
///
/// Postgres stores what serde_json refuses: values nested deeper than 128, and an object with the key by which serde_json
/// marks numbers. A field with such a value reads as an empty array, which no field of a record accepts, so that the
/// other fields stay readable.
pub fn read(text: &str) -> Value {
    let is_object = text.trim_start().starts_with('{');
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() == is_object => value,
        _ => fields(text).map_or_else(unreadable, Value::Object),
    }
}

fn unreadable() -> Value {
    Value::Array(Vec::new())
}

/// The fields of an object, each read by itself.
fn fields(text: &str) -> Option<Map> {
    let mut fields = Map::new();
    let mut rest = text.trim_start().strip_prefix('{')?.trim_start();
    while !rest.starts_with('}') {
        let (name, after) = first::<String>(rest)?;
        let value = after.trim_start().strip_prefix(':')?;
        // IgnoredAny is read without recursion.
        let (_, after) = first::<IgnoredAny>(value)?;
        let value = &value[..value.len() - after.len()];
        fields.insert(name, serde_json::from_str(value).unwrap_or_else(|_| unreadable()));
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(fields)
}

/// The first value of a text, and what follows it.
fn first<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    let mut values = Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

//! What a user who may not see prices is shown.

use serde_json::Value;

use crate::{Map, Rules};

/// How deep values are shown: what is nested deeper reads as null.
const DEEPEST: usize = 50;
/// The values of an object that is about one field.
const SIDES: [&str; 3] = ["base", "ours", "theirs"];

/// JSON without the prices, at any depth. An object about a price (its key `field` names it) loses its values, and
/// `hidden` says that there are some.
pub fn without_prices(rules: &Rules, value: Value) -> Value {
    shown(rules, value, DEEPEST)
}

fn shown(rules: &Rules, value: Value, depth: usize) -> Value {
    let child = |value| match (value, depth.checked_sub(1)) {
        (value, Some(depth)) => shown(rules, value, depth),
        (_, None) => Value::Null,
    };
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(child).collect()),
        Value::Object(fields) => {
            let of_price = fields.get("field").and_then(Value::as_str).is_some_and(|field| rules.is_price(field));
            let is_side = |name: &str| of_price && SIDES.contains(&name);
            let hides = fields.keys().any(|name| is_side(name));
            let kept = fields.into_iter().filter(|(name, _)| !rules.is_price(name) && !is_side(name));
            let mut kept: Map = kept.map(|(name, value)| (name, child(value))).collect();
            if hides {
                kept.insert("hidden".to_owned(), Value::Bool(true));
            }
            Value::Object(kept)
        }
        scalar => scalar,
    }
}

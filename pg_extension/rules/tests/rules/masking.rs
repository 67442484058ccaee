//! What a user who may not see prices is shown.

use pfa_rules::{Value, without_prices};
use rstest::rstest;
use serde_json::json;

use crate::fixture::rules;

#[rstest]
#[case::fields(json!({"monthlyRate": 1, "model": "X"}), json!({"model": "X"}))]
#[case::nested(json!({"changes": [{"purchasePrice": 1, "dor": "BEO"}, 2]}), json!({"changes": [{"dor": "BEO"}, 2]}))]
#[case::about_a_price(
    json!([{"field": "monthlyRate", "base": 1, "ours": 2, "theirs": 3, "code": "X"}]),
    json!([{"field": "monthlyRate", "hidden": true, "code": "X"}])
)]
#[case::about_a_price_without_values(json!({"field": "monthlyRate", "code": "X"}), json!({"field": "monthlyRate", "code": "X"}))]
#[case::about_another_field(json!({"field": "model", "ours": 2}), json!({"field": "model", "ours": 2}))]
#[case::no_text(json!({"field": ["monthlyRate"], "ours": 2}), json!({"field": ["monthlyRate"], "ours": 2}))]
#[case::scalar(json!("monthlyRate"), json!("monthlyRate"))]
fn prices_are_left_out(#[case] value: Value, #[case] shown: Value) {
    assert_eq!(without_prices(rules(), value), shown);
}

#[test]
fn what_is_nested_too_deep_is_left_out() {
    let nested = |depth: usize, innermost: Value| (0..depth).fold(innermost, |value, _| json!([value]));
    assert_eq!(without_prices(rules(), nested(50, json!("X"))), nested(50, json!("X")));
    assert_eq!(without_prices(rules(), nested(51, json!("X"))), nested(51, Value::Null));
}

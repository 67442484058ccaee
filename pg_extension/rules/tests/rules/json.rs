//! JSON as Postgres stores it.

use pfa_rules::{Rights, Value, errors, read};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use crate::fixture::{rental, rules};

const NUMBER_KEY: &str = r#"{"$serde_json::private::Number": "no number"}"#;

fn deep(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[rstest]
#[case::nested(&deep(200))]
#[case::nested_far(&deep(200_000))]
#[case::objects(&(r#"{"a":"#.repeat(200) + "1" + &"}".repeat(200)))]
#[case::private_key(NUMBER_KEY)]
#[case::private_key_inside(&format!("[{NUMBER_KEY}]"))]
fn a_field_that_can_not_be_read_leaves_the_others(#[case] value: &str) {
    let read = read(&format!(r#"{{"a": {value}, "model": "X {{, \"}}", "b": {value}, "monthlyRate": 1.50}}"#));
    assert_eq!(
        read,
        json!({ "a": [], "model": "X {, \"}", "b": [], "monthlyRate": serde_json::from_str::<Value>("1.50").unwrap() })
    );
    assert_eq!(errors(rules(), &rental(), &json!({ "model": read["a"] }), Rights::default()).len(), 1);
}

/// The whole document has the private key: it is an object for Postgres.
#[test]
fn an_object_is_not_taken_for_a_number() {
    let read = read(r#"{"$serde_json::private::Number": "1"}"#);
    assert_eq!(read.as_object().unwrap().keys().collect::<Vec<_>>(), ["$serde_json::private::Number"]);
}

#[rstest]
#[case::array(&deep(200))]
#[case::no_json("{")]
#[case::empty("")]
fn what_is_no_object_has_no_fields(#[case] text: &str) {
    assert_eq!(read(text), json!([]));
}

proptest! {
    #[test]
    fn what_serde_reads_is_read_alike(value in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..5)) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(read(&text), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\" a0]{0,30}") {
        read(&text);
    }
}

use pfa_rules::{Map, Merge, Value, three_way};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{object, parse, rules};

/// How one field ends: `same`, `apply` or `conflict`.
fn fate(base: Option<Value>, accepted: Option<Value>, ours: Value, theirs: Value) -> &'static str {
    let [base, accepted] = [base, accepted].map(|value| value.map(object));
    let ours = object(ours);
    let merge = three_way(rules(), base.as_ref(), accepted.as_ref(), &ours, &object(theirs), true);
    match (merge.apply == ours, merge.same.len(), merge.conflicts.len()) {
        (true, 0, 0) => "apply",
        (false, 1, 0) => "same",
        (false, 0, 1) => "conflict",
        _ => panic!("one field has one fate: {merge:?}"),
    }
}

#[rstest]
#[case::they_left_it("A", "B", "A", "apply")]
#[case::they_did_the_same("A", "B", "B", "same")]
#[case::they_changed_it("A", "B", "C", "conflict")]
#[case::we_set_it_back("A", "A", "C", "conflict")]
#[case::changed_there_and_back("A", "B", "A", "apply")]
#[case::nobody_changed_it("A", "A", "A", "same")]
fn known_base(#[case] base: &str, #[case] ours: &str, #[case] theirs: &str, #[case] expected: &str) {
    let field = |value: &str| json!({ "category": value });
    assert_eq!(fate(Some(field(base)), None, field(ours), field(theirs)), expected);
}

#[rstest]
#[case::differs("B", "A", None, "conflict")]
#[case::equal("B", "B", None, "same")]
#[case::accepted("B", "A", Some("A"), "apply")]
#[case::other_accepted("B", "A", Some("C"), "conflict")]
fn unknown_base(#[case] ours: &str, #[case] theirs: &str, #[case] accepted: Option<&str>, #[case] expected: &str) {
    let field = |value: &str| json!({ "category": value });
    assert_eq!(fate(None, accepted.map(field), field(ours), field(theirs)), expected);
}

#[test]
fn own_earlier_write_is_no_conflict() {
    let [base, own, ours] = ["A", "B", "C"].map(|value| json!({ "category": value }));
    assert_eq!(fate(Some(base), Some(own.clone()), ours, own), "apply");
}

#[test]
fn accepted_speaks_only_of_fields_it_has() {
    assert_eq!(fate(Some(json!({ "model": "A" })), Some(json!({})), json!({ "model": "B" }), json!({})), "conflict");
    assert_eq!(fate(Some(json!({ "model": "A" })), Some(json!({ "model": null })), json!({ "model": "B" }), json!({})), "apply");
}

#[rstest]
#[case::dates_are_instants("forecastStart", r#""2026-01-31T01:00:00+01:00""#, r#""2026-01-31""#)]
#[case::to_the_millisecond("forecastStart", r#""2026-01-31T00:00:00.0009Z""#, r#""2026-01-31 00:00""#)]
#[case::numbers_are_decimals("monthlyRate", "5000", "5000.00")]
#[case::exponents("monthlyRate", "5e3", "5000")]
#[case::empty_text_is_null("category", r#""""#, "null")]
#[case::trailing_blanks("category", r#""Crane  ""#, r#""Crane""#)]
#[case::unicode_form("manufacturer", r#""Demag Caf\u00e9""#, r#""Demag Cafe\u0301""#)]
#[case::unreadable_values("monthlyRate", r#"["a", 1.0]"#, r#"["a", 1]"#)]
#[case::unknown_fields("colour", r#"{"red": 1.50}"#, r#"{"red": 1.5}"#)]
#[case::numbers_beyond_exactness("colour", "1e99", "1e99")]
fn spelling_is_no_change(#[case] field: &str, #[case] a: &str, #[case] b: &str) {
    let record = |value: &str| json!({ field: parse(value) });
    assert_eq!(fate(None, None, record(a), record(b)), "same");
    assert_eq!(fate(None, None, record(b), record(a)), "same");
}

#[rstest]
#[case::a_millisecond("forecastStart", r#""2026-01-31T00:00:00.001Z""#, r#""2026-01-31""#)]
#[case::a_cent("monthlyRate", "90071992547409930.01", "90071992547409930.02")]
#[case::zero_is_a_value("monthlyRate", "0", "null")]
#[case::false_is_a_value("isActualized", "false", "null")]
#[case::leading_blanks("category", r#"" Crane""#, r#""Crane""#)]
#[case::other_letter("manufacturer", r#""Demag Cafe""#, r#""Demag Caf\u00e9""#)]
#[case::case("category", r#""crane""#, r#""Crane""#)]
#[case::other_type("monthlyRate", r#""5000""#, "5000")]
#[case::empty_text_is_no_date("forecastStart", r#""""#, "null")]
#[case::numbers_beyond_exactness("colour", "1e99", "2e99")]
#[case::nested("colour", r#"{"red": null}"#, "{}")]
fn another_value_is_a_change(#[case] field: &str, #[case] a: &str, #[case] b: &str) {
    let record = |value: &str| json!({ field: parse(value) });
    assert_eq!(fate(None, None, record(a), record(b)), "conflict");
}

#[test]
fn absent_equals_null() {
    assert_eq!(fate(None, None, json!({ "model": null }), json!({})), "same");
    assert_eq!(fate(None, None, json!({ "colour": null }), json!({})), "same");
    assert_eq!(fate(Some(json!({})), None, json!({ "model": "A" }), json!({ "model": null })), "apply");
}

#[test]
fn each_field_by_itself() {
    let base = object(json!({ "category": "A", "class": "A", "model": "A", "dor": "BEO" }));
    let theirs = object(json!({ "category": "A", "class": "B", "model": "C", "dor": "PROJECT", "source": "Rental" }));
    let ours = object(json!({ "model": "B", "class": "B", "category": "B", "dor": null }));
    let expected = Merge {
        apply: object(json!({ "category": "B" })),
        same: vec!["class".into()],
        conflicts: vec!["dor".into(), "model".into()],
    };
    assert_eq!(three_way(rules(), Some(&base), None, &ours, &theirs, true), expected);
}

#[test]
fn an_empty_edit_merges_to_nothing() {
    assert_eq!(three_way(rules(), None, None, &Map::new(), &object(json!({ "model": "A" })), true), Merge::default());
}

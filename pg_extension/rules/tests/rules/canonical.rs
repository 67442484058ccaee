use pfa_rules::{Value, canonical, typed};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{object, parse, rules};

#[rstest]
#[case::date("2026-01-31", "2026-01-31T00:00:00.000Z")]
#[case::unchanged("2026-01-31T08:00:00.120Z", "2026-01-31T08:00:00.120Z")]
#[case::no_zone_is_utc("2026-01-31T08:00:00", "2026-01-31T08:00:00.000Z")]
#[case::space("2026-01-31 08:00", "2026-01-31T08:00:00.000Z")]
#[case::space_and_24_characters("2026-01-31 08:00:00.000Z", "2026-01-31T08:00:00.000Z")]
#[case::as_postgres_writes("2026-01-31 08:00:00.5+00", "2026-01-31T08:00:00.500Z")]
#[case::east("2026-01-01T01:00:00+02:00", "2025-12-31T23:00:00.000Z")]
#[case::west("2026-02-28T20:30:00-0330", "2026-03-01T00:00:00.000Z")]
#[case::minus_zero("2026-01-31T08:00:00-00:00", "2026-01-31T08:00:00.000Z")]
#[case::cut_not_rounded("2026-01-31T08:00:00.9999999Z", "2026-01-31T08:00:00.999Z")]
#[case::last_day("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z")]
#[case::no_date("2026-02-30", "2026-02-30")]
fn date(#[case] written: &str, #[case] expected: &str) {
    let spelled = canonical(rules(), &json!({ "forecastStart": written }));
    assert_eq!(spelled, object(json!({ "forecastStart": expected })));
}

#[rstest]
#[case("5000", "5000")]
#[case("5000.00", "5000")]
#[case("5000.10", "5000.1")]
#[case("0.10", "0.1")]
#[case("-0.0", "0")]
#[case("-12.5", "-12.5")]
#[case("5e3", "5000")]
#[case("5.25E+3", "5250")]
#[case("1200e-4", "0.12")]
#[case("0e99", "0")]
#[case::more_than_a_double_holds("12345678901234567890.12", "12345678901234567890.12")]
#[case::trailing_zeros("1.00000000000000000000000000000000000000000000", "1")]
#[case::smallest("1e-28", "0.0000000000000000000000000001")]
#[case::largest("79228162514264337593543950335", "79228162514264337593543950335")]
#[case::too_large("79228162514264337593543950336", "79228162514264337593543950336")]
fn decimal(#[case] written: &str, #[case] expected: &str) {
    let spelled = canonical(rules(), &parse(&format!(r#"{{"monthlyRate": {written}}}"#)));
    assert_eq!(spelled["monthlyRate"].to_string(), expected);
}

#[rstest]
#[case::empty_text("category", json!(""), json!(null))]
#[case::blank_text("category", json!(" \u{a0}"), json!(null))]
#[case::text_is_not_trimmed("category", json!(" Crane "), json!(" Crane "))]
#[case::null("forecastEnd", json!(null), json!(null))]
#[case::boolean("isActualized", json!(true), json!(true))]
#[case::other_type("monthlyRate", json!("5000.00"), json!("5000.00"))]
#[case::unknown("colour", json!(["red", ""]), json!(["red", ""]))]
fn other(#[case] field: &str, #[case] written: Value, #[case] expected: Value) {
    assert_eq!(canonical(rules(), &json!({ field: written })), object(json!({ field: expected })));
}

#[test]
fn keys_are_sorted() {
    let spelled = canonical(rules(), &parse(r#"{"source": null, "category": null, "pfaId": null}"#));
    assert_eq!(spelled.keys().collect::<Vec<_>>(), ["category", "pfaId", "source"]);
}

#[test]
fn a_delta_that_is_no_object_has_no_fields() {
    assert!(canonical(rules(), &json!(["category"])).is_empty());
}

#[test]
fn a_record_keeps_what_can_be_typed() {
    let record = object(json!({
        "pfaId": "1", "source": "LEASE", "category": "", "monthlyRate": -1.50, "version": 7,
        "forecastStart": "2026-01-31 08:00", "purchasePrice": "1000", "forecastEnd": "0000-00-00"
    }));
    let typed = typed(rules(), &record);
    let expected = json!({
        "pfaId": "1", "source": "LEASE", "category": null, "monthlyRate": -1.5, "version": 7,
        "forecastStart": "2026-01-31T08:00:00.000Z"
    });
    assert_eq!(Value::Object(typed.data), expected);
    assert_eq!(typed.problem.unwrap().field.as_deref(), Some("forecastEnd"));
}

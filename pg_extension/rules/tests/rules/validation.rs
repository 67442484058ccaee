use pfa_rules::{Map, Problem, Rules, RulesError, Value, validate};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{actualized, parse, rental, rules, with};

/// `field CODE` of each problem, in order.
fn codes(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{} {}", p.field.as_deref().unwrap_or("-"), p.code.as_str())).collect()
}

fn errors(record: &Map, delta: &Value) -> Vec<String> {
    codes(&validate(rules(), record, delta).errors)
}

fn warnings(record: &Map, delta: &Value) -> Vec<String> {
    codes(&validate(rules(), record, delta).warnings)
}

#[rstest]
#[case::null("null", "- INVALID_TYPE")]
#[case::list("[{}]", "- INVALID_TYPE")]
#[case::text(r#""category""#, "- INVALID_TYPE")]
#[case::empty("{}", "- MISSING_REQUIRED_FIELD")]
#[case::unknown(r#"{"colour": "red"}"#, "colour UNKNOWN_FIELD")]
#[case::no_name(r#"{"": null}"#, " UNKNOWN_FIELD")]
#[case::key(r#"{"pfaId": "1"}"#, "pfaId FIELD_LOCKED")]
#[case::locked_and_equal(r#"{"hasPlan": true}"#, "hasPlan FIELD_LOCKED")]
#[case::locked_and_wrong(r#"{"organization": 5}"#, "organization FIELD_LOCKED")]
#[case::number_for_text(r#"{"category": 4150}"#, "category INVALID_TYPE")]
#[case::list_for_text(r#"{"category": ["Crane"]}"#, "category INVALID_TYPE")]
#[case::number_in_text(r#"{"monthlyRate": "5000"}"#, "monthlyRate INVALID_TYPE")]
#[case::nan(r#"{"monthlyRate": "NaN"}"#, "monthlyRate INVALID_TYPE")]
#[case::infinity(r#"{"monthlyRate": "Infinity"}"#, "monthlyRate INVALID_TYPE")]
#[case::object_for_number(r#"{"monthlyRate": {"amount": 1}}"#, "monthlyRate INVALID_TYPE")]
#[case::boolean_for_number(r#"{"monthlyRate": true}"#, "monthlyRate INVALID_TYPE")]
#[case::text_for_boolean(r#"{"isFundsTransferable": "true"}"#, "isFundsTransferable INVALID_TYPE")]
#[case::number_for_boolean(r#"{"isFundsTransferable": 1}"#, "isFundsTransferable INVALID_TYPE")]
#[case::epoch_for_date(r#"{"forecastStart": 1767225600000}"#, "forecastStart INVALID_TYPE")]
#[case::nul(r#"{"category": "Cra\u0000ne"}"#, "category INVALID_VALUE")]
#[case::tab(r#"{"category": "Crane\tbig"}"#, "category INVALID_VALUE")]
#[case::line_break_alone(r#"{"category": "\n"}"#, "category INVALID_VALUE")]
#[case::c1_control(r#"{"category": "a\u0085b"}"#, "category INVALID_VALUE")]
#[case::choice(r#"{"source": "LEASE"}"#, "source INVALID_ENUM_VALUE")]
#[case::choice_is_exact(r#"{"dor": "beo"}"#, "dor INVALID_ENUM_VALUE")]
#[case::long(r#"{"remark": "123456"}"#, "remark TOO_LONG")]
#[case::text_required(r#"{"remark": null}"#, "remark MISSING_REQUIRED_FIELD")]
#[case::empty_text_required(r#"{"remark": ""}"#, "remark MISSING_REQUIRED_FIELD")]
#[case::blank_text_required(r#"{"remark": "   "}"#, "remark MISSING_REQUIRED_FIELD")]
#[case::number_required(r#"{"priority": null}"#, "priority MISSING_REQUIRED_FIELD")]
#[case::negative_price(r#"{"monthlyRate": -0.01}"#, "monthlyRate INVALID_RANGE")]
#[case::minimum(r#"{"priority": -1.6}"#, "priority INVALID_RANGE")]
#[case::maximum(r#"{"priority": 10.1}"#, "priority INVALID_RANGE")]
#[case::three_decimals(r#"{"monthlyRate": 5000.005}"#, "monthlyRate INVALID_VALUE")]
#[case::decimals_by_exponent(r#"{"monthlyRate": 5e-3}"#, "monthlyRate INVALID_VALUE")]
#[case::too_large(r#"{"monthlyRate": 1e30}"#, "monthlyRate INVALID_RANGE")]
#[case::far_too_large(r#"{"monthlyRate": 1e99999999999}"#, "monthlyRate INVALID_RANGE")]
#[case::too_large_with_decimals(r#"{"monthlyRate": 123456789012345678901234567890.5}"#, "monthlyRate INVALID_RANGE")]
#[case::too_precise_beside_a_whole_part(r#"{"monthlyRate": 5000.1234567890123456789012345678901}"#, "monthlyRate INVALID_VALUE")]
#[case::too_precise(r#"{"monthlyRate": 1e-29}"#, "monthlyRate INVALID_VALUE")]
fn one_fault(#[case] delta: &str, #[case] expected: &str) {
    assert_eq!(errors(&rental(), &parse(delta)), [expected]);
}

#[rstest]
#[case::date("2026-04-01")]
#[case::canonical("2026-04-01T08:30:00.000Z")]
#[case::no_zone("2026-04-01T08:30:00")]
#[case::no_seconds("2026-04-01 08:30")]
#[case::offset("2026-04-01T08:30:00+02:00")]
#[case::offset_without_colon("2026-04-01 08:30:00.123456-0330")]
#[case::leap_day("2024-02-29")]
#[case::first_day("1900-01-01")]
fn good_start(#[case] date: &str) {
    assert_eq!(errors(&rental(), &json!({ "forecastStart": date })), [""; 0]);
}

#[rstest]
#[case::zeros("0000-00-00", "INVALID_VALUE")]
#[case::february_30("2026-02-30", "INVALID_VALUE")]
#[case::no_leap_year("2026-02-29T00:00:00Z", "INVALID_VALUE")]
#[case::month_13("2026-13-01", "INVALID_VALUE")]
#[case::hour_24("2026-01-01T24:00:00Z", "INVALID_VALUE")]
#[case::second_60("2026-01-01T23:59:60Z", "INVALID_VALUE")]
#[case::words("tomorrow", "INVALID_VALUE")]
#[case::empty("", "INVALID_VALUE")]
#[case::german("31.01.2026", "INVALID_VALUE")]
#[case::no_dashes("20260131", "INVALID_VALUE")]
#[case::white_space(" 2026-01-31", "INVALID_VALUE")]
#[case::more_after_it("2026-01-31T08:00:00Zulu", "INVALID_VALUE")]
#[case::open_fraction("2026-01-31T08:00:00.Z", "INVALID_VALUE")]
#[case::open_offset("2026-01-31T08:00:00+01:", "INVALID_VALUE")]
#[case::large_offset("2026-01-31T08:00:00+24:00", "INVALID_VALUE")]
#[case::not_ascii("2026-01-3\u{661}", "INVALID_VALUE")]
#[case::five_digits("12026-01-31", "INVALID_VALUE")]
#[case::before_1900("1899-12-31", "INVALID_RANGE")]
#[case::before_1900_in_utc("1900-01-01T00:00:00+01:00", "INVALID_RANGE")]
#[case::after_9999_in_utc("9999-12-31T23:30:00-01:00", "INVALID_RANGE")]
fn bad_start(#[case] date: &str, #[case] code: &str) {
    assert_eq!(errors(&rental(), &json!({ "forecastStart": date })), [format!("forecastStart {code}")]);
}

#[rstest]
#[case::text(r#"{"category": "04150"}"#)]
#[case::cleared(r#"{"category": null, "dor": null, "forecastEnd": null}"#)]
#[case::blank(r#"{"category": "  "}"#)]
#[case::not_only_ascii(r#"{"remark": "Mäß≤𝕏"}"#)]
#[case::zero_rate(r#"{"monthlyRate": 0}"#)]
#[case::minus_zero(r#"{"monthlyRate": -0.0}"#)]
#[case::trailing_zeros(r#"{"monthlyRate": 5000.10000000000000000000000000000000000}"#)]
#[case::exponent(r#"{"monthlyRate": 4.95e3}"#)]
#[case::zero_with_an_exponent(r#"{"monthlyRate": 0e60}"#)]
#[case::bounds(r#"{"priority": -1.5}"#)]
#[case::upper_bound(r#"{"priority": 10.0}"#)]
#[case::large(r#"{"monthlyRate": 79228162514264337593543950335}"#)]
#[case::one_day(r#"{"forecastStart": "2026-05-01", "forecastEnd": "2026-05-01T00:00:00+00:00"}"#)]
#[case::purchase(r#"{"source": "Purchase", "purchasePrice": 0}"#)]
#[case::nothing_new(r#"{"category": "Crane", "monthlyRate": 5000.00}"#)]
#[case::soft_delete(r#"{"isDiscontinued": true}"#)]
fn valid(#[case] delta: &str) {
    assert_eq!(errors(&rental(), &parse(delta)), [""; 0]);
}

#[rstest]
#[case::forecast(json!({ "forecastStart": "2026-07-01" }), "forecastStart INVALID_DATE_ORDER")]
#[case::by_a_millisecond(json!({ "forecastEnd": "2026-02-28T23:59:59.999Z" }), "forecastEnd INVALID_DATE_ORDER")]
#[case::by_the_zone(json!({ "forecastEnd": "2026-03-01T00:30:00+01:00" }), "forecastEnd INVALID_DATE_ORDER")]
#[case::actual(json!({ "actualStart": "2026-03-02", "actualEnd": "2026-03-01" }), "actualEnd INVALID_DATE_ORDER")]
#[case::rate_cleared(json!({ "monthlyRate": null }), "monthlyRate MISSING_REQUIRED_FIELD")]
#[case::purchase_without_price(json!({ "source": "Purchase" }), "purchasePrice MISSING_REQUIRED_FIELD")]
fn fields_that_do_not_fit(#[case] delta: Value, #[case] expected: &str) {
    assert_eq!(errors(&rental(), &delta), [expected]);
}

#[rstest]
#[case::source(json!({ "source": "Purchase", "purchasePrice": 90000 }), &["source BUSINESS_RULE_VIOLATION"])]
#[case::source_cleared(json!({ "source": null }), &["source BUSINESS_RULE_VIOLATION"])]
#[case::source_repeated(json!({ "source": "Rental" }), &[])]
#[case::later(json!({ "actualStart": "2026-03-05T00:00:00.001Z" }), &["actualStart BUSINESS_RULE_VIOLATION"])]
#[case::respelled(json!({ "actualStart": "2026-03-05T01:00:00+01:00" }), &[])]
#[case::earlier(json!({ "actualStart": "2026-03-04" }), &[])]
#[case::discontinued(json!({ "isDiscontinued": true }), &["isDiscontinued BUSINESS_RULE_VIOLATION"])]
#[case::even_if_no_longer_actualized(
    json!({ "isActualized": false, "isDiscontinued": true }),
    &["isDiscontinued BUSINESS_RULE_VIOLATION"]
)]
#[case::other_field(json!({ "category": "Lifting" }), &[])]
fn actualized_record(#[case] delta: Value, #[case] expected: &[&str]) {
    assert_eq!(errors(&actualized(), &delta), expected);
}

#[rstest]
#[case::revived(json!({ "isDiscontinued": false }), &["isDiscontinued BUSINESS_RULE_VIOLATION"])]
#[case::cleared(json!({ "isDiscontinued": null }), &["isDiscontinued BUSINESS_RULE_VIOLATION"])]
#[case::discontinued_again(json!({ "isDiscontinued": true }), &[])]
#[case::other_field(json!({ "category": "Lifting" }), &[])]
fn discontinued_record(#[case] delta: Value, #[case] expected: &[&str]) {
    assert_eq!(errors(&with(rental(), json!({ "isDiscontinued": true })), &delta), expected);
}

#[rstest]
#[case::absent(None)]
#[case::null(Some(json!(null)))]
#[case::blank(Some(json!(" ")))]
fn record_without_a_key(#[case] pfa_id: Option<Value>) {
    let mut record = rental();
    record.remove("pfaId");
    record.extend(pfa_id.map(|id| ("pfaId".to_owned(), id)));
    let report = validate(rules(), &record, &json!({ "category": "Lifting" }));
    assert_eq!(codes(&report.errors), ["pfaId BUSINESS_RULE_VIOLATION"]);
    assert_eq!(codes(&report.warnings), [""; 0]);
}

#[rstest]
#[case::choice(json!({ "source": "LEASE" }), json!({ "category": "X" }), &["source INVALID_ENUM_VALUE"])]
#[case::choice_repeated(json!({ "source": "CORP" }), json!({ "source": "CORP" }), &["source INVALID_ENUM_VALUE"])]
#[case::type_(json!({ "monthlyRate": "n/a", "pfaId": 5 }), json!({ "category": "X" }), &["monthlyRate INVALID_TYPE", "pfaId INVALID_TYPE"])]
#[case::locked(json!({ "originalStart": "0000-00-00" }), json!({ "category": "X" }), &["originalStart INVALID_VALUE"])]
#[case::required(json!({ "remark": null }), json!({ "category": "X" }), &["remark MISSING_REQUIRED_FIELD"])]
#[case::rate(json!({ "monthlyRate": null }), json!({ "category": "X" }), &["monthlyRate MISSING_REQUIRED_FIELD"])]
#[case::rate_repeated(json!({ "monthlyRate": null }), json!({ "source": "Rental" }), &["monthlyRate MISSING_REQUIRED_FIELD"])]
#[case::period(json!({ "originalEnd": "2025-01-01" }), json!({ "category": "X" }), &["originalEnd INVALID_DATE_ORDER"])]
#[case::period_repeated(
    json!({ "forecastEnd": "2025-01-01" }),
    json!({ "forecastEnd": "2025-01-01T00:00:00Z" }),
    &["forecastEnd INVALID_DATE_ORDER"]
)]
fn old_faults_only_warn(#[case] faults: Value, #[case] delta: Value, #[case] expected: &[&str]) {
    let record = with(rental(), faults);
    assert_eq!(errors(&record, &delta), [""; 0]);
    assert_eq!(warnings(&record, &delta), expected);
}

#[rstest]
#[case::period_still_wrong(json!({ "forecastEnd": "2025-01-01" }), json!({ "forecastEnd": "2025-02-01" }), "forecastEnd INVALID_DATE_ORDER")]
#[case::rate_still_missing(
    json!({ "source": "Purchase", "monthlyRate": null }),
    json!({ "source": "Rental" }),
    "monthlyRate MISSING_REQUIRED_FIELD"
)]
#[case::other_bad_choice(json!({ "source": "LEASE" }), json!({ "source": "CORP" }), "source INVALID_ENUM_VALUE")]
fn old_faults_in_touched_fields_are_errors(#[case] faults: Value, #[case] delta: Value, #[case] expected: &str) {
    let record = with(rental(), faults);
    assert_eq!(errors(&record, &delta), [expected]);
    assert_eq!(warnings(&record, &delta), [""; 0]);
}

#[test]
fn a_refused_edit_of_a_locked_field_leaves_its_old_fault() {
    let report = validate(rules(), &with(rental(), json!({ "hasPlan": "Y" })), &json!({ "hasPlan": true }));
    assert_eq!(codes(&report.errors), ["hasPlan FIELD_LOCKED"]);
    assert_eq!(codes(&report.warnings), ["hasPlan INVALID_TYPE"]);
}

#[test]
fn old_faults_can_be_mended() {
    let record = with(rental(), json!({ "source": "LEASE", "forecastEnd": "2025-01-01", "monthlyRate": "n/a" }));
    let report = validate(rules(), &record, &json!({ "source": "Rental", "forecastEnd": "2026-12-31", "monthlyRate": 1 }));
    assert_eq!((codes(&report.errors), codes(&report.warnings)), (vec![], vec![]));
}

#[test]
fn all_problems_are_reported_in_order() {
    let delta = json!({
        "source": "Purchase", "remark": "too\tlong", "priority": 10.123, "pfaId": "1", "isDiscontinued": true,
        "forecastStart": "2030-01-01", "colour": "red", "actualStart": "2026-03-06"
    });
    let expected = [
        "colour UNKNOWN_FIELD",
        "pfaId FIELD_LOCKED",
        "priority INVALID_VALUE",
        "priority INVALID_RANGE",
        "remark INVALID_VALUE",
        "remark TOO_LONG",
        "forecastStart INVALID_DATE_ORDER",
        "purchasePrice MISSING_REQUIRED_FIELD",
        "source BUSINESS_RULE_VIOLATION",
        "actualStart BUSINESS_RULE_VIOLATION",
        "isDiscontinued BUSINESS_RULE_VIOLATION",
    ];
    assert_eq!(errors(&actualized(), &delta), expected);
}

#[rstest]
#[case(json!([]), "the change is a list; it must be an object of fields")]
#[case(json!({ "colour": 1 }), r#""colour" is not a field of a PFA record"#)]
#[case(json!({ "pfaId": "1" }), "pfaId can't be edited")]
#[case(json!({ "dor": "LEASE" }), r#"dor is "LEASE"; it must be one of BEO, PROJECT"#)]
#[case(json!({ "priority": 11 }), "priority is 11; it must be at most 10")]
#[case(json!({ "priority": "1" }), r#"priority is "1"; it must be a number"#)]
#[case(json!({ "priority": null }), "priority must not be empty")]
#[case(
    json!({ "forecastEnd": "2026-02-30" }),
    r#"forecastEnd is "2026-02-30"; it must be a date there is, such as 2026-01-31 or 2026-01-31T08:00:00Z"#
)]
#[case(
    json!({ "forecastEnd": "2026-02-01" }),
    "forecastStart (2026-03-01T00:00:00.000Z) must not be after forecastEnd (2026-02-01T00:00:00.000Z)"
)]
#[case::long_values_are_cut(
    json!({ "remark": "é".repeat(41) }),
    &format!(r#"remark is "{}"…; it must have at most 5 characters, not 41"#, "é".repeat(40))
)]
#[case::controls_are_escaped(
    json!({ "remark": "a\u{1b}" }),
    r#"remark is "a\u{1b}"; it must not contain control characters such as tabs and line breaks"#
)]
#[case::prices_are_not_quoted(json!({ "monthlyRate": -77 }), "monthlyRate must be at least 0")]
fn message(#[case] delta: Value, #[case] expected: &str) {
    assert_eq!(validate(rules(), &rental(), &delta).errors[0].message, expected);
}

#[test]
fn rules_that_can_not_be_compiled_name_the_field() {
    let fault = |rows: &str| Rules::from_json(rows).unwrap_err();
    assert!(matches!(fault("{}"), RulesError::Shape(_)));
    let fault = fault(r#"[{"name": "x", "type": "money", "nullable": true}]"#);
    assert!(matches!(&fault, RulesError::Field { field, .. } if field == "x"), "{fault}");
    let bound = Rules::from_json(r#"[{"name": "x", "type": "decimal", "nullable": true, "minimum": 1e40}]"#).unwrap_err();
    assert_eq!(bound.to_string(), "the rule of field x: bound 1e+40 is not an exact decimal");
}

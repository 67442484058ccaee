//! The key of a record, as a segment of an address in PEMS.

use pfa_rules::{Code, Rights, errors, typed};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{rental, rules, with};

/// Keys that would lead a request to another route of PEMS, and such that only look like them.
#[rstest]
#[case::parent("..", true)]
#[case::itself(".", true)]
#[case::batch("batch", true)]
#[case::batch_in_capitals("BATCH", true)]
#[case::slash("1/../batch", true)]
#[case::backslash("..\\batch", true)]
#[case::parameter("..;", true)]
#[case::line_break("1\n2", true)]
#[case::encoded("%2e%2e", false)]
#[case::query("1?organizationCode=HOLNG", false)]
#[case::slash_without_dots("Ä/7 50%25?#", false)]
#[case::three_dots("...", false)]
#[case::dotted("1.2", false)]
#[case::with_batch("batch-1", false)]
#[case::space("A 1", false)]
#[case::umlaut("Kran-Ä", false)]
fn key_that_is_no_path_segment(#[case] key: &str, #[case] is_unsafe: bool) {
    let record = with(rental(), json!({ "pfaId": key }));
    let errors = errors(rules(), &record, &json!({ "model": "X" }), Rights::default());
    let named: Vec<_> = errors.iter().map(|error| (error.field.as_deref(), error.code)).collect();
    assert_eq!(named, is_unsafe.then_some((Some("pfaId"), Code::BusinessRuleViolation)).into_iter().collect::<Vec<_>>());
    assert_eq!(typed(rules(), &record).problem.is_some(), is_unsafe);
}

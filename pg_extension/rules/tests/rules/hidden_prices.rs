//! An author who may not see prices learns none from the judgement of an edit.

use pfa_rules::{Map, Rights, Value, errors, three_way};
use proptest::prelude::*;
use proptest::sample::select;
use rstest::rstest;
use serde_json::json;

use crate::fixture::{object, rental, rules, with};

/// What an author sees of a judgement: errors with their words, and the fate of each field.
fn seen(record: &Map, base: Option<&Map>, delta: &Value) -> (Vec<String>, Vec<String>, Vec<String>, Vec<String>) {
    let merge = three_way(rules(), base, None, &object(delta.clone()), record, false);
    let errors = errors(rules(), record, delta, Rights { sees_prices: false, ..Rights::default() })
        .into_iter()
        .map(|e| format!("{} {}", e.code.as_str(), e.message));
    (errors.collect(), merge.apply.into_iter().map(|(name, _)| name).collect(), merge.same, merge.conflicts)
}

#[rstest]
#[case::right_guess_of_an_unmoved_price(json!(5000), json!(5000), "apply")]
#[case::wrong_guess_of_an_unmoved_price(json!(5001), json!(5000), "apply")]
#[case::right_guess_of_a_moved_price(json!(5000), json!(4000), "conflict")]
#[case::wrong_guess_of_a_moved_price(json!(5001), json!(4000), "conflict")]
fn a_guess_is_not_confirmed(#[case] guess: Value, #[case] base: Value, #[case] fate: &str) {
    let base = with(rental(), json!({ "monthlyRate": base }));
    let (errors, apply, same, conflicts) = seen(&rental(), Some(&base), &json!({ "monthlyRate": guess }));
    assert_eq!((errors, same), (vec![], vec![]));
    assert_eq!(if apply.is_empty() { "conflict" } else { "apply" }, fate);
    assert_eq!(apply.len() + conflicts.len(), 1);
}

/// PEMS' own prices may be ones that no edit could set.
#[test]
fn a_guess_of_an_invalid_price_is_not_confirmed() {
    for price in [json!(-1), json!(1.125), json!("5000")] {
        let record = with(rental(), json!({ "monthlyRate": price }));
        assert_eq!(seen(&record, None, &json!({ "monthlyRate": price })).0.len(), 1, "{price}");
    }
}

#[test]
fn who_sees_prices_is_told_that_nothing_changes() {
    let ours = object(json!({ "monthlyRate": 5000 }));
    assert_eq!(three_way(rules(), None, None, &ours, &rental(), true).same, ["monthlyRate"]);
}

fn price() -> impl Strategy<Value = Value> {
    select(vec![json!(0), json!(1), json!(4999.99), json!(5000), json!(5000.001), json!(-3), json!("x")])
}

proptest! {
    /// Two records that differ in their prices alone are judged alike, whatever is guessed; whether the price moved since
    /// the author saw the record, and whether there is one, is no secret.
    #[test]
    fn prices_decide_nothing(
        prices in prop::collection::vec(price(), 4), moved in any::<bool>(), guess in price(), source in select(vec!["Rental", "Purchase", "LEASE"])
    ) {
        let world = |now: &Value, before: &Value| {
            let record = with(rental(), json!({ "monthlyRate": now }));
            let base = with(record.clone(), json!({ "monthlyRate": if moved { before } else { now } }));
            seen(&record, Some(&base), &json!({ "monthlyRate": guess, "source": source, "model": "X" }))
        };
        prop_assume!(!moved || prices[0] != prices[1] && prices[2] != prices[3]);
        prop_assert_eq!(world(&prices[0], &prices[1]), world(&prices[2], &prices[3]));
    }
}

use pfa_rules::{Value, cost};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use crate::fixture::{object, rental, with};

fn of(record: Value) -> Option<String> {
    cost(&object(record)).map(|cost| cost.normalize().to_string())
}

#[rstest]
// 365 days are 11.9908 months.
#[case(json!({"source": "Rental", "monthlyRate": 5000, "forecastStart": "2026-01-01", "forecastEnd": "2027-01-01"}), Some("59954.01"))]
#[case(json!({"source": "Rental", "monthlyRate": 3044, "forecastStart": "2026-01-01", "forecastEnd": "2026-01-31T00:00:00Z"}), Some("3000"))]
#[case(json!({"source": "Rental", "monthlyRate": 3044, "forecastStart": "2026-01-01", "forecastEnd": "2026-01-01T12:00:00Z"}), Some("50"))]
#[case(json!({"source": "Rental", "monthlyRate": 0, "forecastStart": "2026-01-01", "forecastEnd": "2026-02-01"}), Some("0"))]
#[case(json!({"source": "Purchase", "purchasePrice": 150000.5, "monthlyRate": 1}), Some("150000.5"))]
#[case(json!({"source": "Rental", "monthlyRate": 5000, "forecastStart": "2026-01-01"}), None)]
#[case(json!({"source": "Rental", "monthlyRate": null, "forecastStart": "2026-01-01", "forecastEnd": "2027-01-01"}), None)]
#[case(json!({"source": "Rental", "monthlyRate": "5000", "forecastStart": "2026-01-01", "forecastEnd": "2027-01-01"}), None)]
#[case(json!({"source": "Lease", "monthlyRate": 5000, "forecastStart": "2026-01-01", "forecastEnd": "2027-01-01"}), None)]
#[case(json!({"source": 7}), None)]
#[case(json!({}), None)]
fn cost_of_a_record(#[case] record: Value, #[case] expected: Option<&str>) {
    assert_eq!(of(record).as_deref(), expected);
}

proptest! {
    /// A rental for twice as long costs twice as much, but for the last decimal; no input panics.
    #[test]
    fn a_rental_for_twice_as_long_costs_twice_as_much(days in 1_i64..20_000, rate in 0_u32..100_000_000) {
        let day = |days: i64| (jiff::civil::date(2000, 1, 1) + jiff::Span::new().days(days)).to_string();
        let of_days = |days: i64| cost(&with(rental(), json!({
            "monthlyRate": f64::from(rate) / 100.0, "forecastStart": day(0), "forecastEnd": day(days)
        }))).expect("a cost");
        let (once, twice) = (of_days(days), of_days(2 * days));
        prop_assert!((twice - once - once).abs() <= rust_decimal::Decimal::new(1, 2), "{once} {twice}");
    }
}

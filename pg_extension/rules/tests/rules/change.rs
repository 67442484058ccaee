use pfa_rules::{Value, operation, required_permissions};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{object, rental, rules, with};

#[rstest]
#[case(json!({ "isDiscontinued": true }), "DELETE")]
#[case(json!({ "isDiscontinued": false }), "UPDATE")]
#[case(json!({ "isDiscontinued": "true" }), "UPDATE")]
#[case(json!({ "isDiscontinued": true, "category": "X" }), "UPDATE")]
#[case(json!({ "category": "X" }), "UPDATE")]
fn operation_of_a_delta(#[case] delta: Value, #[case] expected: &str) {
    assert_eq!(operation(&object(delta)).as_str(), expected);
}

#[rstest]
#[case(json!({ "category": "X" }), &["perm_EditForecast"])]
#[case(json!({ "actualStart": null }), &["perm_EditActuals"])]
#[case(json!({ "category": "X", "model": null, "isActualized": true }), &["perm_EditActuals", "perm_EditForecast"])]
#[case(json!({ "pfaId": "1", "colour": "red" }), &[])]
#[case(json!({ "isDiscontinued": true }), &["perm_Delete", "perm_EditForecast"])]
#[case(json!({ "isDiscontinued": true, "actualEnd": null }), &["perm_Delete", "perm_EditActuals", "perm_EditForecast"])]
#[case(json!({ "isDiscontinued": false }), &["perm_EditForecast"])]
fn permissions_of_a_delta(#[case] delta: Value, #[case] expected: &[&str]) {
    let needed = required_permissions(rules(), &rental(), &object(delta));
    assert!(needed.iter().eq(expected), "{needed:?}");
}

#[test]
fn to_discontinue_again_is_no_delete() {
    let record = with(rental(), json!({ "isDiscontinued": true }));
    let needed = required_permissions(rules(), &record, &object(json!({ "isDiscontinued": true })));
    assert!(needed.iter().eq(["perm_EditForecast"]), "{needed:?}");
    let needed = required_permissions(rules(), &record, &object(json!({ "isDiscontinued": false })));
    assert!(needed.iter().eq(["perm_Delete", "perm_EditForecast"]), "to revive it is one: {needed:?}");
}

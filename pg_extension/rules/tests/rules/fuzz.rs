//! Deltas and records that others write, as bytes.

use pfa_rules::{Map, Rights, Value, canonical, errors, operation, read, required_permissions, three_way, typed, validate};
use serde_json::json;

use crate::fixture::{actualized, rental, rules};

#[test]
fn any_bytes_as_a_delta_are_judged_or_refused() {
    let deltas = [
        json!({"monthlyRate": 12500.50, "model": "LTM 1100", "forecastStart": "2026-03-01T00:00:00.000Z", "category": "Crane"}),
        json!({"isActualized": true, "actualStart": "2026-03-05", "actualEnd": null, "priority": 3, "remark": "ok"}),
        json!({"isDiscontinued": true, "source": "Purchase", "purchasePrice": 1e5}),
        Value::Object(rental()),
        Value::Object(actualized()),
    ];
    let seeds: Vec<_> = deltas.iter().map(|delta| delta.to_string().into_bytes()).collect();
    pfa_fuzz::run("delta", &seeds.iter().map(Vec::as_slice).collect::<Vec<_>>(), |bytes| {
        // As the extension reads it.
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let delta = read(text);
        let record = rental();
        let report = validate(rules(), &record, &delta);
        assert!(report.errors.iter().all(|problem| !problem.message.chars().any(char::is_control)));
        assert_eq!(report.errors, errors(rules(), &record, &delta, Rights::default()));
        let spelled = canonical(rules(), &delta);
        assert_eq!(canonical(rules(), &Value::Object(spelled.clone())), spelled);
        let delta: Map = delta.as_object().cloned().unwrap_or_default();
        required_permissions(rules(), &record, &delta);
        operation(&delta);
        let once = typed(rules(), &delta);
        assert_eq!(typed(rules(), &once.data).data, once.data);
        three_way(rules(), Some(&record), Some(&delta), &delta, &record, true);
        three_way(rules(), Some(&delta), None, &record, &delta, false);
    });
}

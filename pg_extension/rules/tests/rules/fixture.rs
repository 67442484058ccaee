//! The shipped field rules and two fields of an administrator's own (`priority`, `remark`), and a sound record.

use std::sync::LazyLock;

use pfa_rules::{Map, Rules, Value};
use serde_json::json;

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::from_json(include_str!("fields.json")).unwrap());

pub fn rules() -> &'static Rules {
    &RULES
}

pub fn object(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// JSON as it is written, digit by digit.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub fn with(mut record: Map, changes: Value) -> Map {
    record.extend(object(changes));
    record
}

pub fn rental() -> Map {
    object(json!({
        "pfaId": "83772", "organization": "RIO", "category": "Crane", "class": "Mobile Crane", "source": "Rental", "dor": "BEO",
        "monthlyRate": 5000, "purchasePrice": null, "manufacturer": "Liebherr", "areaSilo": "Silo 1",
        "forecastStart": "2026-03-01T00:00:00.000Z", "forecastEnd": "2026-06-30T00:00:00.000Z",
        "originalStart": "2026-02-01T00:00:00.000Z", "originalEnd": "2026-06-30T00:00:00.000Z",
        "actualStart": null, "actualEnd": null, "isActualized": false, "isDiscontinued": false, "isFundsTransferable": true,
        "hasPlan": true, "hasActuals": false, "priority": 1, "remark": "ok"
    }))
}

pub fn actualized() -> Map {
    with(rental(), json!({ "isActualized": true, "actualStart": "2026-03-05T00:00:00.000Z" }))
}

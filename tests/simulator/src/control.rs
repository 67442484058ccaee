//! What a test or a person may ask of the simulator beyond PEMS' contract, under `/simulator/`; outside of the limit.

use serde_json::{Map, Value, json};

use super::response::{Answer, refuse};
use super::service::Call;
use super::{Shared, lock};

/// `GET log?after=`, `GET records?organization=`, `POST faults {operation, fault}`,
/// `POST gateway {status, body}` (no status: PEMS answers again),
/// `POST edit {organization, pfaId, changes}`, `POST lock {organization, pfaId, locked}`.
pub(super) fn answer(shared: &Shared, command: &str, call: &Call) -> Answer {
    let body: Map<String, Value> = serde_json::from_slice(&call.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match (call.method.as_str(), command) {
        ("GET", "log") => {
            let after: usize = call.query.get("after").and_then(|after| after.parse().ok()).unwrap_or(0);
            (200, json!(shared.log.borrow().iter().skip(after).collect::<Vec<_>>()))
        }
        ("GET", "records") => match call.query.get("organization") {
            Some(code) => (200, json!(lock(&shared.records).all(code))),
            None => refuse(400, "BAD_REQUEST", "organization is missing"),
        },
        ("POST", "faults") => {
            let operation = body.get("operation").cloned().map(serde_json::from_value);
            let fault = body.get("fault").cloned().map(serde_json::from_value);
            match (operation, fault) {
                (Some(Ok(operation)), Some(Ok(fault))) => {
                    lock(&shared.faults).push(operation, fault);
                    (200, json!({"success": true}))
                }
                _ => refuse(400, "BAD_REQUEST", "a fault needs operation and fault"),
            }
        }
        ("POST", "gateway") => {
            let status = body.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
            *lock(&shared.gateway) = status.map(|status| (status, text("body").to_owned()));
            (200, json!({"success": true}))
        }
        ("POST", "edit") => match body.get("changes").and_then(Value::as_object) {
            Some(changes) => match lock(&shared.records).edit(text("organization"), text("pfaId"), changes) {
                Some(version) => (200, json!({"success": true, "newVersion": version})),
                None => refuse(404, "NOT_FOUND", "there is no such record"),
            },
            None => refuse(400, "BAD_REQUEST", "changes are missing"),
        },
        ("POST", "lock") => {
            let locked = body.get("locked").and_then(Value::as_bool).unwrap_or(true);
            lock(&shared.records).lock(text("organization"), text("pfaId"), locked);
            (200, json!({"success": true}))
        }
        _ => refuse(404, "NO_SUCH_ROUTE", command),
    }
}

//! A write and its confirmation, for the tests of answers.

use serde_json::{Value, json};

use crate::pems::{Operation, Write};

/// A write of a record at version 4.
pub(super) fn write(pfa_id: &str) -> Write {
    Write {
        operation: Operation::Update,
        pfa_id: pfa_id.to_owned(),
        version: 4,
        changes: json!({"dor": "BEO"}),
        modified_by: "editor@example.org".to_owned(),
        reason: None,
        idempotency_key: "1-1".to_owned(),
    }
}

/// PEMS' confirmation of that write.
pub(super) fn good(pfa_id: &str) -> Value {
    json!({"status": 200, "success": true, "pfaId": pfa_id, "newVersion": 5, "updatedAt": "2026-11-24T10:00:00.000Z", "message": "ok"})
}

//! The bodies of write requests.

use serde::Serialize;
use serde_json::{Value, json};

use crate::pems::{Operation, Write};

/// The body of a request that writes one record.
pub(super) fn single_body(organization: &str, record: &Write) -> Value {
    match record.operation {
        Operation::Update => json!({
            "pfaId": record.pfa_id, "organizationCode": organization, "changes": record.changes, "version": record.version,
            "modifiedBy": record.modified_by, "changeReason": record.reason,
        }),
        Operation::Delete => json!({
            "organizationCode": organization, "version": record.version, "modifiedBy": record.modified_by, "reason": record.reason,
        }),
    }
}

/// A record in the body of a batch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchRecord<'a> {
    operation: &'static str,
    idempotency_key: &'a str,
    pfa_id: &'a str,
    organization_code: &'a str,
    changes: &'a Value,
    version: i64,
    modified_by: &'a str,
    change_reason: Option<&'a str>,
}

impl<'a> BatchRecord<'a> {
    pub fn new(organization: &'a str, record: &'a Write) -> Self {
        Self {
            operation: record.operation.name(),
            idempotency_key: &record.idempotency_key,
            pfa_id: &record.pfa_id,
            organization_code: organization,
            changes: &record.changes,
            version: record.version,
            modified_by: &record.modified_by,
            change_reason: record.reason.as_deref(),
        }
    }
}

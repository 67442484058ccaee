//! The bodies of PEMS' write contract, read strictly: an unknown field, a missing one or a wrong type is an error.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Most records in a batch.
const MAX_BATCH: usize = 100;

/// One write of one record.
#[derive(Debug, Clone)]
pub struct Write {
    /// The record.
    pub pfa_id: String,
    /// Its organization, which must be the header's.
    pub organization_code: String,
    /// The fields to set; for the soft delete, that one.
    pub changes: Map<String, Value>,
    /// The version it expects.
    pub version: i64,
    /// The author.
    pub modified_by: String,
    /// The key by which a repeated request is recognized.
    pub idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Put {
    pfa_id: String,
    organization_code: String,
    changes: Map<String, Value>,
    version: i64,
    modified_by: String,
    #[serde(rename = "changeReason")]
    _change_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    organization_code: String,
    version: i64,
    modified_by: String,
    #[serde(rename = "reason")]
    _reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Batch {
    records: Vec<BatchRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchRecord {
    operation: String,
    pfa_id: String,
    organization_code: String,
    changes: Option<Map<String, Value>>,
    version: i64,
    modified_by: String,
    #[serde(rename = "changeReason")]
    _change_reason: Option<String>,
    #[serde(rename = "reason")]
    _reason: Option<String>,
    idempotency_key: Option<String>,
}

fn discontinued() -> Map<String, Value> {
    Map::from_iter([("isDiscontinued".to_owned(), Value::Bool(true))])
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// The write of a PUT to a record.
pub fn put(pfa_id: &str, body: &[u8], idempotency_key: Option<String>) -> Result<Write, String> {
    let put: Put = parse(body)?;
    if put.pfa_id != pfa_id {
        return Err(format!("the body is about {}, the address about {pfa_id}", put.pfa_id));
    }
    if put.changes.is_empty() {
        return Err("changes names no field".to_owned());
    }
    let Put { pfa_id, organization_code, changes, version, modified_by, .. } = put;
    Ok(Write { pfa_id, organization_code, changes, version, modified_by, idempotency_key })
}

/// The write of a DELETE of a record.
pub fn delete(pfa_id: &str, body: &[u8], idempotency_key: Option<String>) -> Result<Write, String> {
    let Delete { organization_code, version, modified_by, .. } = parse(body)?;
    Ok(Write { pfa_id: pfa_id.to_owned(), organization_code, changes: discontinued(), version, modified_by, idempotency_key })
}

/// The writes of a batch, in its order.
pub fn batch(body: &[u8]) -> Result<Vec<Write>, String> {
    let Batch { records } = parse(body)?;
    if records.is_empty() || records.len() > MAX_BATCH {
        return Err(format!("a batch holds 1 to {MAX_BATCH} records, not {}", records.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut writes = Vec::with_capacity(records.len());
    for record in records {
        if !seen.insert(record.pfa_id.clone()) {
            return Err(format!("record {} is in the batch twice", record.pfa_id));
        }
        let changes = match (record.operation.as_str(), record.changes) {
            ("UPDATE", Some(changes)) if !changes.is_empty() => changes,
            ("UPDATE", _) => return Err(format!("the update of record {} names no field", record.pfa_id)),
            ("DELETE", changes) if changes.as_ref().is_none_or(|changes| *changes == discontinued()) => discontinued(),
            ("DELETE", _) => return Err(format!("the delete of record {} changes something else", record.pfa_id)),
            (other, _) => return Err(format!("there is no operation {other}")),
        };
        let BatchRecord { pfa_id, organization_code, version, modified_by, idempotency_key, .. } = record;
        writes.push(Write { pfa_id, organization_code, changes, version, modified_by, idempotency_key });
    }
    Ok(writes)
}

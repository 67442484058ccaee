//! A conflict as the API returns it: by itself, and in the problem of a resolution that is out of date.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::id::Id;

/// A conflict in its current state, field by field.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(crate) struct Conflict {
    conflict_id: Id,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    author_name: String,
    /// Where it was detected: at `commit`, at `claim`, or by `pems`.
    detected: String,
    /// Why it is a conflict, such as `CHANGED_IN_PEMS`.
    code: String,
    /// What the code means.
    meaning: Option<String>,
    /// What to do about it.
    action: Option<String>,
    message: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// `unresolved`, `resolved_auto` or `resolved_manual`.
    status: String,
    resolution: Option<String>,
    resolved_by: Option<String>,
    resolved_by_name: Option<String>,
    /// Current version of the record; null = the record does not exist any more.
    version: Option<i32>,
    /// The state of the record, its queued changes included, as the ETag has it; null = the record does not exist any more.
    state: Option<String>,
    detected_version: i32,
    fields: Vec<ConflictField>,
}

/// A changed field. A null value means that the field is not set on that side.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct ConflictField {
    field: String,
    /// Whether this field is in conflict.
    conflict: bool,
    /// The values are prices, which the caller may not see.
    #[serde(default)]
    hidden: bool,
    /// The value that the author saw.
    base: Option<Value>,
    /// The value that the author wants.
    ours: Option<Value>,
    /// The current value.
    theirs: Option<Value>,
}

impl Conflict {
    /// Reads the result of `pfa_sync.conflict_state`.
    pub(crate) fn from_state(state: Value) -> Option<Self> {
        serde_json::from_value(state).ok()
    }

    /// The state of the record by which a resolution names what was read.
    pub(crate) fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("0.0")
    }
}

//! Edits of all records that a search finds: previewed, then saved as drafts by a job.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::records::no_filter;
use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, camel_keys},
        idempotency::Idempotent,
        problem::Problem,
    },
    id::Id,
};

/// One way to change many records. The database reads it.
#[derive(ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is passed on as it is")]
enum RecordEdit {
    /// Shifts dates. A month that has no such day ends with its last one.
    Shift {
        #[schema(min_items = 1, max_items = 10)]
        fields: Vec<String>,
        #[schema(minimum = -36500, maximum = 36500)]
        amount: i64,
        unit: ShiftUnit,
    },
    /// Changes the monthly rate of rentals and the price of purchases, rounded to cents.
    Percent {
        #[schema(minimum = -100, maximum = 1000)]
        percent: f64,
    },
    /// Sets a field.
    Set {
        field: String,
        #[schema(required = true)]
        value: Value,
    },
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is passed on as it is")]
enum ShiftUnit {
    Days,
    Weeks,
    Months,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EditPreviewRequest {
    /// By id or code.
    organization_id: String,
    /// As of a search.
    #[serde(default = "no_filter")]
    #[schema(value_type = Object)]
    filter: Value,
    search: Option<String>,
    #[schema(value_type = RecordEdit)]
    edit: Value,
}

/// What an edit would make of the records.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct EditPreview {
    /// How many are found.
    records: i64,
    /// How many of them change.
    changing: i64,
    /// How many would not be valid then: they can be saved as drafts, but not committed.
    invalid: i64,
    /// The forecast cost of those that change, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    cost_before: Option<Value>,
    /// What it would be.
    #[schema(value_type = Option<f64>)]
    cost_after: Option<Value>,
    digest: String,
    /// The first 100 that change: `pfaId`, the fields `before` and `after`, and `errors`.
    #[serde(serialize_with = "camel_keys")]
    #[schema(value_type = Vec<Object>)]
    sample: Value,
}

/// What an edit would make of all records that a search finds
#[utoipa::path(post, operation_id = "previewEdit", path = "/api/pfa-data/edits/preview", tag = "edits", request_body = EditPreviewRequest, responses((status = OK, body = EditPreview)))]
pub(super) async fn preview(caller: Caller, Body(wanted): Body<EditPreviewRequest>) -> Result<Json<EditPreview>, Problem> {
    let query = "select * from pfa_sync.preview_edit($1, $2, $3, $4)";
    let EditPreviewRequest { organization_id, filter, search, edit } = wanted;
    Ok(Json(caller.row(query, &[&organization_id, &edit, &filter, &search]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EditRequest {
    /// By id or code.
    organization_id: String,
    /// As of a search.
    #[serde(default = "no_filter")]
    #[schema(value_type = Object)]
    filter: Value,
    search: Option<String>,
    #[schema(value_type = RecordEdit)]
    edit: Value,
    /// Digest of the preview. The request is refused if the edit would now make something else of the records.
    digest: String,
    /// Becomes the reason of each draft.
    reason: Option<String>,
}

/// The job that saves the drafts, and how far it has come.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct EditResult {
    job_id: Id,
    done: i64,
    /// Records of which the edit would make something else by then.
    skipped: i64,
    failed: i64,
    /// Records that a relay is still to edit.
    waiting: i64,
}

/// Save an edit of all records that a search finds as drafts, as previewed
#[utoipa::path(
    post, operation_id = "editRecords", path = "/api/pfa-data/edits", tag = "edits", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = EditRequest, responses((status = OK, body = EditResult))
)]
pub(super) async fn start(caller: Caller, request: Idempotent<EditRequest>) -> Result<Json<EditResult>, Problem> {
    let query = "select * from pfa_sync.edit_records($1, $2, $3, $4, $5, null, $6)";
    let EditRequest { organization_id, filter, search, edit, digest, reason } = &request.body;
    Ok(Json(caller.row_idempotent(&request, query, &[organization_id, edit, filter, search, digest, reason]).await?))
}

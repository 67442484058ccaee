//! The resolution of many conflicts: previewed, then done.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::conflicts::Resolution;
use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, given, object, word},
        idempotency::Idempotent,
        problem::Problem,
    },
    id::{Id, texts},
};

/// How several conflicts are resolved. A merge is not possible, since it needs values for each conflict.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BulkResolution {
    /// The authors' values are sent.
    UseLocal,
    /// PEMS' values stay; the changes are discarded.
    UsePems,
}

impl BulkResolution {
    fn name(&self) -> &'static str {
        match self {
            Self::UseLocal => Resolution::UseLocal.name(),
            Self::UsePems => Resolution::UsePems.name(),
        }
    }
}

/// Selects the conflicts that match all given keys.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConflictFilter {
    /// By id or code.
    organization_id: Option<String>,
    /// With a conflict in this field.
    field: Option<String>,
    author: Option<String>,
    /// An interval, such as `2 days`.
    older_than: Option<String>,
    #[serde(deserialize_with = "texts")]
    conflict_ids: Option<Vec<Id>>,
}

impl ConflictFilter {
    /// The filter as the functions of the database expect it.
    fn json(&self) -> Value {
        given(json!({
            "organization": self.organization_id, "field": self.field, "author": self.author,
            "older_than": self.older_than, "conflicts": self.conflict_ids
        }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BulkResolutionPreviewRequest {
    #[serde(default, deserialize_with = "object")]
    filter: ConflictFilter,
    #[serde(deserialize_with = "word")]
    resolution: BulkResolution,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct BulkResolutionPreview {
    conflicts: i64,
    records: i64,
    /// Number of conflicts whose resolution would send a change to PEMS.
    sends: i64,
    /// Number of conflicts that can't be resolved in this way, and would stay open.
    refused: i64,
    /// Number of conflicts by field.
    #[schema(value_type = Object)]
    by_field: Value,
    digest: String,
}

/// What a bulk resolution would do
#[utoipa::path(post, operation_id = "previewResolution", path = "/api/pems/conflicts/preview", tag = "conflicts", request_body = BulkResolutionPreviewRequest, responses((status = OK, body = BulkResolutionPreview)))]
pub(super) async fn preview(
    caller: Caller,
    Body(bulk): Body<BulkResolutionPreviewRequest>,
) -> Result<Json<BulkResolutionPreview>, Problem> {
    let query = "select * from pfa_sync.preview_resolution($1, $2)";
    Ok(Json(caller.row(query, &[&bulk.filter.json(), &bulk.resolution.name()]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BulkResolutionRequest {
    #[serde(default, deserialize_with = "object")]
    filter: ConflictFilter,
    #[serde(deserialize_with = "word")]
    resolution: BulkResolution,
    /// Digest of the preview. The request is refused if the selected conflicts have changed since.
    digest: String,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct BulkResolutionResult {
    resolved: i64,
    queued: i64,
    refused: i64,
    /// Number of conflicts that a relay is still to resolve.
    waiting: i64,
    /// The jobs, one for each organization.
    job_ids: Vec<Id>,
}

/// Resolve conflicts in bulk, as previewed
#[utoipa::path(
    post, operation_id = "resolveConflicts", path = "/api/pems/conflicts/resolve", tag = "conflicts", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = BulkResolutionRequest, responses((status = OK, body = BulkResolutionResult))
)]
pub(super) async fn resolve_all(
    caller: Caller,
    request: Idempotent<BulkResolutionRequest>,
) -> Result<Json<BulkResolutionResult>, Problem> {
    let query = "select * from pfa_sync.resolve_conflicts($1, $2, null, $3)";
    let BulkResolutionRequest { filter, resolution, digest } = &request.body;
    Ok(Json(caller.row_idempotent(&request, query, &[&filter.json(), &resolution.name(), digest]).await?))
}

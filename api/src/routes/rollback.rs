//! Rollback: what undoing a job would do, record by record, and doing it; and a record set back to a version.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::Parameters,
        idempotency::Idempotent,
        page::{next, page_limit},
        problem::Problem,
    },
    id::{Id, text},
};

/// Which part of a job is meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Part {
    /// Only the changes that this batch sent.
    batch_id: Option<Id>,
}

/// What a rollback would do.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RollbackPreview {
    records: i64,
    /// Records whose values would be set back in PEMS.
    restores: i64,
    /// Records whose queued changes would go back to the drafts of their authors.
    withdraws: i64,
    /// Records that would be left, since something stands against it.
    blocked: i64,
    /// Number of blocked records by reason.
    #[schema(value_type = Object)]
    by_reason: Value,
    digest: String,
    /// By how much the forecast cost of the records would change, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    cost_change: Option<Value>,
}

/// What a rollback of a job would do
#[utoipa::path(
    get, operation_id = "previewRollback", path = "/api/pems/jobs/{jobId}/rollback", tag = "rollback", params(("jobId" = Id, Path), Part),
    responses((status = OK, body = RollbackPreview))
)]
pub(super) async fn preview(
    caller: Caller,
    Path(job): Path<Id>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<RollbackPreview>, Problem> {
    Ok(Json(caller.row("select * from pfa_sync.rollback_preview($1, $2)", &[&job, &part.batch_id]).await?))
}

/// What a rollback would do to a record.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RollbackRecord {
    pfa_id: String,
    /// `restore`, `withdraw` or `blocked`.
    action: String,
    /// The fields as they are now.
    #[schema(value_type = Option<Object>)]
    current: Option<Value>,
    /// The fields as they would be.
    #[schema(value_type = Option<Object>)]
    restored: Option<Value>,
    /// Why it is blocked: a code of `causes`.
    cause: Option<String>,
    detail: Option<String>,
    /// When what blocks it was written, where that is known.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Who wrote it.
    changed_by: Option<String>,
    changed_by_name: Option<String>,
    /// Modifications that would be drafts again.
    withdrawn: Vec<String>,
    /// The forecast cost of a record that is restored, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    current_cost: Option<Value>,
    /// Its cost as it would be.
    #[schema(value_type = Option<f64>)]
    restored_cost: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RollbackRecordPage {
    records: Vec<RollbackRecord>,
    /// `after` of the next page; null: this is the last page.
    next: Option<String>,
}

/// Which records of a rollback are requested.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedRecords {
    /// Only the changes that this batch sent.
    batch_id: Option<Id>,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// What a rollback of a job would do, record by record
#[utoipa::path(
    get, operation_id = "listRollbackRecords", path = "/api/pems/jobs/{jobId}/rollback/records", tag = "rollback",
    params(("jobId" = Id, Path), WantedRecords), responses((status = OK, body = RollbackRecordPage))
)]
pub(super) async fn records(
    caller: Caller,
    Path(job): Path<Id>,
    Parameters(wanted): Parameters<WantedRecords>,
) -> Result<Json<RollbackRecordPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let query = "select * from pfa_sync.rollback_records($1, $2, $3, $4::bigint::int)";
    let records: Vec<RollbackRecord> = caller.rows(query, &[&job, &wanted.batch_id, &wanted.after, &limit]).await?;
    Ok(Json(RollbackRecordPage { next: next(&records, limit, |record| record.pfa_id.clone()), records }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RollbackRequest {
    /// Only the changes that this batch sent.
    #[serde(default, deserialize_with = "text")]
    batch_id: Option<Id>,
    /// At least 10 characters.
    #[schema(min_length = 10, pattern = r"\S.{8,}\S")]
    reason: String,
    /// Digest of the preview. The request is refused if the records have changed since.
    digest: String,
}

/// What a rollback does.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RollbackResult {
    /// The new job, which can be rolled back itself.
    job_id: Id,
    /// Records whose values are set back.
    queued: i64,
    /// Records whose changes went back to drafts.
    withdrawn: i64,
    /// Records that are left; the items of the job name them.
    blocked: i64,
    /// Records that a relay is still to do.
    waiting: i64,
}

/// Roll a job back, as previewed
#[utoipa::path(
    post, operation_id = "rollBack", path = "/api/pems/jobs/{jobId}/rollback", tag = "rollback",
    params(("jobId" = Id, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RollbackRequest, responses((status = OK, body = RollbackResult))
)]
pub(super) async fn roll_back(
    caller: Caller,
    Path(job): Path<Id>,
    request: Idempotent<RollbackRequest>,
) -> Result<Json<RollbackResult>, Problem> {
    let query =
        "select rollback_job_id as job_id, queued, withdrawn, blocked, waiting from pfa_sync.rollback($1, null, $2, $3, $4)";
    let RollbackRequest { batch_id, reason, digest } = &request.body;
    Ok(Json(caller.row_idempotent(&request, query, &[&job, reason, digest, batch_id]).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scope {
    /// By id or code.
    organization_id: String,
}

/// What restoring a record would do.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RestorePreview {
    /// `restore` or `blocked`.
    action: String,
    /// The fields as they are now.
    #[schema(value_type = Option<Object>)]
    current: Option<Value>,
    /// The fields as they would be.
    #[schema(value_type = Option<Object>)]
    restored: Option<Value>,
    /// Why it is blocked: a code of `causes`.
    cause: Option<String>,
    detail: Option<String>,
    digest: String,
}

/// What setting a record back to a version would do
#[utoipa::path(
    get, operation_id = "previewRestore", path = "/api/pems/records/{pfaId}/versions/{version}/restore", tag = "rollback",
    params(("pfaId" = String, Path), ("version" = i32, Path), Scope), responses((status = OK, body = RestorePreview))
)]
pub(super) async fn preview_restore(
    caller: Caller,
    Path((pfa_id, version)): Path<(String, i32)>,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<RestorePreview>, Problem> {
    let query = "select * from pfa_sync.restore_preview($1, $2, $3)";
    Ok(Json(caller.row(query, &[&scope.organization_id, &pfa_id, &version]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RestoreRequest {
    /// By id or code.
    organization_id: String,
    /// At least 10 characters.
    #[schema(min_length = 10, pattern = r"\S.{8,}\S")]
    reason: String,
    /// Digest of the preview. The request is refused if the record has changed since; absent: not checked.
    digest: Option<String>,
}

/// A record that is set back.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RestoreResult {
    job_id: Id,
    modification_id: String,
    /// What will be sent to PEMS.
    #[schema(value_type = Object)]
    sends: Value,
}

/// Set a record back to a version
#[utoipa::path(
    post, operation_id = "restoreVersion", path = "/api/pems/records/{pfaId}/versions/{version}/restore", tag = "rollback",
    params(("pfaId" = String, Path), ("version" = i32, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RestoreRequest, responses((status = OK, body = RestoreResult))
)]
pub(super) async fn restore(
    caller: Caller,
    Path((pfa_id, version)): Path<(String, i32)>,
    request: Idempotent<RestoreRequest>,
) -> Result<Json<RestoreResult>, Problem> {
    let query = "select * from pfa_sync.restore_version($1, $2, $3, null, $4, $5)";
    let RestoreRequest { organization_id, reason, digest } = &request.body;
    Ok(Json(caller.row_idempotent(&request, query, &[organization_id, &pfa_id, &version, reason, digest]).await?))
}

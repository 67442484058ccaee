//! Bulk jobs: their items, and how they are stopped, continued and undone.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        idempotency::Idempotent,
        page::{next, page_limit},
        problem::Problem,
    },
    id::Id,
};

/// An item of a job, and what became of it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct JobItem {
    item: i32,
    pfa_id: String,
    /// Of a resolution, the conflict; of a requeue or discard, the dead letter's queue id.
    target: Option<Id>,
    /// The modification that is decided about, or that a rollback made.
    modification_id: Option<String>,
    /// `waiting`, `done`, `skipped` or `failed`.
    outcome: String,
    /// Why it was skipped or failed: a code of `causes`.
    cause: Option<String>,
    /// What the code means.
    meaning: Option<String>,
    detail: Option<String>,
    slice: Option<i32>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct JobItemPage {
    items: Vec<JobItem>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
}

/// Which items of a job are requested.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedItems {
    /// Only items with this outcome: `waiting`, `done`, `skipped` or `failed`.
    outcome: Option<String>,
    /// The `next` of the previous page.
    #[serde(default)]
    after: Id,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// The items of a job
#[utoipa::path(
    get, operation_id = "listJobItems", path = "/api/pems/jobs/{jobId}/items", tag = "jobs", params(("jobId" = Id, Path), WantedItems),
    responses((status = OK, body = JobItemPage))
)]
pub(super) async fn items(
    caller: Caller,
    Path(job): Path<Id>,
    Parameters(wanted): Parameters<WantedItems>,
) -> Result<Json<JobItemPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let query = "select * from pfa_sync.bulk_items \
                  where job_id = $1 and item > $2::bigint and ($3::text is null or outcome = $3) order by item limit $4";
    let items: Vec<JobItem> = caller.rows(query, &[&job, &wanted.after, &wanted.outcome, &limit]).await?;
    Ok(Json(JobItemPage { next: next(&items, limit, |item| Id(item.item.into())), items }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StopRequest {
    reason: Option<String>,
}

/// Where a job stands.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct JobState {
    /// `running`, `stopped` or `finished`.
    state: String,
}

/// Stop a bulk job after its present slice; what is queued already goes on to PEMS
#[utoipa::path(
    post, operation_id = "stopJob", path = "/api/pems/jobs/{jobId}/stop", tag = "jobs", params(("jobId" = Id, Path)),
    request_body = StopRequest, responses((status = OK, body = JobState))
)]
pub(super) async fn stop(caller: Caller, Path(job): Path<Id>, Body(stop): Body<StopRequest>) -> Result<Json<JobState>, Problem> {
    Ok(Json(caller.row("select pfa_sync.stop_job($1, $2) as state", &[&job, &stop.reason]).await?))
}

/// Continue a stopped bulk job
#[utoipa::path(
    post, operation_id = "continueJob", path = "/api/pems/jobs/{jobId}/continue", tag = "jobs", params(("jobId" = Id, Path)),
    responses((status = OK, body = JobState))
)]
pub(super) async fn continue_job(caller: Caller, Path(job): Path<Id>) -> Result<Json<JobState>, Problem> {
    Ok(Json(caller.row("select pfa_sync.continue_job($1) as state", &[&job]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UndoRequest {
    #[schema(pattern = r"\S")]
    reason: String,
}

/// What an undo did.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct UndoResult {
    /// The new job.
    job_id: Id,
    undone: i64,
    /// Items that were left, such as those whose change was sent.
    left_as_is: i64,
    /// Items that a relay is still to undo.
    waiting: i64,
}

/// Undo resolutions that were not sent yet, or a discard
#[utoipa::path(
    post, operation_id = "undoJob", path = "/api/pems/jobs/{jobId}/undo", tag = "jobs",
    params(("jobId" = Id, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = UndoRequest, responses((status = OK, body = UndoResult))
)]
pub(super) async fn undo(
    caller: Caller,
    Path(job): Path<Id>,
    request: Idempotent<UndoRequest>,
) -> Result<Json<UndoResult>, Problem> {
    let query = "select undo_job_id as job_id, undone, left_as_is, waiting from pfa_sync.undo_job($1, $2)";
    Ok(Json(caller.row_idempotent(&request, query, &[&job, &request.body.reason]).await?))
}

//! Jobs that users started, their changes, and the attempts of each change with PEMS' answers.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::listing::{SortOrder, list as list_view};
use crate::{
    auth::caller::Caller,
    http::{body::Parameters, page::Page, problem::Problem},
};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Job {
    job_id: i64,
    /// `commit`, `sweep`, `write_sync`, `resolution`, `requeue` or `rollback`.
    kind: String,
    organization_id: String,
    user_id: String,
    records: i32,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct JobPage {
    jobs: Vec<Job>,
    /// `after` of the next page; null: this is the last page.
    next: Option<i64>,
}

/// Jobs, newest first
#[utoipa::path(get, operation_id = "listJobs", path = "/api/pems/jobs", tag = "jobs", params(Page), responses((status = OK, body = JobPage)))]
pub(super) async fn list(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<JobPage>, Problem> {
    let (jobs, next) =
        list_view(&caller, &page, "pfa_sync.jobs", "job_id", SortOrder::NewestFirst, |job: &Job| job.job_id).await?;
    Ok(Json(JobPage { jobs, next }))
}

/// A job, and the number of its changes in each status. A write-sync raises the priority of other jobs' changes; it owns none.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct JobProgress {
    job_id: i64,
    kind: String,
    organization_id: String,
    user_id: String,
    records: i32,
    #[schema(format = DateTime)]
    created_at: String,
    pending: i64,
    processing: i64,
    completed: i64,
    conflict: i64,
    failed: i64,
    withdrawn: i64,
}

/// A job and its progress
#[utoipa::path(
    get, operation_id = "getJob", path = "/api/pems/jobs/{jobId}", tag = "jobs", params(("jobId" = i64, Path)),
    responses((status = OK, body = JobProgress))
)]
pub(super) async fn get(caller: Caller, Path(job): Path<i64>) -> Result<Json<JobProgress>, Problem> {
    let query = "select j.*, p.* from pfa_sync.jobs j, pfa_sync.progress(j.job_id) p where j.job_id = $1";
    Ok(Json(caller.row(query, &[&job]).await?))
}

/// A queued change, and how it ended if it has.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct QueuedChange {
    queue_id: i64,
    organization_id: String,
    job_id: i64,
    batch_id: Option<i64>,
    pfa_id: String,
    modification_id: String,
    author: String,
    /// `UPDATE` or `DELETE`.
    operation: String,
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    /// `pending`, `processing`, `completed`, `conflict`, `failed` or `withdrawn`.
    status: String,
    retry_count: i32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    last_error: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct QueuedChangePage {
    changes: Vec<QueuedChange>,
    /// `after` of the next page; null: this is the last page.
    next: Option<i64>,
}

/// The changes of a job
#[utoipa::path(
    get, operation_id = "listJobChanges", path = "/api/pems/jobs/{jobId}/changes", tag = "jobs", params(("jobId" = i64, Path), Page),
    responses((status = OK, body = QueuedChangePage))
)]
pub(super) async fn changes(
    caller: Caller,
    Path(job): Path<i64>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<QueuedChangePage>, Problem> {
    let query = "select * from pfa_sync.changes where job_id = $1 and queue_id > $2 order by queue_id limit $3";
    let changes: Vec<QueuedChange> = caller.rows(query, &[&job, &page.after, &page.limit()?]).await?;
    Ok(Json(QueuedChangePage { next: page.next(&changes, |change| change.queue_id), changes }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Attempt {
    attempt: i64,
    #[schema(format = DateTime)]
    asked_at: String,
    /// The request to PEMS.
    request: Option<Value>,
    /// Null: the request is in flight, or its outcome is unknown.
    #[schema(format = DateTime)]
    answered_at: Option<String>,
    /// What PEMS answered, for users who may see prices.
    response: Option<Value>,
    success: Option<bool>,
    error_message: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AttemptList {
    attempts: Vec<Attempt>,
}

/// Every attempt of a change, with PEMS' answers
#[utoipa::path(
    get, operation_id = "listAttempts", path = "/api/pems/changes/{queueId}/attempts", tag = "jobs", params(("queueId" = i64, Path)),
    responses((status = OK, body = AttemptList))
)]
pub(super) async fn attempts(caller: Caller, Path(change): Path<i64>) -> Result<Json<AttemptList>, Problem> {
    caller.row::<serde::de::IgnoredAny>("select queue_id from pfa_sync.changes where queue_id = $1", &[&change]).await?;
    Ok(Json(AttemptList { attempts: caller.rows("select * from pfa_sync.attempts($1)", &[&change]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Batch {
    batch_id: i64,
    organization_id: String,
    relay: String,
    /// `send`, or `read` if the records were read first.
    step: String,
    records: i32,
    #[schema(format = DateTime)]
    claimed_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BatchPage {
    batches: Vec<Batch>,
    /// `after` of the next page; null: this is the last page.
    next: Option<i64>,
}

/// Batches of the relays, newest first
#[utoipa::path(get, operation_id = "listBatches", path = "/api/pems/batches", tag = "jobs", params(Page), responses((status = OK, body = BatchPage)))]
pub(super) async fn batches(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<BatchPage>, Problem> {
    let (batches, next) =
        list_view(&caller, &page, "pfa_sync.batches", "batch_id", SortOrder::NewestFirst, |batch: &Batch| batch.batch_id).await?;
    Ok(Json(BatchPage { batches, next }))
}

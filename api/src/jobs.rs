//! What users started, and every change of it with its tries and PEMS' answers.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    problem::Problem,
    request::{Order, Page, Parameters},
    session::Caller,
};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
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
pub(crate) struct Jobs {
    jobs: Vec<Job>,
    /// `after` of the next page; null = this was the last.
    next: Option<i64>,
}

/// Jobs, newest first
#[utoipa::path(get, operation_id = "listJobs", path = "/api/pems/jobs", tag = "jobs", params(Page), responses((status = OK, body = Jobs)))]
pub(crate) async fn list(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<Jobs>, Problem> {
    let (jobs, next) = page.of(&caller, "pfa_sync.jobs", "job_id", Order::NewestFirst, |job: &Job| job.job_id).await?;
    Ok(Json(Jobs { jobs, next }))
}

/// A job and how many of its changes stand where. A write-sync hastens changes of other jobs and has none of its own.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
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
    responses((status = OK, body = Progress))
)]
pub(crate) async fn get(caller: Caller, Path(job): Path<i64>) -> Result<Json<Progress>, Problem> {
    let query = "select j.*, p.* from pfa_sync.jobs j, pfa_sync.progress(j.job_id) p where j.job_id = $1";
    Ok(Json(caller.row(query, &[&job]).await?))
}

/// A change that was queued, and how it ended if it has.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueuedChange {
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
pub(crate) struct QueuedChanges {
    changes: Vec<QueuedChange>,
    /// `after` of the next page; null = this was the last.
    next: Option<i64>,
}

/// The changes of a job
#[utoipa::path(
    get, operation_id = "listJobChanges", path = "/api/pems/jobs/{jobId}/changes", tag = "jobs", params(("jobId" = i64, Path), Page),
    responses((status = OK, body = QueuedChanges))
)]
pub(crate) async fn changes(
    caller: Caller,
    Path(job): Path<i64>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<QueuedChanges>, Problem> {
    let query = "select * from pfa_sync.changes where job_id = $1 and queue_id > $2 order by queue_id limit $3";
    let changes: Vec<QueuedChange> = caller.rows(query, &[&job, &page.after, &page.limit()?]).await?;
    Ok(Json(QueuedChanges { next: page.next(&changes, |change| change.queue_id), changes }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    attempt: i64,
    #[schema(format = DateTime)]
    asked_at: String,
    /// What was asked of PEMS.
    request: Option<Value>,
    /// Null = it is under way, or nobody knows.
    #[schema(format = DateTime)]
    answered_at: Option<String>,
    /// What PEMS answered, for whoever may see prices.
    response: Option<Value>,
    success: Option<bool>,
    error_message: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Attempts {
    attempts: Vec<Attempt>,
}

/// Every try of a change, and PEMS' answers
#[utoipa::path(
    get, operation_id = "listAttempts", path = "/api/pems/changes/{queueId}/attempts", tag = "jobs", params(("queueId" = i64, Path)),
    responses((status = OK, body = Attempts))
)]
pub(crate) async fn attempts(caller: Caller, Path(change): Path<i64>) -> Result<Json<Attempts>, Problem> {
    caller.row::<serde::de::IgnoredAny>("select queue_id from pfa_sync.changes where queue_id = $1", &[&change]).await?;
    Ok(Json(Attempts { attempts: caller.rows("select * from pfa_sync.attempts($1)", &[&change]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    batch_id: i64,
    organization_id: String,
    relay: String,
    /// `send`, or `read` where PEMS was asked first.
    step: String,
    records: i32,
    #[schema(format = DateTime)]
    claimed_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Batches {
    batches: Vec<Batch>,
    /// `after` of the next page; null = this was the last.
    next: Option<i64>,
}

/// What the relays pushed together, newest first
#[utoipa::path(get, operation_id = "listBatches", path = "/api/pems/batches", tag = "jobs", params(Page), responses((status = OK, body = Batches)))]
pub(crate) async fn batches(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<Batches>, Problem> {
    let (batches, next) =
        page.of(&caller, "pfa_sync.batches", "batch_id", Order::NewestFirst, |batch: &Batch| batch.batch_id).await?;
    Ok(Json(Batches { batches, next }))
}

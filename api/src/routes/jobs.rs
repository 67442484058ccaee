//! Jobs that users started, their changes, and the attempts of each change with PEMS' answers.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::listing::several;
use crate::{
    auth::caller::Caller,
    http::{
        body::{Parameters, given},
        page::{MAX_LIMIT, Page, next, page_limit},
        problem::Problem,
    },
    id::Id,
};

/// A job that a user started.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Job {
    job_id: Id,
    /// `commit`, `sweep`, `write_sync`, `resolution`, `requeue`, `discard`, `withdraw`, `rollback`, `undo` or `edit`.
    kind: String,
    organization_id: String,
    user_id: String,
    user_name: String,
    /// Changes or items that it began with.
    records: i32,
    #[schema(format = DateTime)]
    created_at: String,
    reason: Option<String>,
    /// The job that it rolls back or undoes.
    origin_job_id: Option<Id>,
    origin_batch_id: Option<Id>,
    /// `running`, `stopped` or `finished`.
    state: String,
    /// What may reverse it: `undo` as long as its changes were not sent, `rollback`.
    inverses: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct JobPage {
    jobs: Vec<Job>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
}

/// Which jobs are requested. Every key that is given has to match.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedJobs {
    /// Only this organization, by id or code.
    pub(super) organization_id: Option<String>,
    /// Only these kinds, separated by commas.
    pub(super) kind: Option<String>,
    /// Only those that this user started.
    pub(super) user_id: Option<String>,
    /// `running`, `stopped` or `finished`.
    pub(super) state: Option<String>,
    /// Only jobs with a change of this record.
    pub(super) pfa_id: Option<String>,
    #[param(format = DateTime)]
    pub(super) start_date: Option<String>,
    #[param(format = DateTime)]
    pub(super) end_date: Option<String>,
    /// The `next` of the previous page.
    pub(super) after: Option<Id>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<i64>,
}

/// Jobs, newest first
#[utoipa::path(get, operation_id = "listJobs", path = "/api/pems/jobs", tag = "jobs", params(WantedJobs), responses((status = OK, body = JobPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<WantedJobs>) -> Result<Json<JobPage>, Problem> {
    let (jobs, next) = page(&caller, &wanted).await?;
    Ok(Json(JobPage { jobs, next }))
}

/// Rows of a page of an export.
pub(super) const EXPORT_PAGE: i64 = MAX_LIMIT;

/// A page of jobs, and the cursor of the next one.
pub(super) async fn page(caller: &Caller, wanted: &WantedJobs) -> Result<(Vec<Job>, Option<Id>), Problem> {
    let limit = page_limit(wanted.limit)?;
    let filter = given(json!({
        "kinds": several(wanted.kind.as_deref()), "user_id": wanted.user_id, "state": wanted.state, "pfa_id": wanted.pfa_id,
        "since": wanted.start_date, "until": wanted.end_date
    }));
    let query = "select * from pfa_sync.find_jobs($1, $2, nullif($3::bigint, 0), $4::bigint::int)";
    let after = wanted.after.unwrap_or_default();
    let jobs: Vec<Job> = caller.rows(query, &[&wanted.organization_id, &filter, &after, &limit]).await?;
    let next = next(&jobs, limit, |job| job.job_id);
    Ok((jobs, next))
}

/// A job, and the number of its changes in each status. A write-sync raises the priority of other jobs' changes; it owns none.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct JobProgress {
    #[serde(flatten)]
    job: Job,
    pending: i64,
    processing: i64,
    completed: i64,
    conflict: i64,
    failed: i64,
    withdrawn: i64,
    /// How far it has come with its items, of a job that has some.
    items: Option<ItemProgress>,
}

/// What became of the items of a bulk job.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ItemProgress {
    waiting: i64,
    done: i64,
    skipped: i64,
    failed: i64,
    slices: i32,
    /// Sizes of the first slices of a staged resend.
    stages: Vec<i32>,
    /// Percent of failed changes from which a staged resend stops.
    stop_at: f64,
    /// Who stopped or continued it last.
    changed_by: Option<String>,
    /// Why it was stopped.
    note: Option<String>,
}

/// A job and its progress
#[utoipa::path(
    get, operation_id = "getJob", path = "/api/pems/jobs/{jobId}", tag = "jobs", params(("jobId" = Id, Path)),
    responses((status = OK, body = JobProgress))
)]
pub(super) async fn get(caller: Caller, Path(job): Path<Id>) -> Result<Json<JobProgress>, Problem> {
    let query = "select j.*, p.*, (select to_jsonb(b) from pfa_sync.bulk_jobs b where b.job_id = j.job_id) as items \
                   from pfa_sync.jobs j, pfa_sync.progress(j.job_id) p where j.job_id = $1";
    Ok(Json(caller.row(query, &[&job]).await?))
}

/// A queued change, and how it ended if it has.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct QueuedChange {
    queue_id: Id,
    organization_id: String,
    job_id: Id,
    batch_id: Option<Id>,
    pfa_id: String,
    modification_id: String,
    author: String,
    author_name: String,
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
    next: Option<Id>,
}

/// The changes of a job
#[utoipa::path(
    get, operation_id = "listJobChanges", path = "/api/pems/jobs/{jobId}/changes", tag = "jobs", params(("jobId" = Id, Path), Page),
    responses((status = OK, body = QueuedChangePage))
)]
pub(super) async fn changes(
    caller: Caller,
    Path(job): Path<Id>,
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
    get, operation_id = "listAttempts", path = "/api/pems/changes/{queueId}/attempts", tag = "jobs", params(("queueId" = Id, Path)),
    responses((status = OK, body = AttemptList))
)]
pub(super) async fn attempts(caller: Caller, Path(change): Path<Id>) -> Result<Json<AttemptList>, Problem> {
    caller.row::<serde::de::IgnoredAny>("select queue_id from pfa_sync.changes where queue_id = $1", &[&change]).await?;
    Ok(Json(AttemptList { attempts: caller.rows("select * from pfa_sync.attempts($1)", &[&change]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Batch {
    batch_id: Id,
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
    next: Option<Id>,
}

/// Which batches are requested. Every key that is given has to match.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedBatches {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    relay: Option<String>,
    /// `send` or `read`.
    step: Option<String>,
    /// Only batches with a change of this job.
    job_id: Option<Id>,
    /// Only batches with a change of this record.
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
    /// The `next` of the previous page.
    after: Option<Id>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Batches of the relays, newest first
#[utoipa::path(get, operation_id = "listBatches", path = "/api/pems/batches", tag = "jobs", params(WantedBatches), responses((status = OK, body = BatchPage)))]
pub(super) async fn batches(caller: Caller, Parameters(wanted): Parameters<WantedBatches>) -> Result<Json<BatchPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let filter = given(json!({
        "relay": wanted.relay, "step": wanted.step, "job_id": wanted.job_id, "pfa_id": wanted.pfa_id,
        "since": wanted.start_date, "until": wanted.end_date
    }));
    let query = "select * from pfa_sync.find_batches($1, $2, nullif($3::bigint, 0), $4::bigint::int)";
    let after = wanted.after.unwrap_or_default();
    let batches: Vec<Batch> = caller.rows(query, &[&wanted.organization_id, &filter, &after, &limit]).await?;
    Ok(Json(BatchPage { next: next(&batches, limit, |batch| batch.batch_id), batches }))
}

//! Where synchronisation stands, by organization and by record, and how it is hastened.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    once::Once,
    problem::Problem,
    request::{Parameters, word},
    session::Caller,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Period {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    /// Only organizations of this health.
    status: Option<String>,
    /// Ended work counts from then; the last day by default.
    #[param(format = DateTime)]
    start_date: Option<String>,
    /// Ended work counts up to then.
    #[param(format = DateTime)]
    end_date: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    organization_id: String,
    organization_code: Option<String>,
    total_queued: i64,
    processing: i64,
    completed: i64,
    failed: i64,
    conflicts: i64,
    /// Seconds from commit to confirmation, on average.
    #[schema(value_type = Option<f64>)]
    avg_sync_time: Option<Value>,
    #[schema(format = DateTime)]
    last_sync_at: Option<String>,
    #[schema(format = DateTime)]
    next_sync_at: Option<String>,
    /// `paused`, `held` (PEMS refused the credentials), `pems_down`, `failing` (dead letters in that time),
    /// `waiting_for_resolution` (open conflicts) or `ok`. A long queue is not sick: it drains at PEMS' pace.
    health: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Statuses {
    organizations: Vec<Status>,
}

/// Where each organization stands
#[utoipa::path(get, operation_id = "getSyncStatus", path = "/api/pems/sync-status", tag = "sync", params(Period), responses((status = OK, body = Statuses)))]
pub(crate) async fn status(caller: Caller, Parameters(period): Parameters<Period>) -> Result<Json<Statuses>, Problem> {
    let query = "select organization_id, code as organization_code, queued as total_queued, processing, completed, failed, conflicts, \
                        avg_sync_seconds as avg_sync_time, last_sync_at, next_sync_at, health \
                   from pfa_sync.status($1, $2, $3::text::timestamptz, $4::text::timestamptz)";
    let Period { organization_id, status, start_date, end_date } = period;
    Ok(Json(Statuses { organizations: caller.rows(query, &[&organization_id, &status, &start_date, &end_date]).await? }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scope {
    /// By id or code.
    organization_id: String,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    #[schema(format = DateTime)]
    at: String,
    event_type: String,
    user_id: Option<String>,
    modification_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    success: Option<bool>,
    error_message: Option<String>,
    /// What PEMS answered, for whoever may see prices.
    pems_response: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Timeline {
    events: Vec<Event>,
}

/// Everything that happened to a record, oldest first
#[utoipa::path(
    get, operation_id = "getTimeline", path = "/api/pems/records/{pfaId}/timeline", tag = "sync", params(("pfaId" = String, Path), Scope),
    responses((status = OK, body = Timeline))
)]
pub(crate) async fn timeline(
    caller: Caller,
    Path(pfa_id): Path<String>,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<Timeline>, Problem> {
    let query = "select * from pfa_sync.timeline($1, $2)";
    Ok(Json(Timeline { events: caller.rows(query, &[&scope.organization_id, &pfa_id]).await? }))
}

/// Which of its turns a change waits for.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WriteSync {
    /// By id or code.
    organization_id: String,
    /// Absent = all committed changes of the organization.
    modification_ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "word")]
    priority: Priority,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteSyncStarted {
    success: bool,
    job_id: i64,
    queued_count: i64,
    /// When about all of it will be in PEMS, at its pace and with those that take turns.
    #[schema(format = DateTime)]
    estimated_completion_time: String,
}

/// Send committed changes to PEMS, these first
#[utoipa::path(
    post, operation_id = "writeSync", path = "/api/pems/write-sync", tag = "sync", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = WriteSync, responses((status = OK, body = WriteSyncStarted))
)]
pub(crate) async fn write_sync(caller: Caller, once: Once<WriteSync>) -> Result<Json<WriteSyncStarted>, Problem> {
    let query = "select true as success, job_id, queued as queued_count, clock_timestamp() + estimate as estimated_completion_time \
                   from pfa_sync.write_sync($1, $2, $3)";
    let WriteSync { organization_id, modification_ids, priority } = &once.body;
    let priority = match priority {
        Priority::High => 10,
        Priority::Normal => 0,
        Priority::Low => -10,
    };
    Ok(Json(caller.row_once(&once, query, &[organization_id, modification_ids, &priority]).await?))
}

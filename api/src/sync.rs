//! Where synchronisation stands: by organization, by record, and what failed.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    problem::Problem,
    request::{Page, Parameters},
    session::Caller,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Period {
    organization_id: Option<String>,
    status: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Status {
    organization_id: String,
    #[serde(rename(serialize = "organizationCode"))]
    code: Option<String>,
    #[serde(rename(serialize = "totalQueued"))]
    queued: i64,
    processing: i64,
    completed: i64,
    failed: i64,
    conflicts: i64,
    /// Seconds.
    #[serde(rename(serialize = "avgSyncTime"))]
    avg_sync_seconds: Option<Value>,
    last_sync_at: Option<String>,
    next_sync_at: Option<String>,
    health: String,
}

#[derive(Serialize)]
pub(crate) struct Statuses {
    organizations: Vec<Status>,
}

/// `GET /api/pems/sync-status`
pub(crate) async fn status(caller: Caller, Parameters(period): Parameters<Period>) -> Result<Json<Statuses>, Problem> {
    let query = "select * from pfa_sync.status($1, $2, $3::text::timestamptz, $4::text::timestamptz)";
    let Period { organization_id, status, start_date, end_date } = period;
    Ok(Json(Statuses { organizations: caller.rows(query, &[&organization_id, &status, &start_date, &end_date]).await? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scope {
    organization_id: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Event {
    at: String,
    event_type: String,
    user_id: Option<String>,
    modification_id: Option<String>,
    changes: Option<Value>,
    success: Option<bool>,
    error_message: Option<String>,
    pems_response: Option<Value>,
}

#[derive(Serialize)]
pub(crate) struct Timeline {
    events: Vec<Event>,
}

/// `GET /api/pems/records/{pfaId}/timeline`
pub(crate) async fn timeline(
    caller: Caller,
    Path(pfa_id): Path<String>,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<Timeline>, Problem> {
    let query = "select * from pfa_sync.timeline($1, $2)";
    Ok(Json(Timeline { events: caller.rows(query, &[&scope.organization_id, &pfa_id]).await? }))
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct DeadLetter {
    queue_id: i64,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    changes: Option<Value>,
    code: String,
    error: String,
    http_status: Option<i32>,
    pems_response: Option<Value>,
    retry_count: i32,
    failed_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetters {
    dead_letters: Vec<DeadLetter>,
    next: Option<i64>,
}

/// `GET /api/pems/dead-letters`
pub(crate) async fn dead_letters(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<DeadLetters>, Problem> {
    let query = "select * from pfa_sync.dead_letters \
                  where ($1::text is null or organization_id = (select pfa_sync.organization_of($1))) and queue_id > $2 \
                  order by queue_id limit $3";
    let dead_letters: Vec<DeadLetter> = caller.rows(query, &[&page.organization_id, &page.after, &page.limit()?]).await?;
    Ok(Json(DeadLetters { next: page.next(&dead_letters, |letter| letter.queue_id), dead_letters }))
}

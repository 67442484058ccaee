//! What administrators do: stop and start the flow, and change settings.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use crate::{problem::Problem, request::Body, session::Caller};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pause {
    /// By id or code.
    organization_id: String,
    reason: String,
    /// When sending goes on by itself; absent = not before it is resumed.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Stop sending for an organization; edits are still queued
#[utoipa::path(post, operation_id = "pause", path = "/api/pems/pause", tag = "control", request_body = Pause, responses((status = NO_CONTENT)))]
pub(crate) async fn pause(caller: Caller, Body(pause): Body<Pause>) -> Result<StatusCode, Problem> {
    let query = "select pfa_sync.pause($1, $2, $3::text::timestamptz)";
    caller.row::<IgnoredAny>(query, &[&pause.organization_id, &pause.reason, &pause.until]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resume {
    /// By id or code; absent = all.
    organization_id: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resumed {
    organization_id: String,
    /// Changes that had been committed unseen and are queued now.
    queued: i64,
    failed: i64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AllResumed {
    organizations: Vec<Resumed>,
}

/// Let an organization send again, or all of them
#[utoipa::path(post, operation_id = "resume", path = "/api/pems/resume", tag = "control", request_body = Resume, responses((status = OK, body = AllResumed)))]
pub(crate) async fn resume(caller: Caller, Body(resume): Body<Resume>) -> Result<Json<AllResumed>, Problem> {
    let query = "select * from pfa_sync.resume($1)";
    Ok(Json(AllResumed { organizations: caller.rows(query, &[&resume.organization_id]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setting {
    name: String,
    /// Null = the whole fleet.
    organization_id: Option<String>,
    value: String,
    default_value: String,
    description: String,
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Settings {
    settings: Vec<Setting>,
}

/// Settings of the fleet, and of the organizations one sees
#[utoipa::path(get, operation_id = "listSettings", path = "/api/pems/settings", tag = "control", responses((status = OK, body = Settings)))]
pub(crate) async fn settings(caller: Caller) -> Result<Json<Settings>, Problem> {
    Ok(Json(Settings { settings: caller.rows("select * from pfa_sync.settings", &[]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Change {
    /// By id or code; absent = the whole fleet.
    organization_id: Option<String>,
    /// Absent = back to the default.
    value: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct InForce {
    value: String,
}

/// Change a setting
#[utoipa::path(
    put, operation_id = "changeSetting", path = "/api/pems/settings/{name}", tag = "control", params(("name" = String, Path)),
    request_body = Change, responses((status = OK, body = InForce))
)]
pub(crate) async fn set(caller: Caller, Path(name): Path<String>, Body(change): Body<Change>) -> Result<Json<InForce>, Problem> {
    let query = "select pfa_sync.set($1, $2, $3) as value";
    Ok(Json(caller.row(query, &[&name, &change.value, &change.organization_id]).await?))
}

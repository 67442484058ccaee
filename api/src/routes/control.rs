//! For administrators: pausing and resuming organizations, and settings.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        problem::Problem,
    },
};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PauseRequest {
    /// By id or code.
    organization_id: String,
    reason: String,
    /// When sending continues without a resume; absent: only after a resume.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Pause sending for an organization; edits are still queued
#[utoipa::path(post, operation_id = "pause", path = "/api/pems/pause", tag = "control", request_body = PauseRequest, responses((status = NO_CONTENT)))]
pub(super) async fn pause(caller: Caller, Body(pause): Body<PauseRequest>) -> Result<StatusCode, Problem> {
    let query = "select pfa_sync.pause($1, $2, $3::text::timestamptz)";
    caller.row::<IgnoredAny>(query, &[&pause.organization_id, &pause.reason, &pause.until]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DrainRequest {
    /// By id or code; absent: all organizations.
    organization_id: Option<String>,
    reason: String,
}

/// Stop sending and pulling until a resume; edits are still queued, and what is in flight comes to its end
#[utoipa::path(post, operation_id = "drain", path = "/api/pems/drain", tag = "control", request_body = DrainRequest, responses((status = NO_CONTENT)))]
pub(super) async fn drain(caller: Caller, Body(drain): Body<DrainRequest>) -> Result<StatusCode, Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.drain($1, $2)", &[&drain.organization_id, &drain.reason]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Drained {
    /// By id or code; absent: all organizations.
    organization_id: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct DrainState {
    drained: bool,
}

/// Whether nothing is in flight: no request whose outcome is not known, and no pull
#[utoipa::path(get, operation_id = "isDrained", path = "/api/pems/drained", tag = "control", params(Drained), responses((status = OK, body = DrainState)))]
pub(super) async fn is_drained(caller: Caller, Parameters(wanted): Parameters<Drained>) -> Result<Json<DrainState>, Problem> {
    Ok(Json(caller.row("select pfa_sync.is_drained($1) as drained", &[&wanted.organization_id]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResumeRequest {
    /// By id or code; absent: all organizations.
    organization_id: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ResumedOrganization {
    organization_id: String,
    /// Committed changes that wait to be sent. Those that were never queued are queued by the relay, in portions.
    waiting: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ResumeResult {
    organizations: Vec<ResumedOrganization>,
}

/// Resume sending for an organization, or for all of them
#[utoipa::path(post, operation_id = "resume", path = "/api/pems/resume", tag = "control", request_body = ResumeRequest, responses((status = OK, body = ResumeResult)))]
pub(super) async fn resume(caller: Caller, Body(resume): Body<ResumeRequest>) -> Result<Json<ResumeResult>, Problem> {
    let query = "select * from pfa_sync.resume($1)";
    Ok(Json(ResumeResult { organizations: caller.rows(query, &[&resume.organization_id]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Setting {
    name: String,
    /// Null: the whole fleet.
    organization_id: Option<String>,
    value: String,
    default_value: String,
    description: String,
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SettingList {
    settings: Vec<Setting>,
}

/// Settings of the fleet, and of the organizations that the user can see
#[utoipa::path(get, operation_id = "listSettings", path = "/api/pems/settings", tag = "control", responses((status = OK, body = SettingList)))]
pub(super) async fn settings(caller: Caller) -> Result<Json<SettingList>, Problem> {
    Ok(Json(SettingList { settings: caller.rows("select * from pfa_sync.settings", &[]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SettingChange {
    /// By id or code; absent: the whole fleet.
    organization_id: Option<String>,
    /// Absent: reset to the default.
    value: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct EffectiveSetting {
    value: String,
}

/// Change a setting
#[utoipa::path(
    put, operation_id = "changeSetting", path = "/api/pems/settings/{name}", tag = "control", params(("name" = String, Path)),
    request_body = SettingChange, responses((status = OK, body = EffectiveSetting))
)]
pub(super) async fn set(
    caller: Caller,
    Path(name): Path<String>,
    Body(change): Body<SettingChange>,
) -> Result<Json<EffectiveSetting>, Problem> {
    let query = "select pfa_sync.set($1, $2, $3) as value";
    Ok(Json(caller.row(query, &[&name, &change.value, &change.organization_id]).await?))
}

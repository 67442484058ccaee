//! What administrators do: stop and start the flow, and change settings.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{problem::Problem, request::Body, session::Caller};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pause {
    organization_id: String,
    reason: String,
    until: Option<String>,
}

/// `POST /api/pems/pause`
pub(crate) async fn pause(caller: Caller, Body(pause): Body<Pause>) -> Result<StatusCode, Problem> {
    let query = "select pfa_sync.pause($1, $2, $3::text::timestamptz)";
    caller.row::<IgnoredAny>(query, &[&pause.organization_id, &pause.reason, &pause.until]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resume {
    /// `None` = all.
    organization_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Resumed {
    organization_id: String,
    queued: i64,
    failed: i64,
}

#[derive(Serialize)]
pub(crate) struct AllResumed {
    organizations: Vec<Resumed>,
}

/// `POST /api/pems/resume`
pub(crate) async fn resume(caller: Caller, Body(resume): Body<Resume>) -> Result<Json<AllResumed>, Problem> {
    let query = "select * from pfa_sync.resume($1)";
    Ok(Json(AllResumed { organizations: caller.rows(query, &[&resume.organization_id]).await? }))
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Setting {
    name: String,
    organization_id: Option<String>,
    value: String,
    default_value: String,
    description: String,
    changed_at: Option<String>,
    changed_by: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Settings {
    settings: Vec<Setting>,
}

/// `GET /api/pems/settings`
pub(crate) async fn settings(caller: Caller) -> Result<Json<Settings>, Problem> {
    Ok(Json(Settings { settings: caller.rows("select * from pfa_sync.settings", &[]).await? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Change {
    /// `None` = the whole fleet.
    organization_id: Option<String>,
    /// `None` = back to the default.
    value: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct InForce {
    value: String,
}

/// `PUT /api/pems/settings/{name}`
pub(crate) async fn set(caller: Caller, Path(name): Path<String>, Body(change): Body<Change>) -> Result<Json<InForce>, Problem> {
    let query = "select pfa_sync.set($1, $2, $3) as value";
    Ok(Json(caller.row(query, &[&name, &change.value, &change.organization_id]).await?))
}

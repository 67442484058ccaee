//! Conflicts: looking at them and settling them.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    problem::Problem,
    request::{Body, Page, Parameters},
    session::Caller,
};

/// An open conflict in a list, without its values.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Question {
    conflict_id: i64,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    detected: String,
    conflict_fields: Vec<String>,
    message: String,
    created_at: String,
}

#[derive(Serialize)]
pub(crate) struct Questions {
    conflicts: Vec<Question>,
    next: Option<i64>,
}

/// `GET /api/pems/conflicts`
pub(crate) async fn list(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<Questions>, Problem> {
    let query = "select conflict_id, organization_id, pfa_id, modification_id, author, detected, conflict_fields, message, created_at \
                   from pfa_sync.conflicts \
                  where ($1::text is null or organization_id = (select pfa_sync.organization_of($1))) and conflict_id > $2 \
                  order by conflict_id limit $3";
    let conflicts: Vec<Question> = caller.rows(query, &[&page.organization_id, &page.after, &page.limit()?]).await?;
    Ok(Json(Questions { next: page.next(&conflicts, |conflict| conflict.conflict_id), conflicts }))
}

/// A conflict as it stands, field by field.
#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Conflict {
    #[serde(rename(deserialize = "conflict", serialize = "conflictId"))]
    conflict_id: i64,
    #[serde(rename(deserialize = "organization", serialize = "organizationId"))]
    organization_id: String,
    pfa_id: String,
    #[serde(rename(deserialize = "modification", serialize = "modificationId"))]
    modification_id: String,
    author: String,
    detected: String,
    message: String,
    created_at: String,
    status: String,
    resolution: Option<String>,
    resolved_by: Option<String>,
    /// The record's version now; `None` = the record is gone.
    version: Option<i32>,
    detected_version: i32,
    fields: Vec<Field>,
}

/// A changed field; a value that is absent is not set there.
#[derive(Deserialize, Serialize)]
struct Field {
    field: String,
    conflict: bool,
    /// The values are prices, which this caller may not see.
    #[serde(default)]
    hidden: bool,
    base: Option<Value>,
    ours: Option<Value>,
    theirs: Option<Value>,
}

/// `GET /api/pems/conflicts/{conflictId}`
pub(crate) async fn get(caller: Caller, Path(conflict): Path<i64>) -> Result<impl IntoResponse, Problem> {
    let query = "select x.* from pfa_sync.conflict_state($1) s, jsonb_to_record(s) x (conflict bigint, organization text, pfa_id text, \
                 modification text, author text, detected text, message text, created_at text, status text, resolution text, \
                 resolved_by text, version int, detected_version int, fields jsonb) where s is not null";
    let conflict: Conflict = caller.row(query, &[&conflict]).await?;
    let etag = format!("\"{}\"", conflict.version.unwrap_or_default());
    Ok((AppendHeaders([(header::ETAG, etag)]), Json(conflict)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resolution {
    resolution: String,
    merged_data: Option<Map<String, Value>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Resolved {
    #[serde(default = "yes")]
    success: bool,
    #[serde(rename(deserialize = "conflict", serialize = "conflictId"))]
    conflict_id: i64,
    resolution: String,
    resolved_by: String,
    resolved_at: String,
    #[serde(rename(deserialize = "modification", serialize = "modificationId"))]
    modification_id: String,
    #[serde(rename(deserialize = "changes", serialize = "appliedChanges"))]
    applied_changes: Value,
}

fn yes() -> bool {
    true
}

/// `POST /api/pems/conflicts/{conflictId}/resolve`; If-Match takes the ETag of the conflict that was looked at.
pub(crate) async fn resolve(
    caller: Caller,
    Path(conflict): Path<i64>,
    headers: HeaderMap,
    Body(resolution): Body<Resolution>,
) -> Result<Json<Resolved>, Problem> {
    let seen = seen_version(&headers)?;
    let merged = resolution.merged_data.map(Value::Object);
    let query = "select x.* from pfa_sync.resolve_conflict($1, $2, null, $3, $4) r, jsonb_to_record(r) x (conflict bigint, \
                 resolution text, resolved_by text, resolved_at text, modification text, changes jsonb)";
    let answer = caller.row(query, &[&conflict, &resolution.resolution, &merged, &seen]).await;
    Ok(Json(answer.map_err(|problem| if seen.is_some() { problem.of_precondition() } else { problem })?))
}

fn seen_version(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let Some(etag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = etag.to_str().ok().and_then(|etag| etag.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.map(Some).ok_or_else(|| Problem::new("malformed", "If-Match takes the ETag of the conflict, quotes included."))
}

/// What a bulk resolution is about; the filter's keys are those of `pfa_sync.preview_resolution`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Bulk {
    #[serde(default)]
    filter: Filter,
    resolution: String,
    digest: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"), deny_unknown_fields)]
struct Filter {
    #[serde(rename(deserialize = "organizationId"), skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    older_than: Option<String>,
    #[serde(rename(deserialize = "conflictIds"), skip_serializing_if = "Option::is_none")]
    conflicts: Option<Vec<i64>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Preview {
    conflicts: i64,
    records: i64,
    sends: i64,
    refused: i64,
    by_field: Value,
    digest: String,
}

/// `POST /api/pems/conflicts/preview`
pub(crate) async fn preview(caller: Caller, Body(bulk): Body<Bulk>) -> Result<Json<Preview>, Problem> {
    let query = "select * from pfa_sync.preview_resolution($1, $2)";
    Ok(Json(caller.row(query, &[&serde_json::json!(bulk.filter), &bulk.resolution]).await?))
}

#[derive(Deserialize, Serialize)]
pub(crate) struct ResolvedInBulk {
    resolved: i64,
    queued: i64,
    refused: i64,
}

/// `POST /api/pems/conflicts/resolve`
pub(crate) async fn resolve_all(caller: Caller, Body(bulk): Body<Bulk>) -> Result<Json<ResolvedInBulk>, Problem> {
    let digest = bulk.digest.ok_or_else(|| Problem::new("invalid", "digest is missing: it comes from the preview."))?;
    let query = "select * from pfa_sync.resolve_conflicts($1, $2, null, $3)";
    Ok(Json(caller.row(query, &[&serde_json::json!(bulk.filter), &bulk.resolution, &digest]).await?))
}

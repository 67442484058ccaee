//! Conflicts: listing, reading and resolving them.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::listing::{WantedRows, list as list_rows};
use crate::{
    auth::caller::Caller,
    conflict::Conflict,
    http::{
        body::{Body, Parameters, word},
        idempotency::Idempotent,
        if_match::if_match,
        problem::Problem,
    },
    id::Id,
};

/// An open conflict in a list.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ConflictSummary {
    pub(super) conflict_id: Id,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    author_name: String,
    /// Where it was detected: at `commit`, at `claim`, or by `pems`.
    detected: String,
    conflict_fields: Vec<String>,
    /// The changed fields as the author saw them; null: not known.
    #[schema(value_type = Option<Object>)]
    base: Option<Value>,
    /// The changed fields with the author's values.
    #[schema(value_type = Option<Object>)]
    ours: Option<Value>,
    /// The changed fields as they were in PEMS when the conflict was found.
    #[serde(rename(deserialize = "theirs_fields"))]
    #[schema(value_type = Option<Object>)]
    theirs: Option<Value>,
    /// Version of the record that the author saw.
    local_version: i32,
    /// Version of the record when the conflict was found.
    mirror_version: i32,
    /// PEMS' own version of the record then; null: not known.
    pems_version: Option<i64>,
    /// `unresolved`.
    status: String,
    /// Why it is a conflict, such as `CHANGED_IN_PEMS`.
    code: String,
    /// What the code means.
    meaning: Option<String>,
    /// What to do about it.
    action: Option<String>,
    message: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConflictPage {
    conflicts: Vec<ConflictSummary>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
    /// How many the filter selects; 10,000 stands for more.
    total: i64,
}

/// Open conflicts, oldest first
#[utoipa::path(get, operation_id = "listConflicts", path = "/api/pems/conflicts", tag = "conflicts", params(WantedRows), responses((status = OK, body = ConflictPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<WantedRows>) -> Result<Json<ConflictPage>, Problem> {
    let (conflicts, next, total) =
        list_rows(&caller, &wanted, "pfa_sync.find_conflicts", |conflict: &ConflictSummary| conflict.conflict_id).await?;
    Ok(Json(ConflictPage { conflicts, next, total }))
}

/// A conflict, field by field; its ETag is for If-Match of the resolution
#[utoipa::path(
    get, operation_id = "getConflict", path = "/api/pems/conflicts/{conflictId}", tag = "conflicts", params(("conflictId" = Id, Path)),
    responses((status = OK, body = Conflict, headers(("ETag" = String, description = "for If-Match of the resolution"))))
)]
pub(super) async fn get(caller: Caller, Path(conflict): Path<Id>) -> Result<impl IntoResponse, Problem> {
    let query = "select s.* from pfa_sync.conflict_state($1) c, jsonb_to_record(c) s (conflict_id bigint, organization_id text, pfa_id text, \
                 modification_id text, author text, author_name text, detected text, code text, meaning text, action text, message text, created_at text, status text, resolution text, \
                 resolved_by text, resolved_by_name text, version int, state text, detected_version int, fields jsonb) where c is not null";
    let conflict: Conflict = caller.row(query, &[&conflict]).await?;
    let etag = format!("\"{}\"", conflict.state());
    Ok((AppendHeaders([(header::ETAG, etag)]), Json(conflict)))
}

/// How a conflict is resolved.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Resolution {
    /// The author's values are sent.
    UseLocal,
    /// PEMS' values stay; the whole change is discarded.
    UsePems,
    /// `mergedData` has a value for each field in conflict; the other changed fields are sent.
    Merge,
}

impl Resolution {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::UseLocal => "use_local",
            Self::UsePems => "use_pems",
            Self::Merge => "merge",
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResolveRequest {
    #[serde(deserialize_with = "word")]
    resolution: Resolution,
    /// With `merge`: a value for each field in conflict.
    #[schema(value_type = Option<Object>)]
    merged_data: Option<Map<String, Value>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ResolveResult {
    success: bool,
    conflict_id: Id,
    /// The job, by which the resolution is undone as long as it was not sent.
    job_id: Id,
    resolution: String,
    resolved_by: String,
    #[schema(format = DateTime)]
    resolved_at: String,
    modification_id: String,
    /// What will be sent to PEMS.
    #[schema(value_type = Object)]
    applied_changes: Value,
}

/// Resolve a conflict
///
/// With If-Match (the ETag with which the conflict was read), a record that has changed since, or has another edit
/// queued since, is answered with 412; without it, one that has changed since the conflict was detected is answered with
/// 409. Both have the current state in `current`.
#[utoipa::path(
    post, operation_id = "resolveConflict", path = "/api/pems/conflicts/{conflictId}/resolve", tag = "conflicts",
    params(("conflictId" = Id, Path), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ResolveRequest, responses((status = OK, body = ResolveResult))
)]
pub(super) async fn resolve(
    caller: Caller,
    Path(conflict): Path<Id>,
    headers: HeaderMap,
    request: Idempotent<ResolveRequest>,
) -> Result<Json<ResolveResult>, Problem> {
    let seen = seen_state(&caller, conflict, &headers).await?;
    let resolution = request.body.resolution.name();
    let merged = request.body.merged_data.clone().map(Value::Object);
    let query = "select true as success, r.conflict as conflict_id, r.job as job_id, r.resolution, r.resolved_by, r.resolved_at, r.modification as modification_id, \
                        r.changes as applied_changes \
                   from pfa_sync.resolve_conflict($1, $2, null, $3, $4) j, jsonb_to_record(j) r (conflict bigint, job bigint, resolution text, \
                        resolved_by text, resolved_at text, modification text, changes jsonb)";
    let answer = caller.row_idempotent(&request, query, &[&conflict, &resolution, &merged, &seen]).await;
    Ok(Json(answer.map_err(|problem| if seen.is_some() { problem.of_precondition() } else { problem })?))
}

/// What a change asks PEMS for.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Operation {
    Update,
    /// The record is only discontinued.
    Delete,
}

/// What a resolution would do.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ResolutionCheck {
    /// What PEMS would be asked for.
    operation: Option<Operation>,
    /// What would be sent to PEMS; empty: nothing, PEMS holds these values.
    #[schema(value_type = Object)]
    sends: Value,
    /// Whether prices would be sent besides that the user may not see.
    sends_hidden: bool,
    /// The errors for which it would be refused.
    #[schema(value_type = Vec<Object>)]
    errors: Value,
    /// The permissions for lack of which it would be refused.
    missing_permissions: Vec<String>,
    /// The forecast cost of the record, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    cost: Option<Value>,
    /// What it would be.
    #[schema(value_type = Option<f64>)]
    cost_after: Option<Value>,
}

/// What a resolution would send, and why it would be refused; nothing is done
#[utoipa::path(
    post, operation_id = "checkResolution", path = "/api/pems/conflicts/{conflictId}/check", tag = "conflicts",
    params(("conflictId" = Id, Path)), request_body = ResolveRequest, responses((status = OK, body = ResolutionCheck))
)]
pub(super) async fn check(
    caller: Caller,
    Path(conflict): Path<Id>,
    Body(wanted): Body<ResolveRequest>,
) -> Result<Json<ResolutionCheck>, Problem> {
    let merged = wanted.merged_data.map(Value::Object);
    let query = "select s.* from pfa_sync.check_resolution($1, $2, $3) c, jsonb_to_record(c) s (operation text, sends jsonb, sends_hidden boolean, errors jsonb, \
                        missing_permissions jsonb, cost numeric, cost_after numeric)";
    Ok(Json(caller.row(query, &[&conflict, &wanted.resolution.name(), &merged]).await?))
}

/// The state that the database compares with, of the tags in If-Match (RFC 9110, section 13.1.1); `None` = any.
async fn seen_state(caller: &Caller, conflict: Id, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(tags) = if_match(headers)? else { return Ok(None) };
    if let [_, _, ..] = tags.as_slice() {
        let query = "select pfa_sync.conflict_state($1)->>'state' as state";
        let current: CurrentState = caller.row(query, &[&conflict]).await?;
        if let Some(state) = current.state.filter(|state| tags.contains(state)) {
            return Ok(Some(state));
        }
    }
    Ok(Some(tags.into_iter().find(|tag| is_state(tag)).unwrap_or_else(|| NO_STATE.to_owned())))
}

/// A state that no conflict has: versions count from 1.
const NO_STATE: &str = "0.0";

/// Whether a tag has the form of a state: two numbers. Any other tag is not one of ours.
fn is_state(tag: &str) -> bool {
    let number = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    tag.split_once('.').is_some_and(|(version, queued)| number(version) && number(queued))
}

#[derive(Deserialize)]
struct CurrentState {
    state: Option<String>,
}

//! Conflicts: looking at them and settling them.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    once::Once,
    problem::Problem,
    request::{Body, Order, Page, Parameters, given, ids, object, word},
    session::{Caller, in_camel_case},
};

/// An open conflict in a list, without its values.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Question {
    conflict_id: i64,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    /// Where it was found: at `commit`, at `claim`, or by `pems`.
    detected: String,
    conflict_fields: Vec<String>,
    message: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Questions {
    conflicts: Vec<Question>,
    /// `after` of the next page; null = this was the last.
    next: Option<i64>,
}

/// Open conflicts, oldest first
#[utoipa::path(get, operation_id = "listConflicts", path = "/api/pems/conflicts", tag = "conflicts", params(Page), responses((status = OK, body = Questions)))]
pub(crate) async fn list(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<Questions>, Problem> {
    // Without its values, which are the greater part of a conflict.
    let view = "(select conflict_id, organization_id, pfa_id, modification_id, author, detected, conflict_fields, message, created_at \
                   from pfa_sync.conflicts)";
    let (conflicts, next) =
        page.of(&caller, view, "conflict_id", Order::OldestFirst, |conflict: &Question| conflict.conflict_id).await?;
    Ok(Json(Questions { conflicts, next }))
}

/// A conflict as it stands, field by field.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conflict {
    conflict_id: i64,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    /// Where it was found: at `commit`, at `claim`, or by `pems`.
    detected: String,
    message: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// `unresolved`, `resolved_auto` or `resolved_manual`.
    status: String,
    resolution: Option<String>,
    resolved_by: Option<String>,
    /// The record's version now; null = the record is gone.
    version: Option<i32>,
    detected_version: i32,
    fields: Vec<Field>,
}

/// A changed field. A value that is null is not set there.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Field {
    field: String,
    /// Whether this field is what the conflict is about.
    conflict: bool,
    /// The values are prices, which this caller may not see.
    #[serde(default)]
    hidden: bool,
    /// What the author saw.
    base: Option<Value>,
    /// What the author wants.
    ours: Option<Value>,
    /// What is there now.
    theirs: Option<Value>,
}

impl Conflict {
    /// From `pfa_sync.conflict_state`.
    pub(crate) fn of_state(state: Value) -> Option<Self> {
        serde_json::from_value(in_camel_case(state)).ok()
    }
}

/// A conflict, field by field; its ETag is for the resolution
#[utoipa::path(
    get, operation_id = "getConflict", path = "/api/pems/conflicts/{conflictId}", tag = "conflicts", params(("conflictId" = i64, Path)),
    responses((status = OK, body = Conflict, headers(("ETag" = String, description = "for If-Match of the resolution"))))
)]
pub(crate) async fn get(caller: Caller, Path(conflict): Path<i64>) -> Result<impl IntoResponse, Problem> {
    let query = "select s.* from pfa_sync.conflict_state($1) c, jsonb_to_record(c) s (conflict_id bigint, organization_id text, pfa_id text, \
                 modification_id text, author text, detected text, message text, created_at text, status text, resolution text, \
                 resolved_by text, version int, detected_version int, fields jsonb) where c is not null";
    let conflict: Conflict = caller.row(query, &[&conflict]).await?;
    let etag = format!("\"{}\"", conflict.version.unwrap_or_default());
    Ok((AppendHeaders([(header::ETAG, etag)]), Json(conflict)))
}

/// How a conflict is settled.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resolution {
    /// The author's values are sent.
    UseLocal,
    /// PEMS' values stay; the whole change is given up.
    UsePems,
    /// `mergedData` has a value for each field in conflict; the other changed fields are sent.
    Merge,
}

impl Resolution {
    fn name(&self) -> &'static str {
        match self {
            Self::UseLocal => "use_local",
            Self::UsePems => "use_pems",
            Self::Merge => "merge",
        }
    }
}

/// How several conflicts are settled: each needs values of its own to be merged.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BulkResolution {
    /// The authors' values are sent.
    UseLocal,
    /// PEMS' values stay; the changes are given up.
    UsePems,
}

impl BulkResolution {
    fn name(&self) -> &'static str {
        match self {
            Self::UseLocal => Resolution::UseLocal.name(),
            Self::UsePems => Resolution::UsePems.name(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Decision {
    #[serde(deserialize_with = "word")]
    resolution: Resolution,
    /// With `merge`: a value for each field in conflict.
    #[schema(value_type = Option<Object>)]
    merged_data: Option<Map<String, Value>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resolved {
    success: bool,
    conflict_id: i64,
    resolution: String,
    resolved_by: String,
    #[schema(format = DateTime)]
    resolved_at: String,
    modification_id: String,
    /// What will be sent to PEMS.
    #[schema(value_type = Object)]
    applied_changes: Value,
}

/// Settle a conflict
///
/// With If-Match (the ETag under which the conflict was seen) a record that has moved since is answered by 412, without
/// it by 409 if it has moved since the conflict was found; either has the fresh state in `current`.
#[utoipa::path(
    post, operation_id = "resolveConflict", path = "/api/pems/conflicts/{conflictId}/resolve", tag = "conflicts",
    params(("conflictId" = i64, Path), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Decision, responses((status = OK, body = Resolved))
)]
pub(crate) async fn resolve(
    caller: Caller,
    Path(conflict): Path<i64>,
    headers: HeaderMap,
    once: Once<Decision>,
) -> Result<Json<Resolved>, Problem> {
    let seen = seen_version(&headers)?;
    let resolution = once.body.resolution.name();
    let merged = once.body.merged_data.clone().map(Value::Object);
    let query = "select true as success, r.conflict as conflict_id, r.resolution, r.resolved_by, r.resolved_at, r.modification as modification_id, \
                        r.changes as applied_changes \
                   from pfa_sync.resolve_conflict($1, $2, null, $3, $4) j, jsonb_to_record(j) r (conflict bigint, resolution text, \
                        resolved_by text, resolved_at text, modification text, changes jsonb)";
    let answer = caller.row_once(&once, query, &[&conflict, &resolution, &merged, &seen]).await;
    Ok(Json(answer.map_err(|problem| if seen.is_some() { problem.of_precondition() } else { problem })?))
}

fn seen_version(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let Some(etag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = etag.to_str().ok().and_then(|etag| etag.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.map(Some).ok_or_else(|| Problem::new("malformed", "If-Match takes the ETag of the conflict, quotes included."))
}

/// Which conflicts are meant: those to which all of it applies.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConflictFilter {
    /// By id or code.
    organization_id: Option<String>,
    /// In conflict about this field.
    field: Option<String>,
    author: Option<String>,
    /// An interval, such as `2 days`.
    older_than: Option<String>,
    #[serde(deserialize_with = "ids")]
    conflict_ids: Option<Vec<i64>>,
}

impl ConflictFilter {
    /// As the functions take it.
    fn json(&self) -> Value {
        given(json!({
            "organization": self.organization_id, "field": self.field, "author": self.author,
            "older_than": self.older_than, "conflicts": self.conflict_ids
        }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ToPreview {
    #[serde(default, deserialize_with = "object")]
    filter: ConflictFilter,
    #[serde(deserialize_with = "word")]
    resolution: BulkResolution,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    conflicts: i64,
    records: i64,
    /// How many would send something to PEMS.
    sends: i64,
    /// How many can't be resolved so, and would stay open.
    refused: i64,
    /// Conflicts by field.
    #[schema(value_type = Object)]
    by_field: Value,
    digest: String,
}

/// What a bulk resolution would do
#[utoipa::path(post, operation_id = "previewResolution", path = "/api/pems/conflicts/preview", tag = "conflicts", request_body = ToPreview, responses((status = OK, body = Preview)))]
pub(crate) async fn preview(caller: Caller, Body(bulk): Body<ToPreview>) -> Result<Json<Preview>, Problem> {
    let query = "select * from pfa_sync.preview_resolution($1, $2)";
    Ok(Json(caller.row(query, &[&bulk.filter.json(), &bulk.resolution.name()]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Bulk {
    #[serde(default, deserialize_with = "object")]
    filter: ConflictFilter,
    #[serde(deserialize_with = "word")]
    resolution: BulkResolution,
    /// Of the preview: it is refused if anything has changed since.
    digest: String,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct ResolvedInBulk {
    resolved: i64,
    queued: i64,
    refused: i64,
}

/// Settle conflicts in bulk, as previewed
#[utoipa::path(
    post, operation_id = "resolveConflicts", path = "/api/pems/conflicts/resolve", tag = "conflicts", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = Bulk, responses((status = OK, body = ResolvedInBulk))
)]
pub(crate) async fn resolve_all(caller: Caller, once: Once<Bulk>) -> Result<Json<ResolvedInBulk>, Problem> {
    let query = "select * from pfa_sync.resolve_conflicts($1, $2, null, $3)";
    let Bulk { filter, resolution, digest } = &once.body;
    Ok(Json(caller.row_once(&once, query, &[&filter.json(), &resolution.name(), digest]).await?))
}

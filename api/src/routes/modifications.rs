//! Where changes stand, and what a commit of them would do.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, camel_keys},
        problem::Problem,
    },
    id::Id,
};

/// Most changes whose states are asked for at once.
const MAX_STATES: usize = 500;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Explanation {
    valid: bool,
    #[schema(value_type = Vec<Object>)]
    errors: Value,
    /// Errors that the record has already, in fields that the change does not touch.
    #[schema(value_type = Vec<Object>)]
    warnings: Value,
    permitted: bool,
    missing_permissions: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    conflicts: Value,
    /// What would be sent to PEMS.
    #[schema(value_type = Object)]
    request: Value,
    /// Other edits of the same record: modificationId, userId, userName, state and fields of each.
    #[serde(serialize_with = "camel_keys")]
    #[schema(value_type = Vec<Object>)]
    others: Value,
}

/// What a commit of the change would do now
#[utoipa::path(
    get, operation_id = "explain", path = "/api/pfa-data/modifications/{modificationId}/explain", tag = "edits", params(("modificationId" = String, Path)),
    responses((status = OK, body = Explanation))
)]
pub(super) async fn explain(caller: Caller, Path(modification): Path<String>) -> Result<Json<Explanation>, Problem> {
    let query = "select e.* from pfa_sync.explain($1) x, jsonb_to_record(x) e (valid boolean, errors jsonb, warnings jsonb, \
                 permitted boolean, missing_permissions jsonb, conflicts jsonb, request jsonb, others jsonb)";
    Ok(Json(caller.row(query, &[&modification]).await?))
}

/// The state of a change.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ModificationState {
    modification_id: String,
    sync_state: String,
    sync_status: String,
    /// `pending` or `processing`; null: it is not queued.
    queue_status: Option<String>,
    #[schema(format = DateTime)]
    scheduled_at: Option<String>,
    retry_count: Option<i32>,
    error: Option<String>,
    /// Its open conflict.
    conflict_id: Option<Id>,
}

/// The state of a change
#[utoipa::path(
    get, operation_id = "getModification", path = "/api/pfa-data/modifications/{modificationId}", tag = "edits", params(("modificationId" = String, Path)),
    responses((status = OK, body = ModificationState))
)]
pub(super) async fn state(caller: Caller, Path(modification): Path<String>) -> Result<Json<ModificationState>, Problem> {
    Ok(Json(caller.row("select * from pfa_sync.state(array[$1])", &[&modification]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StatesRequest {
    #[schema(max_items = 500)]
    modification_ids: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ModificationStates {
    modifications: Vec<ModificationState>,
}

/// The states of changes, by modification; those that the caller may not see are left out
#[utoipa::path(post, operation_id = "getStates", path = "/api/pfa-data/states", tag = "edits", request_body = StatesRequest, responses((status = OK, body = ModificationStates)))]
pub(super) async fn states(caller: Caller, Body(wanted): Body<StatesRequest>) -> Result<Json<ModificationStates>, Problem> {
    if wanted.modification_ids.len() > MAX_STATES {
        return Err(Problem::new("invalid", format!("modificationIds has at most {MAX_STATES} ids.")));
    }
    let query = "select * from pfa_sync.state($1)";
    Ok(Json(ModificationStates { modifications: caller.rows(query, &[&wanted.modification_ids]).await? }))
}

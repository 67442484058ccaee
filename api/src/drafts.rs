//! Drafts and their commit.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{once::Once, problem::Problem, request::Body, session::Caller};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Draft {
    /// By id or code.
    organization_id: String,
    pfa_id: String,
    /// The fields that change, and their values.
    #[schema(value_type = Object)]
    delta: Value,
    reason: Option<String>,
    session_id: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Saved {
    modification_id: String,
    /// The conflicts that a commit would find now.
    #[schema(value_type = Vec<Object>)]
    conflicts: Value,
    /// The errors for which a commit would be refused now.
    #[schema(value_type = Vec<Object>)]
    errors: Value,
}

/// Save an edit as a draft: into the one that is there, else as a new one
#[utoipa::path(post, operation_id = "saveDraft", path = "/api/pfa-data/save-draft", tag = "edits", request_body = Draft, responses((status = OK, body = Saved)))]
pub(crate) async fn save(caller: Caller, Body(draft): Body<Draft>) -> Result<Json<Saved>, Problem> {
    let query = "select * from pfa_sync.save_draft($1, null, $2, $3, $4, $5)";
    let Draft { organization_id, pfa_id, delta, reason, session_id } = draft;
    Ok(Json(caller.row(query, &[&organization_id, &pfa_id, &delta, &reason, &session_id]).await?))
}

/// Which drafts of the caller are meant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Commit {
    /// By id or code.
    organization_id: String,
    /// Absent = of all records.
    pfa_ids: Option<Vec<String>>,
    /// Absent = of all sessions.
    session_id: Option<String>,
    /// Commit the valid ones and leave the others as drafts; without it one that is not valid refuses all.
    #[serde(default)]
    skip_invalid: bool,
}

/// What became of one change.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    #[serde(skip_serializing_if = "Option::is_none")]
    pfa_id: Option<String>,
    modification_id: String,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    conflicts: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Verdicts {
    verdicts: Vec<Verdict>,
}

/// Commit drafts: `queued`, `synced` (PEMS has it already) or `conflict`; with skipInvalid also `invalid` and `forbidden`
#[utoipa::path(
    post, operation_id = "commitDrafts", path = "/api/pfa-data/commit-drafts", tag = "edits", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = Commit, responses((status = OK, body = Verdicts))
)]
pub(crate) async fn commit(caller: Caller, once: Once<Commit>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.commit_drafts($1, null, $2, $3, $4)";
    let Commit { organization_id, pfa_ids, session_id, skip_invalid } = &once.body;
    let verdicts = caller.rows_once(&once, query, &[organization_id, pfa_ids, session_id, skip_invalid]).await?;
    Ok(Json(Verdicts { verdicts }))
}

/// Which drafts of the caller are meant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Discard {
    /// By id or code.
    organization_id: String,
    /// Absent = of all records.
    pfa_ids: Option<Vec<String>>,
    /// Absent = of all sessions.
    session_id: Option<String>,
}

/// Discard drafts
#[utoipa::path(post, operation_id = "discardDrafts", path = "/api/pfa-data/discard-drafts", tag = "edits", request_body = Discard, responses((status = OK, body = Verdicts)))]
pub(crate) async fn discard(caller: Caller, Body(discard): Body<Discard>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.discard_drafts($1, null, $2, $3)";
    let Discard { organization_id, pfa_ids, session_id } = discard;
    Ok(Json(Verdicts { verdicts: caller.rows(query, &[&organization_id, &pfa_ids, &session_id]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Withdrawal {
    modification_ids: Vec<String>,
}

/// Take committed changes back to draft: `withdrawn`, `in_flight`, `not_queued`, `forbidden` or `unknown`
#[utoipa::path(post, operation_id = "withdraw", path = "/api/pfa-data/withdraw", tag = "edits", request_body = Withdrawal, responses((status = OK, body = Verdicts)))]
pub(crate) async fn withdraw(caller: Caller, Body(withdrawal): Body<Withdrawal>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.withdraw($1, null)";
    Ok(Json(Verdicts { verdicts: caller.rows(query, &[&withdrawal.modification_ids]).await? }))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    valid: bool,
    #[schema(value_type = Vec<Object>)]
    errors: Value,
    /// Faults that the record has already, in fields that the change leaves alone.
    #[schema(value_type = Vec<Object>)]
    warnings: Value,
    permitted: bool,
    missing_permissions: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    conflicts: Value,
    /// What would be sent to PEMS.
    #[schema(value_type = Object)]
    request: Value,
    /// Other edits of the same record.
    #[schema(value_type = Vec<Object>)]
    others: Value,
}

/// What a change would do if it were committed now
#[utoipa::path(
    get, operation_id = "explain", path = "/api/pfa-data/modifications/{modificationId}/explain", tag = "edits", params(("modificationId" = String, Path)),
    responses((status = OK, body = Explanation))
)]
pub(crate) async fn explain(caller: Caller, Path(modification): Path<String>) -> Result<Json<Explanation>, Problem> {
    let query = "select e.* from pfa_sync.explain($1) x, jsonb_to_record(x) e (valid boolean, errors jsonb, warnings jsonb, \
                 permitted boolean, missing_permissions jsonb, conflicts jsonb, request jsonb, others jsonb)";
    Ok(Json(caller.row(query, &[&modification]).await?))
}

/// Where a change stands.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    modification_id: String,
    sync_state: String,
    sync_status: String,
    /// `pending` or `processing`; null = it is not queued.
    queue_status: Option<String>,
    #[schema(format = DateTime)]
    scheduled_at: Option<String>,
    retry_count: Option<i32>,
    error: Option<String>,
    /// The open conflict that it is in.
    conflict_id: Option<i64>,
}

/// Where a change stands
#[utoipa::path(
    get, operation_id = "getModification", path = "/api/pfa-data/modifications/{modificationId}", tag = "edits", params(("modificationId" = String, Path)),
    responses((status = OK, body = State))
)]
pub(crate) async fn state(caller: Caller, Path(modification): Path<String>) -> Result<Json<State>, Problem> {
    Ok(Json(caller.row("select * from pfa_sync.state(array[$1])", &[&modification]).await?))
}

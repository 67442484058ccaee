//! Drafts and their commit.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{problem::Problem, request::Body, session::Caller};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Draft {
    organization_id: String,
    pfa_id: String,
    delta: Value,
    reason: Option<String>,
    session_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Saved {
    modification_id: String,
    conflicts: Value,
    errors: Value,
}

/// `POST /api/pfa-data/save-draft`
pub(crate) async fn save(caller: Caller, Body(draft): Body<Draft>) -> Result<Json<Saved>, Problem> {
    let query = "select * from pfa_sync.save_draft($1, null, $2, $3, $4, $5)";
    let Draft { organization_id, pfa_id, delta, reason, session_id } = draft;
    Ok(Json(caller.row(query, &[&organization_id, &pfa_id, &delta, &reason, &session_id]).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Commit {
    organization_id: String,
    pfa_ids: Option<Vec<String>>,
    session_id: Option<String>,
    #[serde(default)]
    skip_invalid: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Verdict {
    #[serde(skip_serializing_if = "Option::is_none")]
    pfa_id: Option<String>,
    modification_id: String,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permissions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts: Option<Value>,
}

#[derive(Serialize)]
pub(crate) struct Verdicts {
    verdicts: Vec<Verdict>,
}

/// `POST /api/pfa-data/commit-drafts`
pub(crate) async fn commit(caller: Caller, Body(commit): Body<Commit>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.commit_drafts($1, null, $2, $3, $4)";
    let Commit { organization_id, pfa_ids, session_id, skip_invalid } = commit;
    let verdicts = caller.rows(query, &[&organization_id, &pfa_ids, &session_id, &skip_invalid]).await?;
    Ok(Json(Verdicts { verdicts }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Discard {
    organization_id: String,
    pfa_ids: Option<Vec<String>>,
    session_id: Option<String>,
}

/// `POST /api/pfa-data/discard-drafts`
pub(crate) async fn discard(caller: Caller, Body(discard): Body<Discard>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.discard_drafts($1, null, $2, $3)";
    let Discard { organization_id, pfa_ids, session_id } = discard;
    Ok(Json(Verdicts { verdicts: caller.rows(query, &[&organization_id, &pfa_ids, &session_id]).await? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Withdrawal {
    modification_ids: Vec<String>,
}

/// `POST /api/pfa-data/withdraw`
pub(crate) async fn withdraw(caller: Caller, Body(withdrawal): Body<Withdrawal>) -> Result<Json<Verdicts>, Problem> {
    let query = "select * from pfa_sync.withdraw($1, null)";
    Ok(Json(Verdicts { verdicts: caller.rows(query, &[&withdrawal.modification_ids]).await? }))
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub(crate) struct Explanation {
    valid: bool,
    errors: Value,
    warnings: Value,
    permitted: bool,
    missing_permissions: Value,
    conflicts: Value,
    request: Value,
    others: Value,
}

/// `GET /api/pfa-data/modifications/{modificationId}/explain`
pub(crate) async fn explain(caller: Caller, Path(modification): Path<String>) -> Result<Json<Explanation>, Problem> {
    let query = "select e.* from pfa_sync.explain($1) x, jsonb_to_record(x) e (valid boolean, errors jsonb, warnings jsonb, \
                 permitted boolean, missing_permissions jsonb, conflicts jsonb, request jsonb, others jsonb)";
    Ok(Json(caller.row(query, &[&modification]).await?))
}

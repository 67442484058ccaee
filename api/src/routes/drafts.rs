//! Drafts: saving, committing, discarding and withdrawing them.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;

use super::records::no_filter;
use crate::{
    auth::caller::Caller,
    http::{body::Body, idempotency::Idempotent, problem::Problem},
    id::Id,
};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DraftRequest {
    /// By id or code.
    organization_id: String,
    pfa_id: String,
    /// The changed fields and their new values.
    #[schema(value_type = Object)]
    delta: Value,
    reason: Option<String>,
    session_id: Option<String>,
    /// Fields that leave the draft before the delta is laid over it.
    remove: Option<Vec<String>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct SavedDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pfa_id: Option<String>,
    modification_id: Option<String>,
    /// `draft`; `discarded`: nothing is left of it; null: there was none to remove from.
    state: Option<String>,
    /// The fields of the draft now.
    #[schema(value_type = Option<Object>)]
    draft: Option<Value>,
    /// The conflicts that a commit would raise now.
    #[schema(value_type = Vec<Object>)]
    conflicts: Value,
    /// The errors for which a commit would be refused now.
    #[schema(value_type = Vec<Object>)]
    errors: Value,
}

/// Save an edit as a draft; it is added to an existing draft of the record
#[utoipa::path(post, operation_id = "saveDraft", path = "/api/pfa-data/save-draft", tag = "edits", request_body = DraftRequest, responses((status = OK, body = SavedDraft)))]
pub(super) async fn save(caller: Caller, Body(draft): Body<DraftRequest>) -> Result<Json<SavedDraft>, Problem> {
    let query = "select * from pfa_sync.save_draft($1, null, $2, $3, $4, $5, $6)";
    let DraftRequest { organization_id, pfa_id, delta, reason, session_id, remove } = draft;
    if delta.is_null() {
        return Err(Problem::new("invalid", "delta is an object of changed fields, {} for none."));
    }
    Ok(Json(caller.row(query, &[&organization_id, &pfa_id, &delta, &reason, &session_id, &remove]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DraftsRequest {
    /// By id or code.
    organization_id: String,
    /// Edits of different records.
    #[schema(max_items = 1000)]
    drafts: Vec<RecordDraft>,
    session_id: Option<String>,
}

/// An edit of a record.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecordDraft {
    pfa_id: String,
    /// The changed fields and their new values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    delta: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Fields that leave the draft before the delta is laid over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SavedDrafts {
    drafts: Vec<SavedDraft>,
}

/// Save edits of many records as drafts, all or none
#[utoipa::path(post, operation_id = "saveDrafts", path = "/api/pfa-data/save-drafts", tag = "edits", request_body = DraftsRequest, responses((status = OK, body = SavedDrafts)))]
pub(super) async fn save_all(caller: Caller, Body(request): Body<DraftsRequest>) -> Result<Json<SavedDrafts>, Problem> {
    let DraftsRequest { organization_id, drafts, session_id } = request;
    let query = "select * from pfa_sync.save_drafts($1, null, $2, $3)";
    Ok(Json(SavedDrafts { drafts: caller.rows(query, &[&organization_id, &json!(drafts), &session_id]).await? }))
}

/// Selects drafts of the caller by a search of their records.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SummaryRequest {
    /// By id or code.
    organization_id: String,
    /// As of a search; absent: of all records.
    #[serde(default = "no_filter")]
    #[schema(value_type = Object)]
    filter: Value,
    search: Option<String>,
}

/// Drafts as a whole.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct DraftSummary {
    drafts: i64,
    /// How many of them a commit would refuse.
    invalid: i64,
    /// How many of them a commit would make conflicts.
    conflicting: i64,
    /// The forecast cost of their records without the drafts, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    cost_before: Option<Value>,
    /// With the drafts.
    #[schema(value_type = Option<f64>)]
    cost_after: Option<Value>,
}

/// How many drafts of the caller a search finds, how many a commit would refuse or make conflicts, and their cost
#[utoipa::path(post, operation_id = "summarizeDrafts", path = "/api/pfa-data/drafts/summary", tag = "edits", request_body = SummaryRequest, responses((status = OK, body = DraftSummary)))]
pub(super) async fn summary(caller: Caller, Body(wanted): Body<SummaryRequest>) -> Result<Json<DraftSummary>, Problem> {
    let query = "select * from pfa_sync.draft_summary($1, $2, $3)";
    Ok(Json(caller.row(query, &[&wanted.organization_id, &wanted.filter, &wanted.search]).await?))
}

/// SQL for the ids of the chosen records: $2, or those that the filter $3 and the search $4 find in organization $1.
macro_rules! chosen_records {
    () => {
        "case when $3::jsonb is null and $4::text is null then $2::text[] \
              else array(select pfa_sync.record_ids($1, coalesce($3, '{}'), $4)) end"
    };
}

/// Refuses ids beside a search.
fn require_one_choice(by_id: bool, filter: &Option<Value>, search: &Option<String>) -> Result<(), Problem> {
    if by_id && (filter.is_some() || search.is_some()) {
        return Err(Problem::new("invalid", "Ids and a search exclude each other."));
    }
    Ok(())
}

/// Selects drafts of the caller.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CommitRequest {
    /// By id or code.
    organization_id: String,
    /// Absent: those of all records.
    pfa_ids: Option<Vec<String>>,
    /// Instead of ids: those of the records that a search finds.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    search: Option<String>,
    /// Absent: those of all sessions.
    session_id: Option<String>,
    /// Commit the valid drafts and keep the others as drafts. Otherwise one invalid draft refuses the whole commit.
    #[serde(default)]
    skip_invalid: bool,
}

/// The outcome of one change.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ChangeOutcome {
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
    /// The job that queued or withdraws it.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Id>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ChangeOutcomes {
    verdicts: Vec<ChangeOutcome>,
}

/// Commit drafts: `queued`, `synced` (PEMS holds the values already) or `conflict`; with skipInvalid also `invalid` and `forbidden`
#[utoipa::path(
    post, operation_id = "commitDrafts", path = "/api/pfa-data/commit-drafts", tag = "edits", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = CommitRequest, responses((status = OK, body = ChangeOutcomes))
)]
pub(super) async fn commit(caller: Caller, request: Idempotent<CommitRequest>) -> Result<Json<ChangeOutcomes>, Problem> {
    let query = concat!("select * from pfa_sync.commit_drafts($1, null, ", chosen_records!(), ", $5, $6)");
    let CommitRequest { organization_id, pfa_ids, filter, search, session_id, skip_invalid } = &request.body;
    require_one_choice(pfa_ids.is_some(), filter, search)?;
    let parameters: [&(dyn ToSql + Sync); 6] = [organization_id, pfa_ids, filter, search, session_id, skip_invalid];
    let verdicts = caller.rows_idempotent(&request, query, &parameters).await?;
    Ok(Json(ChangeOutcomes { verdicts }))
}

/// Selects drafts of the caller.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DiscardDraftsRequest {
    /// By id or code.
    organization_id: String,
    /// Absent: those of all records.
    pfa_ids: Option<Vec<String>>,
    /// Instead of ids: those of the records that a search finds.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    search: Option<String>,
    /// Absent: those of all sessions.
    session_id: Option<String>,
}

/// Discard drafts
#[utoipa::path(post, operation_id = "discardDrafts", path = "/api/pfa-data/discard-drafts", tag = "edits", request_body = DiscardDraftsRequest, responses((status = OK, body = ChangeOutcomes)))]
pub(super) async fn discard(caller: Caller, Body(discard): Body<DiscardDraftsRequest>) -> Result<Json<ChangeOutcomes>, Problem> {
    let query = concat!("select * from pfa_sync.discard_drafts($1, null, ", chosen_records!(), ", $5)");
    let DiscardDraftsRequest { organization_id, pfa_ids, filter, search, session_id } = discard;
    require_one_choice(pfa_ids.is_some(), &filter, &search)?;
    let parameters: [&(dyn ToSql + Sync); 5] = [&organization_id, &pfa_ids, &filter, &search, &session_id];
    Ok(Json(ChangeOutcomes { verdicts: caller.rows(query, &parameters).await? }))
}

/// Selects committed changes: by their ids, or all that wait of the records that a search finds.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WithdrawRequest {
    modification_ids: Option<Vec<String>>,
    /// By id or code, with `filter` or `search`.
    organization_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    search: Option<String>,
}

/// Withdraw committed changes, which become drafts again: `withdrawn`, `in_flight`, `not_queued`, `forbidden` or `unknown`; `waiting`: of more than 200, a relay withdraws the others
#[utoipa::path(post, operation_id = "withdraw", path = "/api/pfa-data/withdraw", tag = "edits", request_body = WithdrawRequest, responses((status = OK, body = ChangeOutcomes)))]
pub(super) async fn withdraw(caller: Caller, Body(withdrawal): Body<WithdrawRequest>) -> Result<Json<ChangeOutcomes>, Problem> {
    let WithdrawRequest { modification_ids, organization_id, filter, search } = withdrawal;
    require_one_choice(modification_ids.is_some(), &filter, &search)?;
    let verdicts = if filter.is_some() || search.is_some() {
        let Some(organization_id) = organization_id else {
            return Err(Problem::new("invalid", "A search of records has an organizationId."));
        };
        let query = concat!("select * from pfa_sync.withdraw_records($1, ", chosen_records!(), ", null)");
        caller.rows(query, &[&organization_id, &None::<Vec<String>>, &filter, &search]).await?
    } else {
        let Some(ids) = modification_ids else {
            return Err(Problem::new("invalid", "Name modificationIds, or a filter or search of records."));
        };
        caller.rows("select * from pfa_sync.withdraw($1, null)", &[&ids]).await?
    };
    Ok(Json(ChangeOutcomes { verdicts }))
}

//! Dead letters: changes that failed for good, which a user requeues or discards.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::listing::{WantedRows, list as list_rows};
use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters, given, integers, object},
        idempotency::Idempotent,
        problem::Problem,
    },
    id::{Id, texts},
};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct DeadLetter {
    pub(super) queue_id: Id,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    author_name: String,
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    code: String,
    /// What the code means.
    meaning: Option<String>,
    /// What to do about it.
    action: Option<String>,
    error: Option<String>,
    http_status: Option<i32>,
    /// What PEMS answered, for users who may see prices.
    pems_response: Option<Value>,
    retry_count: i32,
    #[schema(format = DateTime)]
    failed_at: String,
    /// Number of later changes of the record that are queued.
    later_queued: i64,
    /// Number of later changes of the record that PEMS has applied.
    later_written: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetterPage {
    dead_letters: Vec<DeadLetter>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
    /// How many the filter selects; 10,000 stands for more.
    total: i64,
}

/// Dead letters, oldest first
#[utoipa::path(get, operation_id = "listDeadLetters", path = "/api/pems/dead-letters", tag = "dead letters", params(WantedRows), responses((status = OK, body = DeadLetterPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<WantedRows>) -> Result<Json<DeadLetterPage>, Problem> {
    let (dead_letters, next, total) =
        list_rows(&caller, &wanted, "pfa_sync.find_dead_letters", |letter: &DeadLetter| letter.queue_id).await?;
    Ok(Json(DeadLetterPage { dead_letters, next, total }))
}

/// Selects the dead letters that match all given keys.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeadLetterFilter {
    /// By id or code.
    organization_id: Option<String>,
    code: Option<String>,
    author: Option<String>,
    pfa_id: Option<String>,
    /// An interval, such as `2 days`.
    older_than: Option<String>,
    #[serde(deserialize_with = "texts")]
    queue_ids: Option<Vec<Id>>,
}

impl DeadLetterFilter {
    /// The filter as the functions of the database expect it.
    fn json(&self) -> Value {
        given(json!({
            "organization": self.organization_id, "code": self.code, "author": self.author, "pfa_id": self.pfa_id,
            "older_than": self.older_than, "dead_letters": self.queue_ids
        }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterSelection {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct DeadLetterPreview {
    dead_letters: i64,
    records: i64,
    /// Number of dead letters whose record has later changes.
    overtaken: i64,
    /// Number of dead letters by code.
    #[schema(value_type = Object)]
    by_code: Value,
    digest: String,
}

/// Number of dead letters that a filter selects
#[utoipa::path(post, operation_id = "previewDeadLetters", path = "/api/pems/dead-letters/preview", tag = "dead letters", request_body = DeadLetterSelection, responses((status = OK, body = DeadLetterPreview)))]
pub(super) async fn preview(
    caller: Caller,
    Body(selection): Body<DeadLetterSelection>,
) -> Result<Json<DeadLetterPreview>, Problem> {
    Ok(Json(caller.row("select * from pfa_sync.preview_dead_letters($1)", &[&selection.filter.json()]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequeueRequest {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
    /// Corrected values for a single dead letter; they replace those of its change.
    #[schema(value_type = Option<Object>)]
    changes: Option<Map<String, Value>>,
    /// Digest of the preview. The request is refused if the selected dead letters have changed since.
    digest: Option<String>,
    /// Sizes of the first slices of a staged resend, such as 1 and 10: each further one waits for PEMS' answers to those before.
    #[serde(default, deserialize_with = "integers")]
    #[schema(max_items = 20)]
    stages: Option<Vec<i64>>,
    /// Percent of failed changes from which a staged resend stops; 0, the default: at the first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    stop_at: f64,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct RequeueResult {
    requeued: i64,
    /// Number of dead letters that conflict with a later change of the record, and are conflicts now.
    conflicts: i64,
    /// Number of dead letters that are not valid, or whose author lacks a permission. They stay dead letters.
    refused: i64,
    /// Number of dead letters that a relay is still to requeue.
    waiting: i64,
    /// The jobs, one for each organization.
    job_ids: Vec<Id>,
}

/// Requeue dead letters; a single one with corrected values if given
#[utoipa::path(
    post, operation_id = "requeueDeadLetters", path = "/api/pems/dead-letters/requeue", tag = "dead letters", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = RequeueRequest, responses((status = OK, body = RequeueResult))
)]
pub(super) async fn requeue(caller: Caller, request: Idempotent<RequeueRequest>) -> Result<Json<RequeueResult>, Problem> {
    let query = "select * from pfa_sync.requeue_dead_letters($1, $2, $3, null, $4::bigint[]::int[], $5::float8::numeric)";
    let RequeueRequest { filter, changes, digest, stages, stop_at } = &request.body;
    let changes = changes.clone().map(Value::Object);
    Ok(Json(caller.row_idempotent(&request, query, &[&filter.json(), &changes, digest, stages, stop_at]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DiscardRequest {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
    #[schema(pattern = r"\S")]
    reason: String,
    /// Digest of the preview. The request is refused if the selected dead letters have changed since.
    digest: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct DiscardResult {
    discarded: i64,
    /// Number of dead letters that could not be discarded.
    refused: i64,
    /// Number of dead letters that a relay is still to discard.
    waiting: i64,
    /// The jobs, one for each organization.
    job_ids: Vec<Id>,
}

/// Discard dead letters, with a reason
#[utoipa::path(post, operation_id = "discardDeadLetters", path = "/api/pems/dead-letters/discard", tag = "dead letters", request_body = DiscardRequest, responses((status = OK, body = DiscardResult)))]
pub(super) async fn discard(caller: Caller, Body(discard): Body<DiscardRequest>) -> Result<Json<DiscardResult>, Problem> {
    let query = "select * from pfa_sync.discard_dead_letters($1, $2, $3)";
    let DiscardRequest { filter, reason, digest } = discard;
    Ok(Json(caller.row(query, &[&filter.json(), &reason, &digest]).await?))
}

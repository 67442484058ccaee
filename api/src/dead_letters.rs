//! Dead letters: changes that will not reach PEMS by themselves, and what a person makes of them.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{
    once::Once,
    problem::Problem,
    request::{Body, Order, Page, Parameters, given, ids, object},
    session::Caller,
};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    queue_id: i64,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    code: String,
    error: Option<String>,
    http_status: Option<i32>,
    /// What PEMS answered, for whoever may see prices.
    pems_response: Option<Value>,
    retry_count: i32,
    #[schema(format = DateTime)]
    failed_at: String,
    /// Later changes of the record that wait.
    later_queued: i64,
    /// Later changes of the record that PEMS has.
    later_written: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetters {
    dead_letters: Vec<DeadLetter>,
    /// `after` of the next page; null = this was the last.
    next: Option<i64>,
}

/// Dead letters, oldest first
#[utoipa::path(get, operation_id = "listDeadLetters", path = "/api/pems/dead-letters", tag = "dead letters", params(Page), responses((status = OK, body = DeadLetters)))]
pub(crate) async fn list(caller: Caller, Parameters(page): Parameters<Page>) -> Result<Json<DeadLetters>, Problem> {
    let (dead_letters, next) =
        page.of(&caller, "pfa_sync.dead_letters", "queue_id", Order::OldestFirst, |letter: &DeadLetter| letter.queue_id).await?;
    Ok(Json(DeadLetters { dead_letters, next }))
}

/// Which dead letters are meant: those to which all of it applies.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeadLetterFilter {
    /// By id or code.
    organization_id: Option<String>,
    code: Option<String>,
    author: Option<String>,
    pfa_id: Option<String>,
    /// An interval, such as `2 days`.
    older_than: Option<String>,
    #[serde(deserialize_with = "ids")]
    queue_ids: Option<Vec<i64>>,
}

impl DeadLetterFilter {
    /// As the functions take it.
    fn json(&self) -> Value {
        given(json!({
            "organization": self.organization_id, "code": self.code, "author": self.author, "pfa_id": self.pfa_id,
            "older_than": self.older_than, "dead_letters": self.queue_ids
        }))
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted {
    dead_letters: i64,
    records: i64,
    /// Those whose record has later changes.
    overtaken: i64,
    /// Dead letters by code.
    #[schema(value_type = Object)]
    by_code: Value,
    digest: String,
}

/// How many dead letters a filter means
#[utoipa::path(post, operation_id = "previewDeadLetters", path = "/api/pems/dead-letters/preview", tag = "dead letters", request_body = Meant, responses((status = OK, body = Counted)))]
pub(crate) async fn preview(caller: Caller, Body(meant): Body<Meant>) -> Result<Json<Counted>, Problem> {
    Ok(Json(caller.row("select * from pfa_sync.preview_dead_letters($1)", &[&meant.filter.json()]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Requeue {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
    /// A fix of a single one, laid over its change.
    #[schema(value_type = Option<Object>)]
    changes: Option<Map<String, Value>>,
    /// Of the preview: it is refused if anything has changed since.
    digest: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Requeued {
    requeued: i64,
    /// Those that a later change of the record stands against: they are questions now.
    conflicts: i64,
    /// Those that are not valid, or whose author may not; they stay dead letters.
    refused: i64,
}

/// Queue dead letters again, a single one with a fix if given
#[utoipa::path(
    post, operation_id = "requeueDeadLetters", path = "/api/pems/dead-letters/requeue", tag = "dead letters", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = Requeue, responses((status = OK, body = Requeued))
)]
pub(crate) async fn requeue(caller: Caller, once: Once<Requeue>) -> Result<Json<Requeued>, Problem> {
    let query = "select * from pfa_sync.requeue_dead_letters($1, $2, $3)";
    let Requeue { filter, changes, digest } = &once.body;
    let changes = changes.clone().map(Value::Object);
    Ok(Json(caller.row_once(&once, query, &[&filter.json(), &changes, digest]).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GiveUp {
    #[serde(default, deserialize_with = "object")]
    filter: DeadLetterFilter,
    #[schema(pattern = r"\S")]
    reason: String,
    /// Of the preview: it is refused if anything has changed since.
    digest: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct GivenUp {
    discarded: i64,
}

/// Give dead letters up, for a reason
#[utoipa::path(post, operation_id = "discardDeadLetters", path = "/api/pems/dead-letters/discard", tag = "dead letters", request_body = GiveUp, responses((status = OK, body = GivenUp)))]
pub(crate) async fn discard(caller: Caller, Body(given_up): Body<GiveUp>) -> Result<Json<GivenUp>, Problem> {
    let query = "select pfa_sync.discard_dead_letters($1, $2, $3) as discarded";
    let GiveUp { filter, reason, digest } = given_up;
    Ok(Json(caller.row(query, &[&filter.json(), &reason, &digest]).await?))
}

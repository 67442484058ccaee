//! Reading events from the log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    http::problem::Problem,
    id::Id,
    session::{NO_USER, Sessions, read_row},
};

/// Most events that are sent one by one after one query. A client that missed more should read its data anew.
pub(super) const MAX_MISSED_EVENTS: i32 = 5000;

/// An event. It holds no values; they are read where permissions are checked.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(crate) struct LiveEvent {
    #[serde(skip_serializing)]
    pub(super) position: String,
    #[serde(skip_serializing)]
    pub(super) following: String,
    event_id: Id,
    #[schema(format = DateTime)]
    at: String,
    /// `queued`, `syncing`, `attempt_failed` (another try follows, or an event that says how the change ended), `synced`,
    /// `stored_differently` (PEMS confirmed it and stores other values), `conflict`, `resolved`, `failed`, `discarded`,
    /// `withdrawn`, `breaker`, `pause`, `job`, `rollback`, `alert`, `notification` (of the stream's user) or `credentials`.
    pub(super) event: String,
    /// Its name in the log, such as `BREAKER_OPENED`.
    event_type: String,
    /// The organizations that it concerns: for a breaker, all whose PEMS it guards.
    #[serde(skip_serializing)]
    pub(super) organizations: Vec<String>,
    /// Null: the event concerns a PEMS, and so all organizations that it serves.
    organization_id: Option<String>,
    pfa_id: Option<String>,
    modification_id: Option<String>,
    queue_id: Option<Id>,
    job_id: Option<Id>,
    batch_id: Option<Id>,
    pub(super) user_id: Option<String>,
    success: Option<bool>,
}

/// The current position of the log.
pub(super) async fn current_position(sessions: &Sessions) -> Result<String, Problem> {
    let rows = sessions.rows(NO_USER, None, "select pfa_sync.event_position() as position", &[]).await?;
    let position = rows.first().and_then(|row| row["position"].as_str()).map(ToOwned::to_owned);
    position.ok_or_else(Problem::not_found)
}

/// The events of all organizations since a position, oldest first; `None` = more than are sent one by one.
pub(super) async fn events_of_all(sessions: &Sessions, since: &str) -> Result<Option<Vec<LiveEvent>>, Problem> {
    let query = "select * from pfa_sync.events_of_all($1, $2)";
    of_rows(sessions.rows(NO_USER, None, query, &[&since, &MAX_MISSED_EVENTS]).await?, query)
}

/// The events that a user can see between two positions, oldest first; `None` = more than are sent one by one.
pub(super) async fn events_between(
    sessions: &Sessions,
    user: &str,
    since: &str,
    until: &str,
) -> Result<Option<Vec<LiveEvent>>, Problem> {
    let query = "select * from pfa_sync.events($1, $2, $3)";
    of_rows(sessions.rows(user, None, query, &[&since, &until, &MAX_MISSED_EVENTS]).await?, query)
}

fn of_rows(rows: Vec<Value>, query: &str) -> Result<Option<Vec<LiveEvent>>, Problem> {
    if rows.len() >= MAX_MISSED_EVENTS as usize {
        return Ok(None);
    }
    rows.into_iter().map(|row| read_row(row, query)).collect::<Result<_, _>>().map(Some)
}

//! The stream of events.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{AppendHeaders, IntoResponse},
};

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::caller::Caller,
    events::stream::{self, Listener, LiveEvent},
    http::{body::Parameters, problem::Problem},
    state::AppState,
};

/// Which events are requested.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only those of this organization, by id or code.
    organization_id: Option<String>,
}

/// Events as they happen: a stream of server-sent events
///
/// The stream begins with `ready`, whose id stands for the current position. With Last-Event-ID, all later events come
/// first, without gaps or duplicates; `reload` means that they can't be listed, and that the client should read its data
/// anew. The stream ends with its token, and when the client does not keep up: reconnect with the id of the last event.
#[utoipa::path(
    get, operation_id = "listenToEvents", path = "/api/pems/events", tag = "events",
    params(Wanted, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = OK, content_type = "text/event-stream", body = LiveEvent))
)]
pub(super) async fn listen(
    State(AppState { hub, rights_interval, stop, .. }): State<AppState>,
    caller: Caller,
    Parameters(wanted): Parameters<Wanted>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let last = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let last = last.filter(|id| !id.is_empty());
    let listener = Listener::new(caller, wanted.organization_id, last, hub, rights_interval, stop).await?;
    // Asks proxies not to buffer the answer.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok((AppendHeaders([unbuffered]), stream::response(listener)))
}

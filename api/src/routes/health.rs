//! Whether the service runs, and whether it can serve.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};

use crate::{http::problem::Problem, session::NO_USER, state::AppState};

/// Whether the process answers
#[utoipa::path(get, operation_id = "livez", path = "/livez", tag = "service", security(()), responses((status = NO_CONTENT)))]
pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether the database answers, and the extension is attached
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "service", security(()), responses((status = NO_CONTENT)))]
pub(super) async fn ready(State(state): State<AppState>) -> Result<StatusCode, Problem> {
    let ask = async { state.access.sessions.rows(NO_USER, None, "select pfa_sync.visible_organizations()", &[]).await.is_ok() };
    match state.ready.get(ask).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = "The database is not ready; the log of the service has the reason.";
            Err(Problem::new("unavailable", detail).retry_after(Duration::ZERO))
        }
    }
}

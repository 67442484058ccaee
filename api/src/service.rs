//! The routes, and the service around them from start to drain.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{Method, StatusCode, header},
    middleware,
    routing::{MethodRouter, get, post, put},
};
use pfa_relay::database::Database;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use tracing::info;

use crate::{conflicts, control, drafts, observation, problem::Problem, settings::Settings, sync, token::Verifier};

/// What every request needs.
pub(crate) struct Service {
    pub(crate) database: Database,
    pub(crate) verifier: Verifier,
    pub(crate) request_timeout: Duration,
}

type Route = (&'static str, &'static str, MethodRouter<Arc<Service>>);

/// Every route, by method and path.
fn table() -> Vec<Route> {
    vec![
        ("GET", "/livez", get(alive)),
        ("GET", "/readyz", get(ready)),
        ("POST", "/api/pfa-data/save-draft", post(drafts::save)),
        ("POST", "/api/pfa-data/commit-drafts", post(drafts::commit)),
        ("POST", "/api/pfa-data/discard-drafts", post(drafts::discard)),
        ("POST", "/api/pfa-data/withdraw", post(drafts::withdraw)),
        ("GET", "/api/pfa-data/modifications/{modificationId}/explain", get(drafts::explain)),
        ("GET", "/api/pems/sync-status", get(sync::status)),
        ("GET", "/api/pems/records/{pfaId}/timeline", get(sync::timeline)),
        ("GET", "/api/pems/dead-letters", get(sync::dead_letters)),
        ("GET", "/api/pems/conflicts", get(conflicts::list)),
        ("POST", "/api/pems/conflicts/preview", post(conflicts::preview)),
        ("POST", "/api/pems/conflicts/resolve", post(conflicts::resolve_all)),
        ("GET", "/api/pems/conflicts/{conflictId}", get(conflicts::get)),
        ("POST", "/api/pems/conflicts/{conflictId}/resolve", post(conflicts::resolve)),
        ("POST", "/api/pems/pause", post(control::pause)),
        ("POST", "/api/pems/resume", post(control::resume)),
        ("GET", "/api/pems/settings", get(control::settings)),
        ("PUT", "/api/pems/settings/{name}", put(control::set)),
    ]
}

/// Method and path of every route.
pub fn routes() -> Vec<(&'static str, &'static str)> {
    table().into_iter().map(|(method, path, _)| (method, path)).collect()
}

/// Serves until SIGTERM or SIGINT, then finishes the requests that are under way. Prints its address when it listens. A
/// database that is not there is waited for: requests are told so until it is.
pub async fn serve(settings: &Settings) -> Result<()> {
    let service = Arc::new(Service {
        database: settings.database()?,
        verifier: Verifier::new(&settings.jwt_secret()?),
        request_timeout: settings.request_timeout,
    });
    let cors = CorsLayer::new()
        .allow_origin(settings.origins()?)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH])
        .expose_headers([header::ETAG, header::RETRY_AFTER]);
    let router = table()
        .into_iter()
        .fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
        .with_state(service)
        .layer(DefaultBodyLimit::max(settings.body_limit))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, settings.request_timeout))
        .layer(cors)
        .layer(middleware::from_fn(observation::observe));

    let listener = TcpListener::bind(settings.listen).await.with_context(|| format!("can't listen on {}", settings.listen))?;
    let mut terminations = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupts = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let address = listener.local_addr()?;
    info!(%address, version = env!("CARGO_PKG_VERSION"), "service started");
    println!("listening on http://{address}");
    let _ = std::io::stdout().flush();
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminations.recv() => {}
                _ = interrupts.recv() => {}
            }
            info!("stopping: finishing what is under way");
        })
        .await?;
    info!("service stopped");
    Ok(())
}

/// `GET /livez`: the process answers.
async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /readyz`: the database answers, and the extension is attached.
async fn ready(State(service): State<Arc<Service>>) -> Result<StatusCode, Problem> {
    let answer = service.rows("", "select pfa_sync.visible_organizations()", &[]).await;
    answer
        .map(|_| StatusCode::NO_CONTENT)
        .map_err(|_| Problem::new("unavailable", "The database is not ready; the log says why."))
}

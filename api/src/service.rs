//! The routes, and the service around them from start to drain.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    extract::{DefaultBodyLimit, State},
    http::{HeaderName, Method, StatusCode, header},
    middleware,
};
use pfa_relay::{database::Database, monitoring::Monitoring};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::interval,
};
use tokio_util::sync::CancellationToken;
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use tracing::info;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    audit, conflicts, control, dead_letters, drafts,
    events::{self, Events},
    jobs, observation,
    openapi::Whole,
    pace::Pace,
    pages,
    problem::Problem,
    records,
    settings::Settings,
    sync,
    token::Verifier,
};

/// What every request needs.
pub(crate) struct Service {
    pub(crate) database: Database,
    pub(crate) verifier: Verifier,
    pub(crate) pace: Pace,
    pub(crate) request_timeout: Duration,
    pub(crate) events: Events,
    pub(crate) rights_interval: Duration,
    /// Streams end then.
    pub(crate) stop: CancellationToken,
}

/// Every route, with its part of the description.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::with_openapi(Whole::openapi())
        .routes(routes!(alive))
        .routes(routes!(ready))
        .routes(routes!(records::list))
        .routes(routes!(drafts::save))
        .routes(routes!(drafts::commit))
        .routes(routes!(drafts::discard))
        .routes(routes!(drafts::withdraw))
        .routes(routes!(drafts::state))
        .routes(routes!(drafts::explain))
        .routes(routes!(sync::write_sync))
        .routes(routes!(sync::status))
        .routes(routes!(sync::timeline))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::preview))
        .routes(routes!(conflicts::resolve_all))
        .routes(routes!(conflicts::get))
        .routes(routes!(conflicts::resolve))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::preview))
        .routes(routes!(dead_letters::requeue))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::changes))
        .routes(routes!(jobs::attempts))
        .routes(routes!(jobs::batches))
        .routes(routes!(events::listen))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::settings))
        .routes(routes!(control::set))
}

/// Serves until SIGTERM or SIGINT, then finishes the requests that are under way. Prints its address when it listens. A
/// database that is not there is waited for: requests are told so until it is.
pub async fn serve(settings: &Settings) -> Result<()> {
    let service = Arc::new(Service {
        database: settings.database()?,
        verifier: Verifier::new(settings.tokens()?)?,
        pace: Pace::new(settings.rate_limit),
        request_timeout: settings.request_timeout,
        events: Events::new(),
        rights_interval: settings.rights_interval,
        stop: CancellationToken::new(),
    });
    let cors = CorsLayer::new()
        .allow_origin(settings.origins()?)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER]);
    let (router, _) = routes().split_for_parts();
    let router = router
        .merge(pages::routes())
        .with_state(service.clone())
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
    if let Some(address) = settings.monitoring {
        // Figures of the database tell of all organizations, which the API's login may not know; the relay has them.
        Monitoring { address, database: service.database.clone(), figures_of_database: false }.start().await?;
    }
    tokio::spawn(forget_rested(service.clone()));
    tokio::spawn(Events::watch(service.clone()));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminations.recv() => {}
                _ = interrupts.recv() => {}
            }
            info!("stopping: finishing what is under way");
            service.stop.cancel();
        })
        .await?;
    info!("service stopped");
    Ok(())
}

/// Users who have rested are forgotten, so that their number does not grow for ever.
async fn forget_rested(service: Arc<Service>) {
    let mut minutes = interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        service.pace.forget();
    }
}

/// Whether the process answers
#[utoipa::path(get, operation_id = "livez", path = "/livez", tag = "service", security(()), responses((status = NO_CONTENT)))]
async fn alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether the database answers, and the extension is attached
#[utoipa::path(get, operation_id = "readyz", path = "/readyz", tag = "service", security(()), responses((status = NO_CONTENT)))]
async fn ready(State(service): State<Arc<Service>>) -> Result<StatusCode, Problem> {
    let answer = service.rows("", "select pfa_sync.visible_organizations()", &[]).await;
    answer
        .map(|_| StatusCode::NO_CONTENT)
        .map_err(|_| Problem::new("unavailable", "The database is not ready; the log says why."))
}

//! The server: the routes with their layers, from start to drain.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    middleware,
};
use pfa_service::{alerts::Alerts, cached::Cached, monitoring::Monitoring, server::serve as serve_routes, startup};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
use tracing::{info, warn};

use crate::{
    auth::{caller::Access, token::Verifier},
    events::{hub::Hub, poller},
    http::{
        concurrency::CallLimit,
        observe::{REQUEST_ID, observe},
        rate_limit::RateLimit,
        text::{check_address, known_parameters},
    },
    openapi,
    routes::{self, Dashboard},
    session::Sessions,
    settings::Settings,
    state::AppState,
};

/// How long an answer of `/readyz` is used for further requests, which need no token.
const READY_MAX_AGE: Duration = Duration::from_secs(1);

/// How often users without recent requests are removed from the rate limit.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Serves until SIGTERM or SIGINT, then finishes the requests in flight, within `request-timeout`. Prints its address when it listens. A database
/// that does not answer is waited for; until then requests get a problem.
pub async fn serve(settings: &Settings) -> Result<()> {
    let database = settings.database()?;
    let fault = startup::fault(database.clone(), &startup::API);
    let access = Arc::new(Access {
        verifier: Verifier::new(settings.tokens()?)?,
        rate_limit: RateLimit::new(settings.rate_limit),
        sessions: Sessions {
            database: database.clone(),
            statement_timeout: settings.request_timeout,
            calls: CallLimit::new(settings.calls_per_user.into()),
        },
    });
    let alerts = Alerts::new(database.clone(), &settings.alerts)?;
    let hub = Arc::new(Hub::new());
    let stop = CancellationToken::new();
    let state = AppState {
        access: access.clone(),
        hub: hub.clone(),
        rights_interval: settings.rights_interval,
        ready: Arc::new(Cached::new(READY_MAX_AGE)),
        standing: Arc::default(),
        stop: stop.clone(),
    };

    let listener = TcpListener::bind(settings.listen).await.with_context(|| format!("can't listen on {}", settings.listen))?;
    let mut terminations = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupts = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let address = listener.local_addr()?;
    let router = router(settings, state)?;
    info!(%address, version = env!("CARGO_PKG_VERSION"), "service started");
    println!("listening on http://{address}");
    let _ = std::io::stdout().flush();
    if let Some(address) = settings.monitoring.monitoring {
        // The database's metrics show all organizations, which the login of the API can't see; the relay serves them.
        Monitoring { address, database, figures_of_database: false }.start().await?;
    }
    tokio::spawn(remove_idle_users(access.clone()));
    tokio::spawn(poller::run(hub, access));
    tokio::spawn(alerts.run(stop.clone()));
    let (report, mut refused) = oneshot::channel();
    let stopping = stop.clone();
    let stopped = async move {
        tokio::select! {
            _ = terminations.recv() => {}
            _ = interrupts.recv() => {}
            fault = fault => drop(report.send(fault)),
        }
        info!("stopping: finishing the requests in flight");
        stop.cancel();
    };
    tokio::select! {
        () = serve_routes(listener, router, settings.head_timeout, stopped) => {}
        // An answer that its client does not take, such as an export, would keep the service from stopping.
        () = async { stopping.cancelled().await; sleep(settings.request_timeout).await } => {
            warn!("closing the connections whose requests did not end in time");
        }
    }
    info!("service stopped");
    match refused.try_recv() {
        Ok(fault) => Err(fault.into()),
        Err(_) => Ok(()),
    }
}

fn router(settings: &Settings, state: AppState) -> Result<Router> {
    let cors = CorsLayer::new()
        .allow_origin(settings.origins()?)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, REQUEST_ID]);
    let (described, document) = routes::all().split_for_parts();
    let dashboard = Dashboard::new(settings.sign_in_url.as_ref());
    let rest = async move |method: Method, uri: Uri, headers: HeaderMap| dashboard.answer(&method, &uri, &headers);
    Ok(described
        .merge(routes::docs(&openapi::document()))
        .fallback(rest)
        .route_layer(middleware::from_fn_with_state(known_parameters(&document), check_address))
        .with_state(state)
        .layer(DefaultBodyLimit::max(settings.body_limit))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, settings.request_timeout))
        .layer(cors)
        .layer(middleware::from_fn(observe)))
}

async fn remove_idle_users(access: Arc<Access>) {
    let mut ticks = interval(CLEANUP_INTERVAL);
    loop {
        ticks.tick().await;
        access.rate_limit.remove_idle();
        access.sessions.calls.remove_idle();
    }
}

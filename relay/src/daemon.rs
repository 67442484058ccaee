//! `pfa-relay run`: the parts, put together, from start to drain.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    carrier::Carrier,
    database::Database,
    dispatcher::Dispatcher,
    limiter::Limiter,
    listener::Listener,
    monitoring::Monitoring,
    pems::HttpPems,
    pems::Pems,
    pull::Puller,
    queue::Queue,
    schedule::{PULLS_AT_A_TIME, Schedule},
    settings::Settings,
};

/// Connections beside one per batch and per pull: the dispatcher's, and some for renewing leases.
const SPARE_CONNECTIONS: usize = 4;

/// Runs until SIGTERM or SIGINT, then finishes what is under way. A database or PEMS that is not there is waited for.
pub async fn run(settings: &Settings) -> Result<()> {
    let max_in_flight = usize::from(settings.max_in_flight);
    let database = Database::new(
        settings.database()?,
        settings.database_ca.as_deref(),
        max_in_flight + PULLS_AT_A_TIME + SPARE_CONNECTIONS,
    )?;
    let endpoint = settings.pems()?;
    let queue = Queue::new(database.clone(), settings.relay_name())
        .with_credentials(endpoint.credentials.fingerprint(&[endpoint.url.as_str(), &endpoint.tenant]));
    if let Some(address) = settings.monitoring {
        Monitoring { address, database: database.clone(), figures_of_database: true }.start().await?;
    }
    let stop = CancellationToken::new();
    let mut terminations = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupts = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    info!(relay = queue.relay(), version = env!("CARGO_PKG_VERSION"), pems = %endpoint.url, login = endpoint.credentials.kind(), "relay started");

    let pems: Arc<dyn Pems> = Arc::new(HttpPems::new(endpoint)?);
    let limiter = Arc::new(Limiter::new(queue.clone(), settings.requests_per_second));
    let puller = Puller {
        queue: queue.clone(),
        pems: pems.clone(),
        limiter: limiter.clone(),
        page_size: settings.page_size,
        stop: stop.clone(),
    };
    let carrier = Carrier { limiter, queue: queue.clone(), pems, request_timeout: settings.request_timeout, stop: stop.clone() };
    let wake = Arc::new(Notify::new());
    let listening = tokio::spawn(Listener::new(database, wake.clone()).run(stop.clone()));
    let dispatcher = Dispatcher::new(Arc::new(carrier), wake, settings.batch_size, max_in_flight);
    let pulling = tokio::spawn(Schedule::new(puller).run());
    let mut dispatching = tokio::spawn(dispatcher.run());

    tokio::select! {
        _ = terminations.recv() => {}
        _ = interrupts.recv() => {}
        ended = &mut dispatching => ended.context("the dispatcher ended by itself")?,
    }
    info!(relay = queue.relay(), "stopping: finishing what is under way");
    stop.cancel();
    let draining = async { tokio::join!(dispatching, pulling) };
    if timeout(settings.drain_timeout, draining).await.is_err() {
        warn!(relay = queue.relay(), "requests are still under way; they are settled when their leases end");
    }
    listening.await.context("the listener failed")?;
    info!(relay = queue.relay(), "relay stopped");
    Ok(())
}

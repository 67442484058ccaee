//! `pfa-relay run`: starts the parts of the relay, and drains them when it stops.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use pfa_service::{alerts::Alerts, database::Database, monitoring::Monitoring, startup};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    calls::Calls,
    inbound::{
        pull::Puller,
        schedule::{MAX_PULLS, Schedule},
    },
    jobs::Jobs,
    listener::Listener,
    outbound::{
        batch::Outbound,
        dispatcher::{Dispatcher, LEASE_MARGIN},
        preparation::Preparation,
        suspects::Suspects,
    },
    settings::Settings,
    systems::Systems,
    upkeep::Upkeep,
};

/// Connections beside one per batch and per pull: those of the dispatcher, of the upkeep, of the bulk jobs and of the alerts, and some for
/// renewing leases.
const SPARE_CONNECTIONS: usize = 7;

/// Runs until SIGTERM or SIGINT, then finishes what is in flight. Waits for a database or a PEMS that does not answer.
pub async fn run(settings: &Settings) -> Result<()> {
    let max_in_flight = usize::from(settings.max_in_flight);
    let database = Database::new(
        settings.database()?,
        settings.database.database_ca.as_deref(),
        max_in_flight + MAX_PULLS + SPARE_CONNECTIONS,
        "pfa-relay",
    )?;
    let pems = settings.pems()?;
    let alerts = Alerts::new(database.clone(), &settings.alerts)?;
    let mut calls = Calls::new(database.clone(), settings.relay_name());
    if let Some(embedded) = pems.embedded() {
        calls = calls.with_credentials(embedded.fingerprints());
    }
    if let Some(address) = settings.monitoring.monitoring {
        Monitoring { address, database: database.clone(), figures_of_database: true }.start().await?;
    }
    let stop = CancellationToken::new();
    let mut terminations = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupts = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    info!(
        relay = calls.relay(),
        version = env!("CARGO_PKG_VERSION"),
        pems = pems.url().map(ToString::to_string),
        login = pems.embedded().map(|embedded| embedded.login.current().kind().words()),
        credentials_key = pems.keys.sealing(),
        "relay started"
    );

    // Until the database fits nothing else starts, so that one line says what is waited for.
    tokio::select! {
        fit = startup::fit(&database, &startup::RELAY) => fit?,
        _ = terminations.recv() => return Ok(()),
        _ = interrupts.recv() => return Ok(()),
    }
    tokio::spawn(alerts.run(stop.clone()));
    let request_timeout = pems.request_timeout;
    let systems = Arc::new(Systems::new(calls.clone(), pems)?);
    // What is scheduled before would find no organization to serve.
    tokio::select! {
        () = systems.ready() => {}
        _ = terminations.recv() => return Ok(()),
        _ = interrupts.recv() => return Ok(()),
    }
    let puller = Puller { calls: calls.clone(), systems: systems.clone(), page_size: settings.page_size, stop: stop.clone() };
    let wake = Arc::new(Notify::new());
    let listener = Listener::new(database, wake.clone());
    let upkeep =
        Upkeep::start(calls.clone(), systems.clone(), listener.listening(), request_timeout + LEASE_MARGIN, stop.clone());
    let jobs = Jobs::start(calls.clone(), upkeep.clone(), stop.clone());
    let outbound = Outbound {
        calls: calls.clone(),
        systems: systems.clone(),
        suspects: Suspects::default(),
        preparation: Preparation::default(),
        stop: stop.clone(),
    };
    let listening = tokio::spawn(listener.run(stop.clone()));
    let dispatcher = Dispatcher::new(Arc::new(outbound), upkeep, jobs, wake, settings.batch_size, max_in_flight);
    let pulling = tokio::spawn(Schedule::new(puller).run());
    let mut dispatching = tokio::spawn(dispatcher.run());

    let mut fault = None;
    tokio::select! {
        _ = terminations.recv() => {}
        _ = interrupts.recv() => {}
        found = systems.certificate_fault() => fault = Some(found),
        ended = &mut dispatching => ended.context("the dispatcher failed")?,
    }
    info!(relay = calls.relay(), "stopping: finishing what is in flight");
    stop.cancel();
    let draining = async { tokio::join!(dispatching, pulling) };
    if timeout(settings.drain_timeout, draining).await.is_err() {
        warn!(relay = calls.relay(), "requests are still in flight; they are reconciled when their leases end");
    }
    listening.await.context("the listener failed")?;
    info!(relay = calls.relay(), "relay stopped");
    match fault {
        Some(fault) => Err(anyhow!(fault)),
        None => Ok(()),
    }
}

//! `make demo`: the whole road on this machine, with real parts: a private PostgreSQL server with the application's
//! tables and the extension, the PEMS simulator over TLS, the relay and the API.

mod agreement;
mod edits;
mod plant;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tokio::signal::unix::{SignalKind, signal};

pub use plant::Plant;

/// What the demo is asked to do.
pub struct Order {
    /// The PEMS grid export to load.
    pub input: PathBuf,
    /// The codes of its organizations.
    pub organizations: Vec<String>,
    /// Check that all parts agree and return, instead of staying up.
    pub once: bool,
}

/// Runs the demo. Ctrl-C and SIGTERM end it at any point, and nothing is left behind.
pub async fn run(order: Order) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut plant = None;
    let outcome = tokio::select! {
        outcome = perform(&order, &mut plant) => outcome,
        _ = interrupted.recv() => Ok(()),
        _ = terminated.recv() => Ok(()),
    };
    if let Some(plant) = plant {
        say("\nstopping");
        plant.stop().await?;
    }
    outcome
}

async fn perform(order: &Order, plant: &mut Option<Plant>) -> Result<()> {
    let plant = plant.insert(Plant::start(&order.input, &order.organizations).await?);
    plant.fill_mirror().await?;
    plant.start_relay().await?;
    plant.start_api().await?;

    let edits = edits::Edits::draft(plant).await?;
    let before = edits.samples_in_pems(plant).await?;
    edits.commit_and_watch(plant).await?;
    edits::single_edit(plant).await?;
    edits.tell_samples(plant, &before).await?;

    if order.once {
        let disagreements = agreement::disagreements(plant).await?;
        disagreements.iter().take(20).for_each(|disagreement| say(disagreement));
        ensure!(disagreements.is_empty(), "simulator, mirror and queue disagree in {} places", disagreements.len());
        say("simulator, mirror and queue agree, record by record");
        return Ok(());
    }
    plant.tell_how_to_connect()?;
    std::future::pending().await
}

/// One line for the person who watches.
fn say(line: &str) {
    println!("{line}");
    // Whoever reads through a pipe sees it at once.
    let _ = std::io::stdout().flush();
}

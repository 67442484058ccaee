//! `pems-simulator`: PEMS for the demo and for tests by hand.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use pems_simulator::export;
use pems_simulator::{Config, Credentials, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Simulates PEMS' write contract over TLS, with its limit of 10 requests a second.
///
/// This is test equipment: it holds everything in memory, signs its own certificate, and shows faults on demand
/// (POST /simulator/faults).
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to write the certificate of the authority that signed the server's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A PEMS grid export to start with: JSON, gzip allowed
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Code of an organization; repeat for several
    #[arg(long = "organization", value_name = "CODE", default_values = ["RIO", "HARBOUR"])]
    organizations: Vec<String>,
    /// The user it lets in
    #[arg(long, default_value = "pfa-sync")]
    user: String,
    /// The user's password; it protects nothing
    #[arg(long, default_value = "secret")]
    password: String,
    /// The tenant that requests must name
    #[arg(long, default_value = "TEST")]
    tenant: String,
    /// Requests admitted in any second; 0 = no limit
    #[arg(long, default_value_t = 10)]
    rate_limit: usize,
    /// How long every answer takes, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

/// How many refused rows are printed one by one.
const MAX_PRINTED_ROWS: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pems-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until stopped.
async fn serve(arguments: Arguments) -> Result<()> {
    let loaded = match &arguments.load {
        Some(file) => {
            let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            export::read(&bytes, &arguments.organizations).with_context(|| format!("loading {}", file.display()))?
        }
        None => export::Export::default(),
    };
    let simulator = Simulator::start(Config {
        listen: arguments.listen,
        credentials: Credentials::Basic { user: arguments.user, password: arguments.password },
        tenant: arguments.tenant,
        organizations: arguments.organizations,
        per_second: (arguments.rate_limit > 0).then_some(arguments.rate_limit),
        latency: Duration::from_millis(arguments.latency_ms),
    })
    .await?;
    if let Some(file) = &arguments.ca_file {
        fs::write(file, simulator.ca_pem()).with_context(|| format!("writing {}", file.display()))?;
    }
    let (records, refusals) = (loaded.records.len(), &loaded.refusals);
    for refusal in refusals.iter().take(MAX_PRINTED_ROWS) {
        println!("row {} is refused: {}: {}", refusal.row, refusal.alias, refusal.reason);
    }
    if refusals.len() > MAX_PRINTED_ROWS {
        println!("… and {} rows more", refusals.len() - MAX_PRINTED_ROWS);
    }
    if arguments.load.is_some() {
        println!("{records} records loaded, {} rows refused", refusals.len());
    }
    simulator.load(loaded.records);
    println!("the PEMS simulator listens on {}", simulator.url());
    std::io::stdout().flush()?;

    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    simulator.stop().await;
    Ok(())
}

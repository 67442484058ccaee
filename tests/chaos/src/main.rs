//! `chaos`: one run of `make chaos`.

use anyhow::{Result, bail};
use chaos::{Options, run};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Edits, kills, crashes and an unreliable PEMS, drawn from a seed; then everything is checked. Ends with 1 if a promise
/// was broken, and names each.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What edits and faults are drawn from [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds of edits and faults; draining comes on top
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Edits of all editors together
    #[arg(long, default_value_t = 5_000)]
    edits: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { seed, seconds, edits } = Arguments::parse();
    let options = Options { seed: seed.unwrap_or_else(|| fastrand::u64(..1_000_000)), seconds, edits };
    println!("{options}");
    let mut terminated = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = run(&options, |line| println!("{line}")) => outcome?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    println!("{}", outcome.summary);
    for violation in &outcome.violations {
        println!("{violation}");
    }
    if let Some(logs) = outcome.logs {
        bail!("{} promises broken with {options}; the logs are in {}", outcome.violations.len(), logs.display());
    }
    println!("every promise was kept");
    Ok(())
}

//! `bench`: runs the benchmarks of `make bench` and writes their table and JSON.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

/// Measures pfa-sync on a private PostgreSQL server that forces commits to disk, and prints a table.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = testbed::bench::run(|step| eprintln!("measuring: {step}")).await?;
    println!("{report}");
    fs::write(&arguments.json, serde_json::to_string_pretty(&report.json())?)
        .with_context(|| format!("writing {}", arguments.json.display()))?;
    eprintln!("the figures as JSON: {}", arguments.json.display());
    Ok(())
}

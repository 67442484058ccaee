//! `bench`: runs the benchmarks of `make bench` and writes their table and JSON.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use testbed::bench::{self, Section};

/// Measures pfa-sync on a private PostgreSQL server that forces commits to disk, and prints a table.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to measure [default: all of it]
    sections: Vec<Section>,
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sections = if arguments.sections.is_empty() { Section::value_variants() } else { &arguments.sections };
    let report = bench::run(sections, |section| eprintln!("measuring: {section}")).await?;
    println!("{report}");
    fs::write(&arguments.json, serde_json::to_string_pretty(&report.json())?)
        .with_context(|| format!("writing {}", arguments.json.display()))?;
    eprintln!("the figures as JSON: {}", arguments.json.display());
    Ok(())
}

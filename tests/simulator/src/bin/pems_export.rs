//! `pems-export`: writes the grid export that the repository ships.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use pems_simulator::export::sample;

/// Generates the sample PEMS grid export of the demo and the tests; the same bytes every time.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to write it
    #[arg(default_value = "tests/fixtures/pems-export.json.gz")]
    file: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { file } = Arguments::parse();
    fs::write(&file, sample::gzipped()?).with_context(|| format!("writing {}", file.display()))
}

//! `demo`: what `make demo` runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use testbed::demo;
use testbed::process::exit_code;

/// Shows an edit on its way from SQL to PEMS, on this machine and with nothing but what it starts itself.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Check that simulator, mirror and queue agree, and exit: 0 if they do
    #[arg(long)]
    once: bool,
    /// A PEMS grid export: JSON as PEMS answers it, gzip allowed
    #[arg(long, value_name = "FILE", default_value = "tests/fixtures/pems-export.json.gz")]
    input: PathBuf,
    /// Code of an organization in the export; repeat for several
    #[arg(long = "organization", value_name = "CODE", default_values = ["RIO", "HARBOUR"])]
    organizations: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { once, input, organizations } = Arguments::parse();
    exit_code("demo", demo::run(demo::Order { input, organizations, once }).await)
}

//! `demo`, which `make demo` runs: real parts on this machine: a private PostgreSQL server with the application's tables
//! and the extension, the PEMS simulator over TLS, the relay and the API.

mod agreement;
mod edits;
mod stack;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use testbed::process::exit_code;
use tokio::signal::unix::{SignalKind, signal};

use stack::Stack;

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
    exit_code("demo", run(Arguments::parse()).await)
}

/// Runs the demo. Ctrl-C and SIGTERM end it at any point, and nothing is left behind.
async fn run(arguments: Arguments) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut stack = None;
    let outcome = tokio::select! {
        outcome = perform(&arguments, &mut stack) => outcome,
        _ = interrupted.recv() => Ok(()),
        _ = terminated.recv() => Ok(()),
    };
    if let Some(stack) = stack {
        say("\nstopping");
        stack.stop().await?;
    }
    outcome
}

async fn perform(arguments: &Arguments, stack: &mut Option<Stack>) -> Result<()> {
    let stack = stack.insert(Stack::start(&arguments.input, &arguments.organizations).await?);
    stack.fill_mirror().await?;
    stack.start_relay().await?;
    stack.start_api().await?;

    let edits = edits::Edits::draft(stack).await?;
    let before = edits.samples_in_pems(stack).await?;
    edits.commit_and_watch(stack).await?;
    edits::single_edit(stack).await?;
    edits.print_samples(stack, &before).await?;

    if arguments.once {
        let disagreements = agreement::disagreements(stack).await?;
        disagreements.iter().take(20).for_each(|disagreement| say(disagreement));
        ensure!(disagreements.is_empty(), "simulator, mirror and queue disagree in {} places", disagreements.len());
        say("simulator, mirror and queue agree, record by record");
        return Ok(());
    }
    stack.print_how_to_connect()?;
    std::future::pending().await
}

/// Prints one line.
fn say(line: &str) {
    println!("{line}");
    // Flushed, so that a reader of a pipe sees it at once.
    let _ = std::io::stdout().flush();
}

//! `testbed`: runs a command with a private PostgreSQL server that lives as long as the command.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use testbed::cluster::{Cluster, Options};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

#[derive(Parser)]
#[command(version, about = "The test bed of pfa-sync")]
enum Arguments {
    /// Starts a private PostgreSQL server, builds the template databases, runs the command and stops the server.
    ///
    /// The exit code is the command's. The command finds the server by PFA_TEST_DATABASE_URL.
    WithCluster {
        /// Load the extension at the start of the server (shared_preload_libraries)
        #[arg(long)]
        preload: bool,
        /// Force commits to disk
        #[arg(long)]
        durable: bool,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments::WithCluster { preload, durable, command } = Arguments::parse();
    let mut options = Options::default();
    if preload {
        options = options.preloaded();
    }
    if durable {
        options = options.durable();
    }
    with_cluster(&options, &command).await
}

async fn with_cluster(options: &Options, command: &[OsString]) -> Result<ExitCode> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut cluster = Cluster::start(options)?;
    let built = tokio::select! {
        biased;
        _ = interrupts.recv() => return Ok(ExitCode::from(128 + Signal::INT.as_raw() as u8)),
        _ = terminations.recv() => return Ok(ExitCode::from(128 + Signal::TERM.as_raw() as u8)),
        built = cluster.server().build_templates() => built,
    };
    if let Err(error) = built {
        cluster.keep_log();
        return Err(error).context("building the template databases");
    }
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .envs(cluster.environment())
        .spawn()
        .with_context(|| format!("running {:?}", command[0]))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = terminations.recv() => pass_on(&child, Signal::TERM),
            // A Ctrl-C in a terminal reaches the command without us.
            _ = interrupts.recv() => if !io::stdin().is_terminal() { pass_on(&child, Signal::INT) },
        }
    };
    if status.code().is_some_and(|code| code != 0) {
        cluster.keep_log();
    }
    cluster.stop()?;
    Ok(ExitCode::from(code_of(status)))
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        // Fails only if it ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// The exit code as a shell reports it.
fn code_of(status: ExitStatus) -> u8 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) as u8
}

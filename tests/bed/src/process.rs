//! The programs under test as real processes, each stopped by its pid.

use std::env;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The exit code of a program. An error is printed in one line, without a backtrace.
pub fn exit_code(program: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A running program. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A program of this workspace, built in the same profile as the one that runs.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let beside = own.ancestors().skip(1).map(|directory| directory.join(name)).find(|path| path.is_file());
    beside.with_context(|| format!("{name} is not built: cargo build --workspace"))
}

impl Process {
    /// Starts a program of this workspace.
    pub fn start(name: &str, configure: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(program(name)?);
        configure(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The next line that the program prints; an error when it ended instead.
    pub async fn line(&mut self) -> Result<String> {
        match self.lines.next_line().await? {
            Some(line) => Ok(line),
            None => {
                let status = self.child.wait().await?;
                anyhow::bail!("{} ended with {status}", self.name)
            }
        }
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait().await
    }

    /// Ends the program at once (SIGKILL), as a crash would.
    pub async fn kill(mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.wait().await
    }

    /// Waits until the program ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // A program that ends may still print, and must not block on a full pipe.
        while self.lines.next_line().await?.is_some() {}
        Ok(self.child.wait().await?)
    }

    /// How the program ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id as i32));
        match pid {
            Some(pid) => kill_process(pid, signal).with_context(|| format!("signalling {}", self.name)),
            None => Ok(()),
        }
    }
}

//! The server process: launched as a child, so that its pid is certain, and waited for.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// After this a server that hangs in a fast shutdown is stopped at once.
const FAST_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
const PORT_TAKEN: &str = "could not bind IPv4 address";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are cut off and their transactions rolled back; the data files are clean.
    Fast,
    /// Everything stops at once, as in a crash: the next launch recovers from the write-ahead log.
    Immediate,
}

/// Why a server did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    /// Somebody listens there: another port may do.
    #[error("the port is taken")]
    PortTaken,
    #[error("the server exited with {0}")]
    Exited(ExitStatus),
    #[error("the server was not ready within {} s", START_TIMEOUT.as_secs())]
    TimedOut,
    #[error("launching the server")]
    Launch(#[from] io::Error),
}

pub(super) struct Postmaster {
    pid: Pid,
    keeper: Option<JoinHandle<io::Result<ExitStatus>>>,
}

impl Postmaster {
    /// Launches the server and waits until it takes connections.
    pub(super) fn launch(mut command: Command, log: &Path, data: &Path) -> Result<Self, NotReady> {
        let file = File::options().create(true).append(true).open(log)?;
        let earlier = file.metadata()?.len() as usize;
        // A group of its own: a Ctrl-C in the terminal is for us, and we stop the server when we are done with it.
        command.process_group(0).stdout(file.try_clone()?).stderr(file);
        let mut postmaster = Self::spawn(command)?;
        match postmaster.wait_until_ready(data) {
            Err(NotReady::Exited(_)) if fs::read_to_string(log)?[earlier..].contains(PORT_TAKEN) => Err(NotReady::PortTaken),
            Err(error) => Err(error),
            Ok(()) => Ok(postmaster),
        }
    }

    /// Stops the server and waits until it is gone.
    pub(super) fn stop(mut self, how: Shutdown) -> Result<()> {
        self.signal(how);
        if how == Shutdown::Fast && !self.wait_for_exit(FAST_TIMEOUT) {
            self.signal(Shutdown::Immediate);
        }
        let status = self.exit_status()?;
        ensure!(status.success() || how == Shutdown::Immediate, "PostgreSQL exited with {status}");
        Ok(())
    }

    /// The kernel interrupts a child when the *thread* that made it ends. So the thread that makes it also waits for it.
    fn spawn(mut command: Command) -> io::Result<Self> {
        let (launched, pid) = mpsc::channel();
        let keeper = thread::Builder::new().name("postmaster".into()).spawn(move || {
            let mut child = command.spawn()?;
            let _ = launched.send(child.id());
            child.wait()
        })?;
        match pid.recv() {
            Ok(pid) => Ok(Self { pid: Pid::from_raw(pid as i32).expect("a child has a pid"), keeper: Some(keeper) }),
            Err(_) => Err(keeper.join().expect("the keeper does not panic").expect_err("without a pid there is an error")),
        }
    }

    fn wait_until_ready(&mut self, data: &Path) -> Result<(), NotReady> {
        let deadline = Instant::now() + START_TIMEOUT;
        while state_of(self.pid, data).as_deref() != Some("ready") {
            if self.has_exited() {
                return Err(NotReady::Exited(self.exit_status()?));
            }
            if Instant::now() > deadline {
                return Err(NotReady::TimedOut);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn signal(&self, how: Shutdown) {
        if self.has_exited() {
            return;
        }
        // Fails only if it exited meanwhile.
        let _ = kill_process(
            self.pid,
            match how {
                Shutdown::Fast => Signal::INT,
                Shutdown::Immediate => Signal::QUIT,
            },
        );
    }

    fn has_exited(&self) -> bool {
        self.keeper.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn wait_for_exit(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        while !self.has_exited() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.has_exited()
    }

    fn exit_status(&mut self) -> io::Result<ExitStatus> {
        let keeper = self.keeper.take().expect("asked once");
        keeper.join().expect("the keeper does not panic")
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Shutdown::Immediate);
    }
}

/// The postmaster writes its state into the eighth line of its pid file, for pg_ctl.
fn state_of(pid: Pid, data: &Path) -> Option<String> {
    let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = file.lines().map(str::trim);
    let ours = lines.next()? == pid.as_raw_nonzero().to_string();
    ours.then(|| lines.nth(6).map(str::to_owned)).flatten()
}

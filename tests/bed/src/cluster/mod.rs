//! A private PostgreSQL server: started for one run, stopped with it, and independent of the system's servers.
//!
//! - [`Cluster`] owns a running server: [`Cluster::start`] for the demo, the benchmarks and tests that break things.
//! - [`shared`] is the server that `testbed with-cluster` runs for all tests, each with a [`Database`] of its own.
//! - [`Pooler`] is PgBouncer before a database.
//! - [`Server`] says where a server is and connects to it; [`Template`] names what a new database starts from.

mod database;
mod installation;
mod options;
mod os_user;
mod pooler;
mod postmaster;
mod server;
mod template;
mod work_dir;

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, bail, ensure};

pub use self::{
    database::Database,
    options::Options,
    pooler::{PoolMode, Pooler},
    postmaster::Shutdown,
    server::{Login, Server, connect, shared},
    template::{APPLICATION_SCHEMA, ROLES, SAMPLE, Template},
};
use self::{
    installation::{Installation, PROGRAMS_VARIABLE},
    os_user::OsUser,
    postmaster::{NotReady, Postmaster},
    server::DATABASE_VARIABLE,
    work_dir::{WORK_DIR_VARIABLE, WorkDir},
};

/// How often another port is tried when the port is taken.
const PORT_ATTEMPTS: usize = 10;

/// A running server with a data directory of its own. Dropping it stops the server and removes the directory; should
/// this process die without dropping it, the server shuts itself down.
///
/// Its methods block: a start takes a good half second, most of it `initdb`.
pub struct Cluster {
    directory: PathBuf,
    installation: Installation,
    server: Server,
    postmaster: Option<Postmaster>,
    keep_log: bool,
    /// Locked as long as we live: an abandoned directory is one that can be locked.
    _held: File,
    // Dropped last: it may own the directory that holds all of the above.
    work_dir: WorkDir,
}

impl Cluster {
    /// Makes a fresh cluster and starts it on a free port of 127.0.0.1.
    ///
    /// The data directory is always initdb's, never a copy: a copy has the same system identifier, which pfa_sync
    /// takes for the same installation.
    pub fn start(options: &Options) -> Result<Self> {
        let work_dir = WorkDir::open()?;
        let installation = Installation::inherited().or_else(|_| Installation::prepare(&work_dir))?;
        Self::made(work_dir, installation, random_password(), options, |os_user, installation, directory, password| {
            let password_file = directory.join("password");
            fs::write(&password_file, password)?;
            os_user.give(&password_file)?;
            fs::set_permissions(&password_file, Permissions::from_mode(0o600))?;
            initialize(os_user, installation, directory, &password_file)?;
            Ok(fs::remove_file(&password_file)?)
        })
    }

    /// Starts a hot standby that follows this cluster, on a port of its own, until it is promoted.
    pub fn standby(&self, options: &Options) -> Result<Self> {
        let primary = format!("host=127.0.0.1 port={} user=postgres", self.server.port());
        let password = self.server.password();
        Self::made(
            WorkDir::open()?,
            self.installation.clone(),
            self.server.password().to_owned(),
            options,
            |os_user, installation, directory, _| {
                let mut command = os_user.command(installation.program("pg_basebackup"));
                command.arg("-D").arg(directory.join("data")).args(["-d", &primary, "-R", "-c", "fast", "--no-sync"]);
                // Every account of the machine can read the arguments of a process, but not its environment.
                os_user::run(command.env("PGPASSWORD", password))
            },
        )
    }

    fn made(
        work_dir: WorkDir,
        installation: Installation,
        password: String,
        options: &Options,
        make: impl FnOnce(OsUser, &Installation, &Path, &str) -> Result<()>,
    ) -> Result<Self> {
        let (directory, held) = work_dir.new_directory(options.is_durable())?;
        make(work_dir.os_user(), &installation, &directory, &password)?;
        options.append_to(&directory.join("data/postgresql.conf"))?;
        let mut cluster = Self {
            server: Server::new(0, password, installation.clone()),
            directory,
            installation,
            postmaster: None,
            keep_log: false,
            _held: held,
            work_dir,
        };
        if let Err(error) = cluster.launch_on_free_port() {
            cluster.keep_log();
            return Err(error);
        }
        Ok(cluster)
    }

    /// Where the server is and how to log in.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server's log. It is removed with the cluster, unless the process panics or [`keep_log`](Self::keep_log) was called.
    pub fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// The directory of the cluster: data and log, readable by the system user that runs the server only (mode 0700).
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The variables that make [`shared`] find this cluster in a child process. They hold the superuser's password.
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        [
            (DATABASE_VARIABLE, self.server.url("postgres").into()),
            (PROGRAMS_VARIABLE, self.installation.programs().into()),
            (WORK_DIR_VARIABLE, self.work_dir.directory().into()),
        ]
    }

    /// Leaves the log where it is when the cluster goes, and says where that is.
    pub fn keep_log(&mut self) {
        self.keep_log = true;
    }

    /// Stops the server and leaves its data for [`launch`](Self::launch).
    pub fn halt(&mut self, how: Shutdown) -> Result<()> {
        let postmaster = self.postmaster.take().context("the server is not running")?;
        postmaster.stop(how)
    }

    /// Starts a halted server again, on the same port, and waits until it takes connections.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.postmaster.is_none(), "the server is running");
        self.try_launch().with_context(|| self.last_words())
    }

    /// Stops the server and removes its directory, as dropping does, but says what went wrong.
    pub fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    fn launch_on_free_port(&mut self) -> Result<()> {
        for _ in 0..PORT_ATTEMPTS {
            self.server.set_port(work_dir::free_port()?);
            match self.try_launch() {
                Ok(()) => return Ok(()),
                Err(NotReady::PortTaken) => continue,
                Err(error) => return Err(error).with_context(|| self.last_words()),
            }
        }
        bail!("no free port after {PORT_ATTEMPTS} attempts")
    }

    fn try_launch(&mut self) -> Result<(), NotReady> {
        let data = self.directory.join("data");
        let mut command = self.work_dir.os_user().command(self.installation.program("postgres"));
        command.arg("-D").arg(&data).args(["-p", &self.server.port().to_string()]);
        self.postmaster = Some(Postmaster::launch(command, &self.log(), &data)?);
        Ok(())
    }

    fn shut_down(&mut self) -> Result<()> {
        let stopped = match self.postmaster.take() {
            Some(postmaster) => postmaster.stop(Shutdown::Fast),
            None => Ok(()),
        };
        let data = self.directory.join("data");
        if !data.exists() {
            return stopped;
        }
        let rubbish = if self.keep_log || stopped.is_err() || thread::panicking() {
            self.work_dir.keep();
            eprintln!("the log of the PostgreSQL server is in {} until the next run", self.log().display());
            &data
        } else {
            &self.directory
        };
        stopped.and(fs::remove_dir_all(rubbish).with_context(|| format!("removing {}", rubbish.display())))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        format!("PostgreSQL did not start; the end of {}:\n{tail}", self.log().display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            eprintln!("stopping PostgreSQL: {error:#}");
        }
    }
}

fn initialize(os_user: OsUser, installation: &Installation, directory: &Path, password_file: &Path) -> Result<()> {
    let mut command = os_user.command(installation.program("initdb"));
    command
        .arg("-D")
        .arg(directory.join("data"))
        .args(["--username=postgres", "--auth-local=scram-sha-256", "--auth-host=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions", "--pwfile"])
        .arg(password_file);
    os_user::run(&mut command)
}

fn random_password() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState is keyed by the system's random source.
    (0..2).map(|_| format!("{:016x}", RandomState::new().hash_one(0))).collect()
}

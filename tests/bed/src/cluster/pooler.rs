//! PgBouncer before a database, with the settings that the project ships.

use std::{
    env,
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{Database, Login, PORT_ATTEMPTS, os_user::OsUser, work_dir};

/// The settings that an operator starts from.
const SETTINGS: &str = include_str!("../../../../deploy/pgbouncer/pgbouncer.ini");

/// The name of the program, in Debian's package and where `make setup` unpacks it.
const PROGRAM: &str = "pgbouncer";

/// When a connection goes back to the pool: the two names that the shipped settings give to one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// With the end of the client's connection.
    Session,
    /// With the end of each transaction.
    Transaction,
}

/// A running PgBouncer on 127.0.0.1, with all logins. Dropping it kills it.
pub struct Pooler {
    child: Child,
    port: u16,
    password: String,
    _directory: TempDir,
}

impl Pooler {
    /// Starts PgBouncer before this database. It blocks until the port is open.
    pub fn start(database: &Database) -> Result<Self> {
        let (os_user, directory) = (OsUser::current()?, TempDir::new()?);
        let program = installed(directory.path())?;
        let password = database.server().password();
        let users: String =
            Login::ALL.iter().map(|login| login.name()).map(|name| format!("\"{name}\" \"{password}\"\n")).collect();
        let user_list = directory.path().join("userlist.txt");
        fs::write(&user_list, users)?;
        let settings_file = directory.path().join("pgbouncer.ini");
        let server = format!("port={} dbname={} ", database.server().port(), database.name());
        for _ in 0..PORT_ATTEMPTS {
            let port = work_dir::free_port()?;
            let settings = replaced(SETTINGS, "port=5432 dbname=pfa ", &server)?;
            let settings = replaced(&settings, "/etc/pgbouncer/userlist.txt", &user_list.to_string_lossy())?;
            fs::write(&settings_file, replaced(&settings, "listen_port = 6432", &format!("listen_port = {port}"))?)?;
            for path in [directory.path(), &user_list, &settings_file] {
                os_user.give(path)?;
            }
            let mut command = os_user.command(&program);
            // The libraries of the unpacked program lie beside it.
            command.arg(&settings_file).env("LD_LIBRARY_PATH", directory.path());
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting PgBouncer")?;
            let mut log = BufReader::new(child.stderr.take().context("no standard error")?).lines();
            if log.by_ref().map_while(Result::ok).any(|line| line.contains("listening on 127.0.0.1")) {
                // A full pipe would block it.
                std::thread::spawn(move || log.for_each(drop));
                return Ok(Self { child, port, password: password.to_owned(), _directory: directory });
            }
            child.wait()?;
        }
        bail!("PgBouncer did not start on {PORT_ATTEMPTS} ports")
    }

    /// The URL of one of the programs' logins through the pooler. It holds the password.
    pub fn url(&self, mode: PoolMode, login: Login) -> String {
        let name = match mode {
            PoolMode::Session => "pfa_sync",
            PoolMode::Transaction => "pfa",
        };
        format!("postgres://{}:{}@127.0.0.1:{}/{name}", login.name(), self.password, self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text with all occurrences replaced; an error when the shipped settings no longer have it.
fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "deploy/pgbouncer/pgbouncer.ini does not have {from:?}");
    Ok(text.replace(from, to))
}

/// The program of the machine; otherwise a copy, in this directory, of the one that `make setup` has unpacked, because the
/// user that runs it may not reach the build.
fn installed(directory: &Path) -> Result<PathBuf> {
    let of_machine = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|place| Path::new(place).join(PROGRAM));
    if let Some(program) = of_machine.into_iter().find(|program| program.is_file()) {
        return Ok(program);
    }
    let own = env::current_exe()?;
    let unpacked = own.ancestors().map(|above| above.join(PROGRAM)).find(|unpacked| unpacked.join(PROGRAM).is_file());
    for file in fs::read_dir(unpacked.context("PgBouncer is neither installed nor unpacked: make setup")?)? {
        let file = file?;
        let copy = directory.join(file.file_name());
        fs::copy(file.path(), &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    }
    Ok(directory.join(PROGRAM))
}

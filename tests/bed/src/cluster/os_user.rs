//! The system user that runs PostgreSQL: the current one, or `postgres` for root, which PostgreSQL refuses.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The owner of the PostgreSQL processes and of all files that they read or write.
#[derive(Clone, Copy)]
pub(super) enum OsUser {
    Current,
    Postgres { uid: u32, gid: u32 },
}

impl OsUser {
    pub(super) fn current() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Current);
        }
        Ok(Self::Postgres { uid: id("-u")?, gid: id("-g")? })
    }

    /// A command that runs as this user and is interrupted when this process dies, so that no server outlives it.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if let Self::Postgres { uid, gid } = self {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--init-groups"]);
        }
        // PGDATA, PGOPTIONS or PGSERVICE of the user must not reach the server.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.arg("--").arg(program).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Makes the user the owner of a file or directory.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        match self {
            Self::Current => Ok(()),
            Self::Postgres { uid, gid } => {
                chown(path, Some(uid), Some(gid)).with_context(|| format!("giving {} to postgres", path.display()))
            }
        }
    }

    /// Whether the user can work in this directory: it may hold it, and every parent lets it through.
    pub(super) fn reaches(self, directory: &Path) -> Result<bool> {
        let mut command = self.command("test");
        command.arg("-w").arg(directory).args(["-a", "-x"]).arg(directory);
        Ok(command.status().context("running setpriv (util-linux)")?.success())
    }
}

/// Runs a command to its end; its output is shown only if it fails.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn id(kind: &str) -> Result<u32> {
    let output = Command::new("id").args([kind, "postgres"]).output().context("running id")?;
    let number = String::from_utf8_lossy(&output.stdout);
    number.trim().parse().context("PostgreSQL refuses to run as root, and there is no user \"postgres\" to run it: make setup")
}

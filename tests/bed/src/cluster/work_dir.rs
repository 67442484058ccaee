//! Where private installations and clusters are kept.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::os_user::OsUser;

/// The environment variable by which child processes put their clusters into the same place.
pub(super) const WORK_DIR_VARIABLE: &str = "PFA_TEST_WORK_DIR";

/// What the names of the clusters' directories begin with.
const CLUSTER: &str = "cluster-";

/// A socket's path is limited to 107 bytes; `/cluster-XXXXXX/.s.PGSQL.NNNNN` follows the directory's.
const LONGEST_PATH: usize = 70;

/// Files in memory, for clusters that need not survive anything: a file system spends most of a test's time on the hundreds of
/// files of its database.
const MEMORY: &str = "/dev/shm";

/// What must be free there.
const MEMORY_NEEDED: u64 = 4 << 30;

/// Below the range from which Linux picks the local ports of outgoing connections, so that no other process
/// takes the port of a server that is down for a moment.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A directory that belongs to the user who runs PostgreSQL, and can be reached by it: beside this program in cargo's
/// target directory, or, if that is not possible, a new one under the system's temporary directory. Clusters that are not
/// durable are kept in memory where there is enough.
pub(super) struct WorkDir {
    directory: PathBuf,
    os_user: OsUser,
    temporary: Option<TempDir>,
}

impl WorkDir {
    pub(super) fn open() -> Result<Self> {
        let os_user = OsUser::current()?;
        if let Some(inherited) = env::var_os(WORK_DIR_VARIABLE) {
            return Ok(Self { directory: inherited.into(), os_user, temporary: None });
        }
        let directory = profile_directory()?.join("postgres");
        fs::create_dir_all(&directory)?;
        os_user.give(&directory)?;
        if directory.as_os_str().len() <= LONGEST_PATH && os_user.reaches(&directory)? {
            let work_dir = Self { directory, os_user, temporary: None };
            work_dir.sweep(&work_dir.directory)?;
            if let Some(memory) = work_dir.memory()? {
                work_dir.sweep(&memory)?;
            }
            return Ok(work_dir);
        }
        let temporary = tempfile::Builder::new().prefix("pfa-sync-").tempdir()?;
        os_user.give(temporary.path())?;
        eprintln!("PostgreSQL can't use {}: its files are in {}", directory.display(), temporary.path().display());
        Ok(Self { directory: temporary.path().to_path_buf(), os_user, temporary: Some(temporary) })
    }

    pub(super) fn os_user(&self) -> OsUser {
        self.os_user
    }

    /// The directory itself.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory for a new cluster, and the lock that marks it as used.
    pub(super) fn new_directory(&self, durable: bool) -> Result<(PathBuf, File)> {
        let _lock = self.lock()?;
        let memory = if durable { None } else { self.memory()? };
        let place = memory.as_deref().unwrap_or(&self.directory);
        let directory = tempfile::Builder::new().prefix(CLUSTER).tempdir_in(place)?.keep();
        self.os_user.give(&directory)?;
        let held = File::open(&directory)?;
        held.lock()?;
        Ok((directory, held))
    }

    /// Where clusters are kept in memory, one directory for each work directory; `None` = there is not enough of it.
    fn memory(&self) -> Result<Option<PathBuf>> {
        let Ok(free) = rustix::fs::statvfs(MEMORY) else { return Ok(None) };
        if free.f_bavail * free.f_frsize < MEMORY_NEEDED {
            return Ok(None);
        }
        let mut hasher = DefaultHasher::new();
        self.directory.hash(&mut hasher);
        let memory = Path::new(MEMORY).join(format!("pfa-sync-{:016x}", hasher.finish()));
        fs::create_dir_all(&memory)?;
        self.os_user.give(&memory)?;
        Ok(Some(memory))
    }

    /// Removes what earlier runs left in a place: logs of failures, and the clusters of processes that were killed.
    fn sweep(&self, place: &Path) -> Result<()> {
        let _lock = self.lock()?;
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(CLUSTER) && File::open(entry.path())?.try_lock().is_ok() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Lets one process at a time change the installation, until the file is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        let lock = File::create(self.directory.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Leaves a temporary directory in place.
    pub(super) fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Only an empty directory is removed: others hold clusters that run, or logs that are kept.
        if let (Ok(_lock), Ok(Some(memory))) = (self.lock(), self.memory()) {
            let _ = fs::remove_dir(memory);
        }
    }
}

/// A port of 127.0.0.1 on which no process listens at this moment.
pub(super) fn free_port() -> Result<u16> {
    let somewhere = RandomState::new().hash_one(0) as usize % PORTS.len();
    PORTS
        .cycle()
        .skip(somewhere)
        .take(PORTS.len())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("every port from 20000 to 31999 of 127.0.0.1 is taken")
}

/// `target/debug` or `target/release`: where this program is, and the extension's library beside it.
pub(super) fn profile_directory() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let directory = program.parent().context("a program is in a directory")?;
    let tests = directory.file_name() == Some(OsStr::new("deps"));
    Ok(if tests { directory.parent().context("deps is in a profile's directory")? } else { directory }.to_path_buf())
}

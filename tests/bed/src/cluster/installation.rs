//! A private copy of a PostgreSQL installation with our extension in it, so that no system directory is written.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{os_user, work_dir, work_dir::WorkDir};

/// The environment variable that names the directory of the private installation's programs to child processes, which
/// take the installation as it is.
pub(super) const PROGRAMS_VARIABLE: &str = "PFA_TEST_PROGRAMS";

/// The variable by which pgrx finds `pg_config`.
const PG_CONFIG_VARIABLE: &str = "PGRX_PG_CONFIG_PATH";

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// PostgreSQL's programs find their libraries and share files by their own path, so a copy that keeps the relative
/// places works anywhere.
#[derive(Clone)]
pub(super) struct Installation {
    programs: PathBuf,
}

impl Installation {
    /// The installation that a parent process made ready.
    pub(super) fn inherited() -> Result<Self> {
        let programs = env::var_os(PROGRAMS_VARIABLE).with_context(|| format!("{PROGRAMS_VARIABLE} is not set"))?;
        Ok(Self { programs: programs.into() })
    }

    /// A copy of the installation of `PGRX_PG_CONFIG_PATH`, with the extension as it was built last. What is up to date
    /// is left alone.
    pub(super) fn prepare(work_dir: &WorkDir) -> Result<Self> {
        let source = Source::find()?;
        let root = work_dir.directory().join("installation");
        let stamp = root.join("copy-of");
        let _lock = work_dir.lock()?;
        if fs::read_to_string(&stamp).ok().as_deref() != Some(&source.identity) {
            if root.exists() {
                fs::remove_dir_all(&root)?;
            }
            source.copy_to(&root, work_dir)?;
            fs::write(&stamp, &source.identity)?;
        }
        let copy = Self { programs: root.join(source.bin.strip_prefix(&source.prefix)?) };
        copy.install_extension()?;
        Ok(copy)
    }

    /// The directory of PostgreSQL's programs.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The path of one of them.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn install_extension(&self) -> Result<()> {
        let profile = work_dir::profile_directory()?;
        os_user::run(
            Command::new(Path::new(REPOSITORY).join("scripts/install-extension"))
                .env("PG_CONFIG", self.program("pg_config"))
                .env("PROFILE", profile.file_name().context("a profile's directory has a name")?)
                .env("CARGO_TARGET_DIR", profile.parent().context("a profile's directory is in the target directory")?),
        )
    }
}

/// The installation that is copied.
struct Source {
    bin: PathBuf,
    share: PathBuf,
    library: PathBuf,
    /// The directory that holds the three others.
    prefix: PathBuf,
    /// Version, place and libraries: a copy that was made of another installation is made again.
    identity: String,
}

impl Source {
    fn find() -> Result<Self> {
        let pg_config = env::var(PG_CONFIG_VARIABLE)
            .ok()
            .or(option_env!("PGRX_PG_CONFIG_PATH").map(Into::into))
            .with_context(|| format!("{PG_CONFIG_VARIABLE} must name the pg_config to use, as make does"))?;
        let output = Command::new(&pg_config)
            .args(["--bindir", "--sharedir", "--pkglibdir", "--version"])
            .output()
            .with_context(|| format!("running {pg_config}"))?;
        let answer = String::from_utf8(output.stdout)?;
        let lines: Vec<_> = answer.lines().collect();
        ensure!(lines.len() == 4, "{pg_config} failed: {}", String::from_utf8_lossy(&output.stderr));
        let [bin, share, library] = [lines[0], lines[1], lines[2]].map(PathBuf::from);
        let prefix = bin
            .ancestors()
            .find(|ancestor| share.starts_with(ancestor) && library.starts_with(ancestor))
            .context("absolute paths have the root in common")?
            .to_path_buf();
        // A library that was added since, such as plpgsql_check, belongs to the copy too.
        let mut libraries: Vec<_> =
            fs::read_dir(&library)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
        libraries.sort();
        Ok(Self { bin, share, library, prefix, identity: format!("{answer}{}\n", libraries.join("\n")) })
    }

    fn copy_to(&self, root: &Path, work_dir: &WorkDir) -> Result<()> {
        // As the user that reads the copy, so that the umask of this process does not matter.
        let os_user = work_dir.os_user();
        for directory in [&self.bin, &self.share, &self.library] {
            let target = root.join(directory.strip_prefix(&self.prefix)?);
            let parent = target.parent().context("a directory of an installation has a parent")?;
            os_user::run(os_user.command("mkdir").arg("-p").arg(parent))?;
            os_user::run(os_user.command("cp").arg("-rL").arg(directory).arg(&target))?;
        }
        Ok(())
    }
}

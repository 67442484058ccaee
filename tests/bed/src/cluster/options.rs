//! How a cluster is set up.

use std::{fs::File, io::Write, path::Path};

use anyhow::Result;

/// Settings of a new cluster. The default is made for tests: nothing is forced to disk, and the session time zone is
/// not UTC, so that a missing conversion of a timestamp fails a test.
#[derive(Clone, Debug)]
pub struct Options {
    settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { settings: Vec::new() }
            .set("fsync", "off")
            .set("full_page_writes", "off")
            .set("timezone", "Asia/Kolkata")
            .set("max_connections", "200")
            .set("max_prepared_transactions", "10")
            .set("log_line_prefix", "%m [%p] %d %u %a ")
    }
}

impl Options {
    /// Commits reach the disk, as in production: for benchmarks.
    #[must_use]
    pub fn durable(self) -> Self {
        self.set("fsync", "on").set("full_page_writes", "on")
    }

    pub(super) fn is_durable(&self) -> bool {
        self.settings.iter().rfind(|(name, _)| name == "fsync").is_some_and(|(_, value)| value == "on")
    }

    /// Loads the extension at the start of the server.
    #[must_use]
    pub fn preloaded(self) -> Self {
        self.set("shared_preload_libraries", "pfa_sync")
    }

    /// Any setting of `postgresql.conf`; the last value counts.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn append_to(&self, configuration: &Path) -> Result<()> {
        let mut file = File::options().append(true).open(configuration)?;
        // One way in, by TCP with a password: accounts of the machine can't be distinguished there, passwords can.
        let places = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", "")];
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in settings.chain(places) {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''"))?;
        }
        Ok(())
    }
}

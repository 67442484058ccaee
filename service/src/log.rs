//! The log: one line where an event is handled, on standard error, with identifiers as fields.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings};

/// Libraries whose warnings are left out: this code handles them, and logs them with more context.
const SILENCED: &str = "deadpool.postgres=off,rustls_platform_verifier=off";

/// The crates whose log lines hold identifiers only, so that they may be shown in full.
const OWN: [&str; 3] = ["pfa_api", "pfa_relay", "pfa_service"];

/// Whether a line may be written, whatever the log level asks for. Libraries log the parameters of queries, headers and
/// bodies at their lower levels, and tokio-postgres the notices of the server at `info`, whose texts are those of triggers.
fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    let of = |name: &str| metadata.target().split("::").next() == Some(name);
    let finest = match () {
        () if OWN.iter().any(|name| of(name)) => Level::TRACE,
        () if of("tokio_postgres") => Level::WARN,
        () => Level::INFO,
    };
    *metadata.level() <= finest
}

/// Starts logging in this process.
pub fn start(settings: &LogSettings) -> Result<()> {
    let level = &settings.log_level;
    let filter = EnvFilter::builder().parse(format!("{SILENCED},{level}")).with_context(|| format!("log-level {level:?}"))?;
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_shown));
    let (writer, on_terminal) = (io::stderr, io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_target(false).with_ansi(on_terminal).with_writer(writer)).init();
        }
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).init(),
    }
    Ok(())
}

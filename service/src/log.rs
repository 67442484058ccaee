//! The log: one line where an event is handled, on standard error, with identifiers as fields.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings};

/// Libraries whose warnings are left out: this code handles them, and logs them with more context.
const SILENCED: &str = "deadpool.postgres=off,rustls_platform_verifier=off";

/// Starts logging in this process.
pub fn start(settings: &LogSettings) -> Result<()> {
    let level = &settings.log_level;
    let filter = EnvFilter::builder().parse(format!("{SILENCED},{level}")).with_context(|| format!("log-level {level:?}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let (writer, on_terminal) = (io::stderr, io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_target(false).with_ansi(on_terminal).with_writer(writer)).init();
        }
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).init(),
    }
    Ok(())
}

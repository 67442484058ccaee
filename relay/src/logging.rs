//! The log: one line where a thing is handled, on standard error, with its identifiers as fields.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::LogFormat;

/// Libraries whose warnings we handle, and log with more to go by.
const REPEATED: &str = "deadpool.postgres=off,rustls_platform_verifier=off";

/// Starts logging in this process. `level` is a level or a list of directives.
pub fn start(format: LogFormat, level: &str) -> Result<()> {
    let filter = EnvFilter::builder().parse(format!("{REPEATED},{level}")).with_context(|| format!("log-level {level:?}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry
            .with(fmt::layer().with_target(false).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr))
            .init(),
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).init(),
    }
    Ok(())
}

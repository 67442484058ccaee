//! `pfa-relay support-bundle`: writes what a maintainer needs to a file.

use std::path::Path;

use anyhow::{Context, Result};
use pfa_service::database::Database;
use serde_json::{Value, json};

use crate::{calls::Calls, settings::Settings};

/// Writes the bundle, one JSON object. It has no secrets, and no values of records.
pub async fn write(settings: &Settings, file: &Path) -> Result<()> {
    let database = Database::new(settings.database()?, settings.database.database_ca.as_deref(), 2, "pfa-relay")?;
    let bundle = Calls::new(database, settings.relay_name()).support_bundle().await?;
    let bundle = json!({ "relay": relay(settings), "database": bundle });
    let text = serde_json::to_string_pretty(&bundle)?;
    std::fs::write(file, text + "\n").with_context(|| format!("can't write {}", file.display()))?;
    println!("{} is written: settings, findings, figures and numbers; no secrets and no values of records", file.display());
    Ok(())
}

/// The settings that explain how a relay works, without those that name accounts or hold secrets.
fn relay(settings: &Settings) -> Value {
    let milliseconds = |duration: std::time::Duration| duration.as_millis() as u64;
    let variables = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "TZ"];
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "cores": std::thread::available_parallelism().map(usize::from).unwrap_or_default(),
        "name": settings.relay_name(),
        "max_in_flight": settings.max_in_flight,
        "batch_size": settings.batch_size,
        "page_size": settings.page_size,
        "drain_timeout_ms": milliseconds(settings.drain_timeout),
        "request_timeout_ms": milliseconds(settings.pems.request_timeout),
        "connect_timeout_ms": milliseconds(settings.pems.connect_timeout),
        "requests_per_second": settings.pems.requests_per_second,
        "pems_proxy": settings.pems.pems_proxy.is_some(),
        "pems_ca": settings.pems.pems_ca.is_some(),
        "credentials_key": settings.pems.pems_credentials_key_file.is_some(),
        "monitoring": settings.monitoring.monitoring.is_some(),
        "variables_set": variables.iter().filter(|name| std::env::var_os(name).is_some()).collect::<Vec<_>>(),
    })
}

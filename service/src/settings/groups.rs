//! Groups of settings that every program has.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::SettingsError;
use crate::secret;

/// Where the database is and how to log in.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// Connection string of the database; a password in it only by environment (required)
    #[arg(long, value_name = "URL", hide_env_values = true, value_parser = secret::parse, help_heading = "Database")]
    pub database_url: Option<SecretString>,
    /// PEM file of the authorities to check the database's certificate against
    #[arg(long, value_name = "FILE", help_heading = "Database")]
    pub database_ca: Option<PathBuf>,
    /// File with the password of the database URL
    #[arg(long, value_name = "FILE", help_heading = "Database")]
    pub database_password_file: Option<PathBuf>,
}

/// How the log is written.
#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// Format of the log on standard error
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    pub log_level: String,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a monitor reads the state of the process.
#[derive(Args, Clone, Debug)]
pub struct MonitoringSettings {
    /// Address and port of /livez, /readyz and /metrics, which need no token [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Monitoring")]
    pub monitoring: Option<SocketAddr>,
}

impl DatabaseSettings {
    /// How to connect to the database, password included.
    pub fn config(&self, connect_timeout: Duration) -> Result<tokio_postgres::Config, SettingsError> {
        let missing = SettingsError::Missing { setting: "database-url", variable: "DATABASE_URL" };
        let mut config = database_config(self.database_url.as_ref().ok_or(missing)?)?;
        if let Some(file) = &self.database_password_file {
            config.password(secret::read(file)?.expose_secret());
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(connect_timeout);
        }
        Ok(config)
    }
}

pub(super) fn database_config(url: &SecretString) -> Result<tokio_postgres::Config, SettingsError> {
    url.expose_secret().parse().map_err(|error: tokio_postgres::Error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        SettingsError::InvalidDatabaseUrl(reason.unwrap_or_else(|| error.to_string()))
    })
}

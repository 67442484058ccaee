//! Groups of settings that every program has.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::SslMode;

use super::{SettingsError, options};
use crate::{database::remote_host, secret};

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

/// Requires TLS to a server on another machine: what the connection carries, a password and prices, could be read on the
/// network otherwise.
fn require_tls(config: &mut tokio_postgres::Config, url: &str) -> Result<(), SettingsError> {
    let Some(host) = remote_host(config) else { return Ok(()) };
    match config.get_ssl_mode() {
        SslMode::Require => {}
        // The default of the parser, which does not say whether the text names it.
        SslMode::Prefer if !url.contains("sslmode") => {
            config.ssl_mode(SslMode::Require);
        }
        SslMode::Prefer => return Err(SettingsError::PlainDatabase { mode: "prefer", host }),
        _ => return Err(SettingsError::PlainDatabase { mode: "disable", host }),
    }
    Ok(())
}

pub(super) fn database_config(url: &SecretString) -> Result<tokio_postgres::Config, SettingsError> {
    let url = &options::translated(url.expose_secret())?;
    let mut config = url.parse().map_err(|error: tokio_postgres::Error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        SettingsError::InvalidDatabaseUrl(reason.unwrap_or_else(|| error.to_string()))
    })?;
    require_tls(&mut config, url)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::remote("postgres://u:p@db.example/d", Some(SslMode::Require))]
    #[case::remote_required("postgres://u:p@db.example/d?sslmode=require", Some(SslMode::Require))]
    #[case::remote_disabled("postgres://u:p@db.example/d?sslmode=disable", None)]
    #[case::remote_preferred("postgres://u:p@db.example/d?sslmode=prefer", None)]
    #[case::remote_pairs("host=db.example user=u", Some(SslMode::Require))]
    #[case::remote_pairs_disabled("host=db.example user=u sslmode=disable", None)]
    #[case::remote_pairs_preferred("host=db.example user=u sslmode=prefer", None)]
    #[case::remote_address("postgres://u@10.0.0.1/d", Some(SslMode::Require))]
    #[case::remote_address_of_version_6("postgres://u@[2001:db8::1]/d", Some(SslMode::Require))]
    #[case::remote_standby("postgres://u@localhost,db.example/d", Some(SslMode::Require))]
    #[case::remote_standby_disabled("postgres://u@localhost,db.example/d?sslmode=disable", None)]
    #[case::address_instead_of_name("host=localhost hostaddr=10.0.0.1 user=u", Some(SslMode::Require))]
    #[case::address_instead_of_name_disabled("host=localhost hostaddr=10.0.0.1 user=u sslmode=disable", None)]
    #[case::looks_local("postgres://u@localhost.example/d", Some(SslMode::Require))]
    #[case::password_that_names_it("postgres://u:sslmode@db.example/d", None)]
    #[case::local("postgres://u@localhost/d", Some(SslMode::Prefer))]
    #[case::local_address("postgres://u@127.0.0.1/d", Some(SslMode::Prefer))]
    #[case::local_address_of_version_6("postgres://u@[::1]/d", Some(SslMode::Prefer))]
    #[case::local_disabled("postgres://u@localhost/d?sslmode=disable", Some(SslMode::Disable))]
    #[case::local_required("postgres://u@localhost/d?sslmode=require", Some(SslMode::Require))]
    #[case::socket("host=/run/postgresql user=u", Some(SslMode::Prefer))]
    #[case::socket_disabled("postgres://u@%2Frun%2Fpostgresql/d?sslmode=disable", Some(SslMode::Disable))]
    fn a_remote_server_needs_tls(#[case] url: &str, #[case] expected: Option<SslMode>) {
        let config = database_config(&url.into());
        match (config, expected) {
            (Ok(config), Some(mode)) => assert_eq!(config.get_ssl_mode(), mode),
            (Err(SettingsError::PlainDatabase { .. }), None) => {}
            (config, _) => panic!("{url}: {config:?}"),
        }
    }
}

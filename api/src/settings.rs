//! The settings of the service, read as the relay's are: a flag, else the environment, else the config file, else the
//! shipped defaults.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::http::HeaderValue;
use clap::Args;
use pfa_relay::{
    credentials::read_secret,
    database::Database,
    settings::{LogFormat, SettingsError, database, duration, secret},
};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::token::{Rules, Source};

/// The config file as shipped: the defaults.
pub const SHIPPED: &str = include_str!("../pfa-api.toml");

/// A shorter secret can be guessed from one token.
const SHORTEST_SECRET: usize = 32;

/// Every setting; each is explained at length in the shipped `pfa-api.toml`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "PFA_API_CONFIG")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", env = "PFA_API_LISTEN", help_heading = "Service")]
    pub listen: SocketAddr,
    /// From the arrival of a request to the end of its answer
    #[arg(long, value_name = "DURATION", env = "PFA_API_REQUEST_TIMEOUT", value_parser = duration, help_heading = "Service")]
    pub request_timeout: Duration,
    /// The largest body that is taken
    #[arg(long, value_name = "BYTES", env = "PFA_API_BODY_LIMIT", help_heading = "Service")]
    pub body_limit: usize,
    /// Requests a second for each user, and as many in one go
    #[arg(long, value_name = "REQUESTS", env = "PFA_API_RATE_LIMIT", help_heading = "Service")]
    pub rate_limit: NonZeroU32,
    /// How soon an open stream of events heeds that a user's rights have changed
    #[arg(long, value_name = "DURATION", env = "PFA_API_RIGHTS_INTERVAL", value_parser = duration, help_heading = "Service")]
    pub rights_interval: Duration,
    /// Web origins whose pages may call the service, separated by commas
    #[arg(long, value_name = "ORIGINS", env = "PFA_API_ALLOWED_ORIGINS", help_heading = "Service")]
    pub allowed_origins: Option<String>,

    /// Address and port for a monitor: /livez, /readyz and /metrics, without a token [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PFA_API_MONITORING", help_heading = "Service")]
    pub monitoring: Option<SocketAddr>,

    /// File with the secret that signs tokens; or the secret itself in PFA_API_JWT_SECRET
    #[arg(long, value_name = "FILE", env = "PFA_API_JWT_SECRET_FILE", help_heading = "Tokens")]
    pub jwt_secret_file: Option<PathBuf>,
    /// File with the public keys that sign tokens (JWKS, for RS256 and ES256)
    #[arg(long, value_name = "FILE", env = "PFA_API_JWKS_FILE", conflicts_with = "jwks_url", help_heading = "Tokens")]
    pub jwks_file: Option<PathBuf>,
    /// Address where they are published; https, or http on this machine
    #[arg(long, value_name = "URL", env = "PFA_API_JWKS_URL", help_heading = "Tokens")]
    pub jwks_url: Option<Url>,
    /// The issuer (iss) that a token must name [default: any]
    #[arg(long, value_name = "ISSUER", env = "PFA_API_JWT_ISSUER", help_heading = "Tokens")]
    pub jwt_issuer: Option<String>,
    /// The audience (aud) that a token must be for [default: any]
    #[arg(long, value_name = "AUDIENCE", env = "PFA_API_JWT_AUDIENCE", help_heading = "Tokens")]
    pub jwt_audience: Option<String>,

    /// The database; a password in it only by environment
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, value_parser = secret, help_heading = "Database")]
    pub database_url: Option<SecretString>,
    /// PEM file of the authorities to check the database's certificate against
    #[arg(long, value_name = "FILE", env = "DATABASE_CA", help_heading = "Database")]
    pub database_ca: Option<PathBuf>,
    /// File with the password of the database URL
    #[arg(long, value_name = "FILE", env = "DATABASE_PASSWORD_FILE", help_heading = "Database")]
    pub database_password_file: Option<PathBuf>,
    /// Calls of the database at once
    #[arg(long, value_name = "CONNECTIONS", env = "PFA_API_CONNECTIONS", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Database")]
    pub connections: u16,
    /// Until a connection to the database stands
    #[arg(long, value_name = "DURATION", env = "PFA_API_CONNECT_TIMEOUT", value_parser = duration, help_heading = "Database")]
    pub connect_timeout: Duration,

    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", env = "PFA_API_LOG_FORMAT", help_heading = "Log")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "LEVEL", env = "PFA_API_LOG_LEVEL", help_heading = "Log")]
    pub log_level: String,
}

impl Settings {
    /// Connections to the database.
    pub fn database(&self) -> Result<Database> {
        let mut config = database(self.database_url.as_ref(), self.database_password_file.as_deref(), self.connect_timeout)?;
        config.application_name("pfa-api");
        Ok(Database::new(config, self.database_ca.as_deref(), self.connections.into())?)
    }

    /// What signs tokens, and what they must say.
    pub(crate) fn tokens(&self) -> Result<Rules> {
        let rules = Rules {
            secret: self.jwt_secret()?,
            keys: self.keys()?,
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
        };
        if rules.secret.is_none() && rules.keys.is_none() {
            Err(SettingsError::Missing { setting: "jwt-secret-file", variable: "PFA_API_JWT_SECRET" })
                .context("what signs tokens is not known (jwks-file and jwks-url are for public keys)")?;
        }
        Ok(rules)
    }

    fn jwt_secret(&self) -> Result<Option<SecretString>> {
        let secret: SecretString = match (&self.jwt_secret_file, std::env::var("PFA_API_JWT_SECRET")) {
            (Some(file), _) => read_secret(file)?,
            (None, Ok(secret)) => secret.into(),
            (None, Err(_)) => return Ok(None),
        };
        ensure!(
            secret.expose_secret().len() >= SHORTEST_SECRET,
            "the secret that signs tokens is shorter than {SHORTEST_SECRET} bytes: make a new one, openssl rand -hex 32"
        );
        Ok(Some(secret))
    }

    fn keys(&self) -> Result<Option<Source>> {
        match (&self.jwks_file, &self.jwks_url) {
            (Some(file), _) => Ok(Some(Source::File(file.clone()))),
            (None, Some(url)) => {
                let local = match url.host() {
                    Some(Host::Domain(name)) => name == "localhost",
                    Some(Host::Ipv4(address)) => address.is_loopback(),
                    Some(Host::Ipv6(address)) => address.is_loopback(),
                    None => false,
                };
                ensure!(
                    url.scheme() == "https" || url.scheme() == "http" && local,
                    "jwks-url is neither https nor http on this machine: anybody on the way could put in keys of their own"
                );
                Ok(Some(Source::Address(url.clone())))
            }
            (None, None) => Ok(None),
        }
    }

    /// The origins, as browsers send them.
    pub fn origins(&self) -> Result<Vec<HeaderValue>> {
        let listed = self.allowed_origins.as_deref().unwrap_or_default().split(',').map(str::trim);
        listed
            .filter(|origin| !origin.is_empty())
            .map(|origin| {
                ensure!(origin.starts_with("http://") || origin.starts_with("https://"), "{origin} is no web origin");
                ensure!(!origin.ends_with('/'), "a web origin ends without a slash: {origin}");
                Ok(origin.parse()?)
            })
            .collect::<Result<_>>()
            .context("allowed-origins")
    }
}

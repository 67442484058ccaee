//! The settings of the service. Each is explained at length in the shipped `pfa-api.toml`.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::http::HeaderValue;
use clap::Args;
use pfa_service::{
    alerts::AlertArguments,
    database::Database,
    loopback::is_loopback_url,
    proxy, secret,
    settings::{DatabaseSettings, LogSettings, MonitoringSettings, Program, SettingsError, duration},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::auth::token::{Rules, Source};

/// How the settings of the service are read.
pub const PROGRAM: Program = Program {
    prefix: "PFA_API_",
    shipped: include_str!("../pfa-api.toml"),
    // The description of the service depends on no setting.
    uses: |subcommand, _| subcommand != "openapi",
};

/// Shortest secret that is accepted, in bytes. A shorter one can be guessed from one token.
const MIN_SECRET_LENGTH: usize = 32;

/// Every setting of the service.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Service")]
    pub listen: SocketAddr,
    /// From the arrival of a request to the end of its answer
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Service")]
    pub request_timeout: Duration,
    /// Longest time to send the head of a request, and longest pause between two requests of a connection
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Service")]
    pub head_timeout: Duration,
    /// Largest body that is accepted
    #[arg(long, value_name = "BYTES", help_heading = "Service")]
    pub body_limit: usize,
    /// Requests a second for each user
    #[arg(long, value_name = "REQUESTS", help_heading = "Service")]
    pub rate_limit: NonZeroU32,
    /// Calls of the database at once for each user
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Service")]
    pub calls_per_user: u16,
    /// How often an open event stream re-checks permissions
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Service")]
    pub rights_interval: Duration,
    /// Web origins whose pages may call the service, separated by commas
    #[arg(long, value_name = "ORIGINS", help_heading = "Service")]
    pub allowed_origins: Option<String>,
    /// Page that signs users in to the dashboard and sends them back with a token [default: none]
    #[arg(long, value_name = "URL", help_heading = "Service")]
    pub sign_in_url: Option<Url>,

    /// Where a monitor reads the state of the process.
    #[command(flatten)]
    pub monitoring: MonitoringSettings,

    /// File with the secret that signs tokens; or the secret itself in PFA_API_JWT_SECRET
    #[arg(long, value_name = "FILE", help_heading = "Tokens")]
    pub jwt_secret_file: Option<PathBuf>,
    /// File with the public keys that sign tokens (JWKS, for RS256 and ES256)
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_url", help_heading = "Tokens")]
    pub jwks_file: Option<PathBuf>,
    /// Address where the public keys are published; https, or http on this machine
    #[arg(long, value_name = "URL", help_heading = "Tokens")]
    pub jwks_url: Option<Url>,
    /// Proxy for requests to jwks-url; this machine is reached directly [default: none]
    #[arg(long, value_name = "URL", help_heading = "Tokens")]
    pub jwks_proxy: Option<String>,
    /// The issuer (iss) that a token must name [default: any]
    #[arg(long, value_name = "ISSUER", help_heading = "Tokens")]
    pub jwt_issuer: Option<String>,
    /// The audience (aud) that a token must be for [default: any]
    #[arg(long, value_name = "AUDIENCE", help_heading = "Tokens")]
    pub jwt_audience: Option<String>,

    /// Where the database is and how to log in.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Connections to the database
    #[arg(long, value_name = "CONNECTIONS", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Database")]
    pub connections: u16,
    /// Longest time to connect to the database
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Database")]
    pub connect_timeout: Duration,

    /// How the log is written.
    #[command(flatten)]
    pub log: LogSettings,
    /// How alerts are sent.
    #[command(flatten)]
    pub alerts: AlertArguments,
}

impl Settings {
    /// The database, with a pool of connections.
    pub fn database(&self) -> Result<Database> {
        let config = self.database.config(self.connect_timeout)?;
        Ok(Database::new(config, self.database.database_ca.as_deref(), self.connections.into(), "pfa-api")?)
    }

    /// What tokens are verified by.
    pub(crate) fn tokens(&self) -> Result<Rules> {
        let rules = Rules {
            secret: self.jwt_secret()?,
            keys: self.keys()?,
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
        };
        if rules.secret.is_none() && rules.keys.is_none() {
            Err(SettingsError::Missing { setting: "jwt-secret-file", variable: "PFA_API_JWT_SECRET" })
                .context("tokens can't be verified without a key; jwks-file and jwks-url are for public keys")?;
        }
        Ok(rules)
    }

    fn jwt_secret(&self) -> Result<Option<SecretString>> {
        let secret: SecretString = match (&self.jwt_secret_file, std::env::var("PFA_API_JWT_SECRET")) {
            (Some(file), _) => secret::read(file)?,
            (None, Ok(secret)) => secret.into(),
            (None, Err(_)) => return Ok(None),
        };
        ensure!(
            secret.expose_secret().len() >= MIN_SECRET_LENGTH,
            "the secret that signs tokens is shorter than {MIN_SECRET_LENGTH} bytes: create one with openssl rand -hex 32"
        );
        Ok(Some(secret))
    }

    fn keys(&self) -> Result<Option<Source>> {
        match (&self.jwks_file, &self.jwks_url) {
            (Some(file), _) => Ok(Some(Source::File(file.clone()))),
            (None, Some(url)) => {
                ensure!(
                    url.scheme() == "https" || url.scheme() == "http" && is_loopback_url(url),
                    "jwks-url must be https, or http on this machine: keys could be replaced on the network"
                );
                let proxy = self.jwks_proxy.as_deref().map(|text| proxy::parse("jwks-proxy", text)).transpose()?;
                Ok(Some(Source::Address { url: url.clone(), proxy: proxy.filter(|_| !is_loopback_url(url)) }))
            }
            (None, None) => Ok(None),
        }
    }

    /// The allowed origins, as browsers send them.
    pub fn origins(&self) -> Result<Vec<HeaderValue>> {
        let listed = self.allowed_origins.as_deref().unwrap_or_default().split(',').map(str::trim);
        listed
            .filter(|origin| !origin.is_empty())
            .map(|origin| {
                ensure!(origin.starts_with("http://") || origin.starts_with("https://"), "{origin} is not a web origin");
                ensure!(!origin.ends_with('/'), "a web origin ends without a slash: {origin}");
                Ok(origin.parse()?)
            })
            .collect::<Result<_>>()
            .context("allowed-origins")
    }
}

//! The settings of PEMS: the one called default, and what all of them share.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use pfa_service::{
    proxy::{self, ProxyError},
    settings::{SettingsError, duration},
};
use thiserror::Error;
use url::Url;

use crate::{
    credentials::{CredentialSettings, CredentialsError, Login},
    pems::json::{
        Endpoint,
        address::{self, AddressError},
    },
    vault::{Keys, VaultError},
};

/// Settings of PEMS, as they are given.
#[derive(Args, Clone, Debug)]
pub struct PemsArguments {
    /// Base address of PEMS, without /api/pems
    #[arg(long, value_name = "URL", hide_env_values = true, help_heading = "PEMS")]
    pub pems_url: Option<String>,
    /// PEM file of further authorities to check PEMS' certificate against
    #[arg(long, value_name = "FILE", help_heading = "PEMS")]
    pub pems_ca: Option<PathBuf>,
    /// The tenant header of every request
    #[arg(long, value_name = "TENANT", help_heading = "PEMS")]
    pub pems_tenant: Option<String>,
    /// Proxy for connections to PEMS; HTTP_PROXY and the like are ignored
    #[arg(long, value_name = "URL", hide_env_values = true, help_heading = "PEMS")]
    pub pems_proxy: Option<String>,
    /// How to log in to PEMS.
    #[command(flatten)]
    pub credentials: CredentialSettings,
    /// From the start of a request to the end of its answer
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "PEMS")]
    pub request_timeout: Duration,
    /// Longest time to connect to PEMS or to the database
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "PEMS")]
    pub connect_timeout: Duration,
    /// Most requests a second, evenly spaced
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "PEMS")]
    pub requests_per_second: u32,
    /// Accept http:// for a PEMS on this machine
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = "PEMS")]
    pub allow_plain_http_to_loopback: bool,
    /// File with the keys that open credentials in the database; or the keys in PEMS_CREDENTIALS_KEY
    #[arg(long, value_name = "FILE", help_heading = "PEMS")]
    pub pems_credentials_key_file: Option<PathBuf>,
}

/// How to reach every PEMS.
pub struct PemsSettings {
    /// Keys that open credentials in the database.
    pub keys: Keys,
    /// From the start of a request to the end of its answer, where the definition of a PEMS has none.
    pub request_timeout: Duration,
    /// Most requests a second to the PEMS of these settings.
    pub requests_per_second: u32,
    url: Option<Url>,
    tenant: Option<String>,
    login: Option<Login>,
    ca: Option<PathBuf>,
    proxy: Option<Url>,
    connect_timeout: Duration,
    allow_plain_http_to_loopback: bool,
}

/// Settings of PEMS that can't be used.
#[derive(Debug, Error)]
pub enum PemsSettingsError {
    /// A setting is missing.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address is not acceptable.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The proxy is not the address of one.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// There is no usable secret.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The keys can't be used.
    #[error(transparent)]
    Keys(#[from] VaultError),
}

impl PemsSettings {
    /// The PEMS of the settings needs address, tenant and one secret. With keys, the secret may be sealed in the database; and
    /// there may be no PEMS in the settings, but only those that the database defines.
    pub fn new(arguments: &PemsArguments) -> Result<Self, PemsSettingsError> {
        let variable = std::env::var("PEMS_CREDENTIALS_KEY").ok();
        let keys = Keys::find(arguments.pems_credentials_key_file.as_deref(), variable)?;
        let missing = |setting, variable| SettingsError::Missing { setting, variable };
        let checked = |url: &String| address::checked(url, arguments.allow_plain_http_to_loopback);
        let url = arguments.pems_url.as_ref().map(checked).transpose()?;
        if url.is_none() && keys.is_empty() {
            return Err(missing("pems-url", "PEMS_URL").into());
        }
        if url.is_some() && arguments.pems_tenant.is_none() {
            return Err(missing("pems-tenant", "PEMS_TENANT").into());
        }
        let login = match Login::find(&arguments.credentials) {
            Ok(_) if url.is_none() => return Err(missing("pems-url", "PEMS_URL").into()),
            Ok(login) => Some(login),
            Err(CredentialsError::NotOne { given }) if given == "none" && !keys.is_empty() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            keys,
            request_timeout: arguments.request_timeout,
            requests_per_second: arguments.requests_per_second,
            url,
            tenant: arguments.pems_tenant.clone(),
            login,
            ca: arguments.pems_ca.clone(),
            proxy: arguments.pems_proxy.as_deref().map(|text| proxy::parse("pems-proxy", text)).transpose()?,
            connect_timeout: arguments.connect_timeout,
            allow_plain_http_to_loopback: arguments.allow_plain_http_to_loopback,
        })
    }

    /// The address of the PEMS of the settings.
    pub fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }

    /// Where the PEMS of the settings is and how to log in there; `None` = the settings have no secret.
    pub fn embedded(&self) -> Option<Endpoint> {
        let (url, tenant, login) = (self.url.clone()?, self.tenant.clone()?, self.login.clone()?);
        Some(self.endpoint_of(url, tenant, self.request_timeout, login))
    }

    /// Address and tenant of a PEMS. Those of the settings, if given, are those of the PEMS called default.
    pub fn place(&self, pems: &str, url: Option<&str>, tenant: Option<&str>) -> Result<(String, String), String> {
        if let (Some(url), Some(tenant), true) = (&self.url, &self.tenant, pems == "default") {
            return Ok((url.to_string(), tenant.clone()));
        }
        match (url, tenant) {
            // Spelled as the address of a client is, so that what is sealed for it opens wherever it is defined.
            (Some(url), Some(tenant)) => {
                let url = Url::parse(url).map_err(|error| format!("the address of PEMS {pems} is not a URL: {error}"))?;
                Ok((url.to_string(), tenant.to_owned()))
            }
            _ => Err(format!("PEMS {pems} has no address: define_pems() or the setting pems-url gives it one")),
        }
    }

    /// Where a PEMS of the database is and how to log in there.
    pub fn endpoint(&self, url: &str, tenant: &str, request_timeout: Duration, login: Login) -> Result<Endpoint, AddressError> {
        let url = address::checked(url, self.allow_plain_http_to_loopback)?;
        Ok(self.endpoint_of(url, tenant.to_owned(), request_timeout, login))
    }

    fn endpoint_of(&self, url: Url, tenant: String, request_timeout: Duration, login: Login) -> Endpoint {
        Endpoint {
            url,
            ca: self.ca.clone(),
            tenant,
            login,
            proxy: self.proxy.clone(),
            request_timeout,
            connect_timeout: self.connect_timeout,
        }
    }
}

//! The settings of the relay: a flag, else the environment, else the config file, else the shipped defaults.
//!
//! There is one list of them, [`Settings`]. The shipped `pfa-relay.toml` is compiled in and supplies the defaults; a
//! config file of the operator replaces some of these; flags and environment go before both.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgMatches, Args, Command, ValueEnum, parser::ValueSource};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::{
    credentials::{self, Credentials, CredentialsError},
    pems::{
        Endpoint,
        address::{self, AddressError},
    },
};

/// The relay's config file as shipped: the defaults of its settings.
pub const SHIPPED: &str = include_str!("../pfa-relay.toml");

/// Every setting; each is explained at length in the shipped `pfa-relay.toml`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "PFA_RELAY_CONFIG")]
    pub config: Option<PathBuf>,

    /// Name of this relay in queue and log [default: host name and process id]
    #[arg(long, env = "PFA_RELAY_NAME", help_heading = "Relay")]
    pub name: Option<String>,
    /// Batches under way at once
    #[arg(long, value_name = "BATCHES", env = "PFA_RELAY_MAX_IN_FLIGHT", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Relay")]
    pub max_in_flight: u16,
    /// Records in a batch
    #[arg(long, value_name = "RECORDS", env = "PFA_RELAY_BATCH_SIZE", value_parser = clap::value_parser!(i32).range(1..=100), help_heading = "Relay")]
    pub batch_size: i32,
    /// How long a stopping relay waits for what is under way
    #[arg(long, value_name = "DURATION", env = "PFA_RELAY_DRAIN_TIMEOUT", value_parser = duration, help_heading = "Relay")]
    pub drain_timeout: Duration,
    /// Records in a page of a pull
    #[arg(long, value_name = "RECORDS", env = "PFA_RELAY_PAGE_SIZE", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Relay")]
    pub page_size: u16,

    /// Address and port for a monitor: /livez, /readyz and /metrics, without a token [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PFA_RELAY_MONITORING", help_heading = "Relay")]
    pub monitoring: Option<SocketAddr>,

    /// The database; a password in it only by environment
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, value_parser = secret, help_heading = "Database")]
    pub database_url: Option<SecretString>,
    /// PEM file of the authorities to check the database's certificate against
    #[arg(long, value_name = "FILE", env = "DATABASE_CA", help_heading = "Database")]
    pub database_ca: Option<PathBuf>,
    /// File with the password of the database URL
    #[arg(long, value_name = "FILE", env = "DATABASE_PASSWORD_FILE", help_heading = "Database")]
    pub database_password_file: Option<PathBuf>,

    /// PEMS, up to and without /api/pems
    #[arg(long, value_name = "URL", env = "PEMS_URL", hide_env_values = true, help_heading = "PEMS")]
    pub pems_url: Option<String>,
    /// PEM file of further authorities to check PEMS' certificate against
    #[arg(long, value_name = "FILE", env = "PEMS_CA", help_heading = "PEMS")]
    pub pems_ca: Option<PathBuf>,
    /// The tenant header
    #[arg(long, value_name = "TENANT", env = "PEMS_TENANT", help_heading = "PEMS")]
    pub pems_tenant: Option<String>,
    /// The user that the password belongs to
    #[arg(long, value_name = "USER", env = "PEMS_USER", help_heading = "PEMS")]
    pub pems_user: Option<String>,
    /// File with the password; or the password itself in PEMS_PASSWORD
    #[arg(long, value_name = "FILE", env = "PEMS_PASSWORD_FILE", help_heading = "PEMS")]
    pub pems_password_file: Option<PathBuf>,
    /// File with a bearer token; or the token itself in PEMS_BEARER_TOKEN
    #[arg(long, value_name = "FILE", env = "PEMS_BEARER_TOKEN_FILE", help_heading = "PEMS")]
    pub pems_bearer_token_file: Option<PathBuf>,
    /// File with an API key; or the key itself in PEMS_API_KEY
    #[arg(long, value_name = "FILE", env = "PEMS_API_KEY_FILE", help_heading = "PEMS")]
    pub pems_api_key_file: Option<PathBuf>,
    /// From the start of a request to the end of its answer
    #[arg(long, value_name = "DURATION", env = "PFA_RELAY_REQUEST_TIMEOUT", value_parser = duration, help_heading = "PEMS")]
    pub request_timeout: Duration,
    /// Until a connection to PEMS or to the database stands
    #[arg(long, value_name = "DURATION", env = "PFA_RELAY_CONNECT_TIMEOUT", value_parser = duration, help_heading = "PEMS")]
    pub connect_timeout: Duration,
    /// Requests a second at most, evenly spaced
    #[arg(long, value_name = "N", env = "PFA_RELAY_REQUESTS_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "PEMS")]
    pub requests_per_second: u32,
    /// Accept http:// for a PEMS on this machine
    #[arg(long, value_name = "BOOL", env = "PFA_RELAY_ALLOW_PLAIN_HTTP_TO_LOOPBACK", action = clap::ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", help_heading = "PEMS")]
    pub allow_plain_http_to_loopback: bool,

    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", env = "PFA_RELAY_LOG_FORMAT", help_heading = "Log")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "LEVEL", env = "PFA_RELAY_LOG_LEVEL", help_heading = "Log")]
    pub log_level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings that can't be used; the message says which one and what to do.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A flag, a variable or the wish for help; clap knows how to print it and with which exit code to end.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The config file can't be read.
    #[error("can't read the config file {}", .file.display())]
    Unreadable {
        /// The config file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The config file is no TOML.
    #[error("{} is no TOML", .file.display())]
    NoToml {
        /// The config file.
        file: PathBuf,
        /// Where it fails.
        source: toml::de::Error,
    },
    /// A key that is no setting.
    #[error("{}: unknown setting {key}; {program} --help lists them", .file.display())]
    Unknown {
        /// The config file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The program that was to know it.
        program: String,
    },
    /// A value that is none for its setting.
    #[error("{}: {source}", .file.display())]
    BadValue {
        /// The config file.
        file: PathBuf,
        /// What is wrong with it.
        source: clap::Error,
    },
    /// What has no default was not given.
    #[error("{setting} is not set; give {variable} or --{setting}")]
    Missing {
        /// The setting.
        setting: &'static str,
        /// Its environment variable.
        variable: &'static str,
    },
    /// A password where others can read it.
    #[error("database-url holds a password: give it in DATABASE_URL, or the password alone in --database-password-file")]
    PasswordInPlainSight,
    /// The database URL can't be parsed. The source is left out, since it may quote the password.
    #[error("database-url is no connection string of PostgreSQL: {0}")]
    DatabaseUrl(String),
    /// A PEMS address that is not acceptable.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No usable secret.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Parses arguments for a command with settings among its arguments, one of them `config`, with environment and config
/// file. `shipped` is the config file that supplies the defaults.
pub fn read(command: Command, shipped: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<ArgMatches, SettingsError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut defaults = texts(toml::from_str(shipped).expect("the shipped config file is TOML"));
    let mut matches = with_defaults(command.clone(), &defaults).try_get_matches_from(&arguments)?;
    if let Some(file) = matches.get_one::<PathBuf>("config").cloned() {
        let text = fs::read_to_string(&file).map_err(|source| SettingsError::Unreadable { file: file.clone(), source })?;
        let table = toml::from_str(&text).map_err(|source| SettingsError::NoToml { file: file.clone(), source })?;
        for (key, value) in texts(table) {
            if key == "config" || !command.get_arguments().any(|argument| argument.get_long() == Some(&key)) {
                return Err(SettingsError::Unknown { file, key, program: command.get_name().to_owned() });
            }
            defaults.insert(key, value);
        }
        // The arguments were good with the shipped defaults: what fails now is the file's.
        matches = with_defaults(command, &defaults)
            .try_get_matches_from(&arguments)
            .map_err(|source| SettingsError::BadValue { file, source })?;
    }
    refuse_visible_password(&matches)?;
    Ok(matches)
}

/// The command with texts as the defaults of its settings, which every subcommand takes too. An empty variable counts as
/// not set.
fn with_defaults(command: Command, defaults: &BTreeMap<String, String>) -> Command {
    let is_empty = |variable: &OsStr| std::env::var_os(variable).is_some_and(|value| value.is_empty());
    command.mut_args(|argument| {
        let argument = if argument.get_env().is_some_and(is_empty) { argument.env(None) } else { argument };
        let default = argument.get_long().and_then(|long| defaults.get(long)).cloned();
        argument.global(true).required(false).default_values(default)
    })
}

fn texts(table: toml::Table) -> BTreeMap<String, String> {
    let text = |value| match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    table.into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn refuse_visible_password(matches: &ArgMatches) -> Result<(), SettingsError> {
    let url = matches.get_one::<SecretString>("database_url");
    let visible = matches.value_source("database_url") != Some(ValueSource::EnvVariable);
    match url {
        Some(url) if visible && database_config(url)?.get_password().is_some() => Err(SettingsError::PasswordInPlainSight),
        _ => Ok(()),
    }
}

impl Settings {
    /// The name of this relay: as set, else `host-pid`.
    pub fn relay_name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{}-{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id()))
    }

    /// How to connect to the database, password included.
    pub fn database(&self) -> Result<tokio_postgres::Config, SettingsError> {
        database(self.database_url.as_ref(), self.database_password_file.as_deref(), self.connect_timeout)
    }

    /// Where PEMS is and how to log in there.
    pub fn pems(&self) -> Result<Endpoint, SettingsError> {
        let missing = |setting, variable| SettingsError::Missing { setting, variable };
        let url = self.pems_url.as_ref().ok_or(missing("pems-url", "PEMS_URL"))?;
        Ok(Endpoint {
            url: address::checked(url, self.allow_plain_http_to_loopback)?,
            ca: self.pems_ca.clone(),
            tenant: self.pems_tenant.clone().ok_or(missing("pems-tenant", "PEMS_TENANT"))?,
            credentials: Credentials::find(self, |variable| std::env::var(variable).ok())?,
            request_timeout: self.request_timeout,
            connect_timeout: self.connect_timeout,
        })
    }
}

/// How to connect to a database by the settings that every program has for it.
pub fn database(
    url: Option<&SecretString>,
    password_file: Option<&Path>,
    connect_timeout: Duration,
) -> Result<tokio_postgres::Config, SettingsError> {
    let url = url.ok_or(SettingsError::Missing { setting: "database-url", variable: "DATABASE_URL" })?;
    let mut config = database_config(url)?;
    if let Some(file) = password_file {
        config.password(credentials::read_secret(file)?.expose_secret());
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(connect_timeout);
    }
    Ok(config)
}

fn database_config(url: &SecretString) -> Result<tokio_postgres::Config, SettingsError> {
    url.expose_secret().parse().map_err(|error: tokio_postgres::Error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        SettingsError::DatabaseUrl(reason.unwrap_or_else(|| error.to_string()))
    })
}

/// A setting whose value no message and no `Debug` shows.
pub fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

/// A setting that is a length of time, longer than nothing: `500 ms`, `2 min`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "a duration is written like 500 ms, 30 s or 2 min".to_owned())?;
    match Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration must be longer than nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::FromArgMatches;
    use rstest::rstest;

    use super::*;

    fn command() -> Command {
        Settings::augment_args(Command::new("pfa-relay")).subcommand(Command::new("run"))
    }

    fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
        let arguments = ["pfa-relay"].iter().chain(arguments).map(OsString::from);
        Ok(Settings::from_arg_matches(&read(command(), SHIPPED, arguments)?)?)
    }

    fn config_file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn with_file(text: &str, arguments: &[&str]) -> Result<Settings, SettingsError> {
        let file = config_file(text);
        let path = file.path().to_str().unwrap();
        settings(&[&["--config", path], arguments].concat())
    }

    #[test]
    fn every_setting_stands_in_the_shipped_file_and_in_the_help() {
        let shipped = texts(toml::from_str(SHIPPED).unwrap());
        let help = with_defaults(command(), &shipped).render_long_help().to_string();
        let names: Vec<_> =
            command().get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).filter(|n| n != "config").collect();
        assert!(names.len() > 20);
        for name in &names {
            let prefix = if name.starts_with("database-") || name.starts_with("pems-") { "" } else { "PFA_RELAY_" };
            let variable = format!("[env: {prefix}{}", name.replace('-', "_").to_uppercase());
            assert!(help.contains(&variable), "--help lacks {variable}");
            assert!(help.contains(&format!("--{name}")), "--help is silent about {name}");
            match shipped.get(name) {
                Some(value) => assert!(
                    help.contains(&format!("[default: {value}]")) || help.contains(&format!("[default: \"{value}\"]")),
                    "--help lacks the default of {name}"
                ),
                None => assert!(SHIPPED.contains(&format!("\n# {name} = ")), "the shipped file lacks {name}"),
            }
        }
        for key in shipped.keys() {
            assert!(names.contains(key), "the shipped file has {key}, which is no setting");
        }
    }

    #[test]
    fn the_shipped_defaults_are_complete_and_agree() {
        let settings = settings(&[]).unwrap();
        assert_eq!((settings.drain_timeout, settings.batch_size, settings.max_in_flight), (Duration::from_secs(30), 100, 8));
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = "batch-size = 7\ndrain-timeout = \"1 min 30 s\"";
        let settings = with_file(file, &["run", "--batch-size", "9"]).unwrap();
        assert_eq!((settings.batch_size, settings.drain_timeout, settings.max_in_flight), (9, Duration::from_secs(90), 8));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = with_file("batch-sizes = 7", &[]).unwrap_err();
        assert!(matches!(&error, SettingsError::Unknown { key, .. } if key == "batch-sizes"), "{error}");
    }

    #[rstest]
    #[case("batch-size = 101", "--batch-size")]
    #[case("drain-timeout = \"soon\"", "--drain-timeout")]
    #[case("drain-timeout = \"0 s\"", "--drain-timeout")]
    #[case("log-format = \"xml\"", "--log-format")]
    fn a_bad_value_in_the_file_names_the_setting(#[case] text: &str, #[case] setting: &str) {
        let error = with_file(text, &[]).unwrap_err();
        assert!(matches!(error, SettingsError::BadValue { .. }) && error.to_string().contains(setting), "{error}");
    }

    #[rstest]
    #[case::by_flag(&["--database-url", "postgres://u:hush@db/d"], "")]
    #[case::by_file(&[], "database-url = \"postgres://u:hush@db/d\"")]
    fn a_database_password_stays_out_of_flags_and_file(#[case] arguments: &[&str], #[case] file: &str) {
        let error = with_file(file, arguments).unwrap_err();
        assert!(matches!(error, SettingsError::PasswordInPlainSight));
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn the_password_file_completes_the_url() {
        let password = config_file("hush\n");
        let path = password.path().to_str().unwrap();
        let settings = settings(&["--database-url", "postgres://u@db/d", "--database-password-file", path]).unwrap();
        assert_eq!(settings.database().unwrap().get_password(), Some("hush".as_bytes()));
        assert!(!format!("{settings:?}").contains("hush"));
    }
}

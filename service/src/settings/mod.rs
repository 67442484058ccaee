//! Reads the settings of a program: from a flag, else the environment, else the config file, else the shipped defaults.
//!
//! A program has one list of its settings, a struct that derives [`clap::Args`]. Its shipped config file is compiled in and
//! gives the defaults. [`read`] adds the environment variables: the name of the setting in upper case, after the program's
//! prefix unless the name begins with `alert-`, `database-` or `pems-`.

mod groups;
mod options;

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::PathBuf, time::Duration};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};
use secrecy::SecretString;
use thiserror::Error;

pub use self::groups::{DatabaseSettings, LogFormat, LogSettings, MonitoringSettings};
use crate::secret::SecretError;

/// Settings that can't be used. The message says which one, and what to do.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A wrong flag or variable, or a request for help; clap prints it and knows the exit code.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The config file can't be read.
    #[error("can't read the config file {}", .file.display())]
    Unreadable {
        /// The config file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The config file is not TOML.
    #[error("{} is not valid TOML", .file.display())]
    InvalidToml {
        /// The config file.
        file: PathBuf,
        /// Where parsing fails.
        source: toml::de::Error,
    },
    /// The config file has a key that is not a setting.
    #[error("{}: unknown setting {key}; {program} --help lists all settings", .file.display())]
    Unknown {
        /// The config file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The program that reads the file.
        program: String,
    },
    /// The config file has a value that its setting does not accept.
    #[error("{}: {source}", .file.display())]
    InvalidValue {
        /// The config file.
        file: PathBuf,
        /// What is wrong with the value.
        source: clap::Error,
    },
    /// A setting without a default is not set.
    #[error("{setting} is not set; give {variable} or --{setting}")]
    Missing {
        /// The setting.
        setting: &'static str,
        /// Its environment variable.
        variable: &'static str,
    },
    /// A password in a flag or in the config file, where other users can read it.
    #[error("database-url holds a password: give it in DATABASE_URL, or the password alone in --database-password-file")]
    ExposedPassword,
    /// The database URL can't be parsed. The source is left out, since it may quote the password.
    #[error("database-url is not a valid PostgreSQL connection string: {0}")]
    InvalidDatabaseUrl(String),
    /// The database URL has an option that this program does not follow.
    #[error("database-url has the option {option}: {reason}")]
    RefusedOption {
        /// Its name.
        option: String,
        /// What to do.
        reason: &'static str,
    },
    /// A database on another machine without TLS.
    #[error(
        "database-url asks for sslmode={mode} to {host}: the password and the data could be read on the network; write \
         sslmode=require, or leave sslmode out"
    )]
    PlainDatabase {
        /// The mode that the URL names.
        mode: &'static str,
        /// The host or address.
        host: String,
    },
    /// A file gives no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What distinguishes the settings of one program from those of another.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What the names of its environment variables begin with.
    pub prefix: &'static str,
    /// The config file as shipped: the defaults.
    pub shipped: &'static str,
    /// Whether a subcommand uses a setting: its help shows the settings that it uses. It accepts the others all the same, so
    /// that one environment and one file serve all subcommands.
    pub uses: fn(subcommand: &str, setting: &str) -> bool,
}

/// Parses arguments of a command whose settings, one of them `config`, come from flags, environment and config file.
pub fn read(
    command: Command,
    program: Program,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, SettingsError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut defaults = texts(toml::from_str(program.shipped).expect("the shipped config file is TOML"));
    let mut matches = complete(command.clone(), program, &defaults).try_get_matches_from(&arguments)?;
    if let Some(file) = matches.get_one::<PathBuf>("config").cloned() {
        let text = fs::read_to_string(&file).map_err(|source| SettingsError::Unreadable { file: file.clone(), source })?;
        let table = toml::from_str(&text).map_err(|source| SettingsError::InvalidToml { file: file.clone(), source })?;
        for (key, value) in texts(table) {
            if key == "config" || !command.get_arguments().any(|argument| argument.get_long() == Some(&key)) {
                return Err(SettingsError::Unknown { file, key, program: command.get_name().to_owned() });
            }
            defaults.insert(key, value);
        }
        // The arguments are valid with the shipped defaults, so an error comes from the file.
        matches = complete(command, program, &defaults)
            .try_get_matches_from(&arguments)
            .map_err(|source| SettingsError::InvalidValue { file, source })?;
    }
    refuse_exposed_password(&matches)?;
    Ok(matches)
}

/// The command with environment variables and defaults for its settings, which every subcommand accepts too. An empty
/// variable counts as not set.
fn complete(command: Command, program: Program, defaults: &BTreeMap<String, String>) -> Command {
    let command = command.mut_args(|argument| {
        let Some(setting) = argument.get_long().map(ToOwned::to_owned) else { return argument };
        let variable = variable(program.prefix, &setting);
        let is_empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
        let argument = if is_empty { argument } else { argument.env(variable) };
        argument.global(true).required(false).default_values(defaults.get(&setting).cloned())
    });
    let settings: Vec<Arg> = command.get_arguments().filter(|argument| argument.get_long().is_some()).cloned().collect();
    let unused = |subcommand: &str| {
        let is_unused = |argument: &&Arg| argument.get_long().is_some_and(|setting| !(program.uses)(subcommand, setting));
        settings.iter().filter(is_unused).map(|argument| argument.clone().hide(true)).collect::<Vec<_>>()
    };
    command.mut_subcommands(|subcommand| {
        let hidden = unused(subcommand.get_name());
        hide(subcommand, &hidden)
    })
}

/// The command and the subcommands in it, with arguments that their help does not show.
fn hide(command: Command, hidden: &[Arg]) -> Command {
    command.args(hidden).mut_subcommands(|subcommand| hide(subcommand, hidden))
}

/// The environment variable of a setting.
fn variable(prefix: &str, setting: &str) -> String {
    let shared = ["alert-", "database-", "pems-"].iter().any(|prefix| setting.starts_with(prefix));
    let name = setting.replace('-', "_").to_uppercase();
    if shared { name } else { format!("{prefix}{name}") }
}

fn texts(table: toml::Table) -> BTreeMap<String, String> {
    let text = |value| match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    table.into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn refuse_exposed_password(matches: &ArgMatches) -> Result<(), SettingsError> {
    let url = matches.get_one::<SecretString>("database_url");
    let exposed = matches.value_source("database_url") != Some(ValueSource::EnvVariable);
    match url {
        Some(url) if exposed && groups::database_config(url)?.get_password().is_some() => Err(SettingsError::ExposedPassword),
        _ => Ok(()),
    }
}

/// Parses a setting that is a duration longer than zero: `500 ms`, `2 min`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "a duration is written like 500 ms, 30 s or 2 min".to_owned())?;
    match Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration must be longer than zero".to_owned()),
    }
}

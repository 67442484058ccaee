//! The settings of the relay. Each is explained at length in the shipped `pfa-relay.toml`.

mod pems;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use pfa_service::{
    alerts::AlertArguments,
    settings::{DatabaseSettings, LogSettings, MonitoringSettings, Program, SettingsError, duration},
};

pub use self::pems::{PemsArguments, PemsSettings, PemsSettingsError};
use crate::pems::{MAX_BATCH, MAX_PAGE};

/// How the relay's settings are read.
pub const PROGRAM: Program = Program { prefix: "PFA_RELAY_", shipped: include_str!("../../pfa-relay.toml"), uses };

/// Batches and monitoring are for the running relay, pages for whatever pulls.
fn uses(subcommand: &str, setting: &str) -> bool {
    match setting {
        _ if setting.starts_with("alert-") => matches!(subcommand, "run" | "doctor"),
        "max-in-flight" | "batch-size" | "drain-timeout" | "monitoring" => subcommand == "run",
        "page-size" => matches!(subcommand, "run" | "pull" | "compare"),
        "pems-user" | "pems-password-file" | "pems-bearer-token-file" | "pems-api-key-file" | "name" | "requests-per-second" => {
            subcommand != "credentials"
        }
        _ => true,
    }
}

/// Every setting of the relay.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Name of this relay in queue and log [default: host name and process id]
    #[arg(long, help_heading = "Relay")]
    pub name: Option<String>,
    /// Batches in flight at the same time
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Relay")]
    pub max_in_flight: u16,
    /// Records in a batch
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(i32).range(1..=MAX_BATCH), help_heading = "Relay")]
    pub batch_size: i32,
    /// How long a stopping relay waits for the batches in flight
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Relay")]
    pub drain_timeout: Duration,
    /// Records in a page of a pull
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u16).range(1..=MAX_PAGE), help_heading = "Relay")]
    pub page_size: u16,

    /// Where a monitor reads the state of the process.
    #[command(flatten)]
    pub monitoring: MonitoringSettings,
    /// Where the database is and how to log in.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Where PEMS is and how to log in there.
    #[command(flatten)]
    pub pems: PemsArguments,

    /// How alerts are sent.
    #[command(flatten)]
    pub alerts: AlertArguments,
    /// How the log is written.
    #[command(flatten)]
    pub log: LogSettings,
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
        self.database.config(self.pems.connect_timeout)
    }

    /// How to reach every PEMS.
    pub fn pems(&self) -> Result<PemsSettings, PemsSettingsError> {
        PemsSettings::new(&self.pems)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, io::Write};

    use clap::{Command, FromArgMatches};
    use pfa_service::settings::read;
    use rstest::rstest;

    use super::*;

    fn command() -> Command {
        Settings::augment_args(Command::new("pfa-relay")).subcommand(Command::new("run"))
    }

    fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
        let arguments = ["pfa-relay"].iter().chain(arguments).map(OsString::from);
        Ok(Settings::from_arg_matches(&read(command(), PROGRAM, arguments)?)?)
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
        let shipped: toml::Table = toml::from_str(PROGRAM.shipped).unwrap();
        let SettingsError::Usage(help) = settings(&["--help"]).unwrap_err() else { panic!("--help prints the help") };
        let help = help.to_string();
        let names: Vec<_> =
            command().get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).filter(|n| n != "config").collect();
        assert!(names.len() > 20);
        for name in &names {
            let prefix =
                if ["alert-", "database-", "pems-"].iter().any(|shared| name.starts_with(shared)) { "" } else { "PFA_RELAY_" };
            let variable = format!("[env: {prefix}{}", name.replace('-', "_").to_uppercase());
            assert!(help.contains(&variable), "--help lacks {variable}");
            assert!(help.contains(&format!("--{name}")), "--help is silent about {name}");
            match shipped.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)) {
                Some(value) => assert!(
                    help.contains(&format!("[default: {value}]")) || help.contains(&format!("[default: \"{value}\"]")),
                    "--help lacks the default of {name}"
                ),
                None => assert!(PROGRAM.shipped.contains(&format!("\n# {name} = ")), "the shipped file lacks {name}"),
            }
        }
        for key in shipped.keys() {
            assert!(names.contains(key), "the shipped file has {key}, which is not a setting");
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
    fn an_invalid_value_in_the_file_names_the_setting(#[case] text: &str, #[case] setting: &str) {
        let error = with_file(text, &[]).unwrap_err();
        assert!(matches!(error, SettingsError::InvalidValue { .. }) && error.to_string().contains(setting), "{error}");
    }

    #[rstest]
    #[case::by_flag(&["--database-url", "postgres://u:hush@db/d"], "")]
    #[case::by_file(&[], "database-url = \"postgres://u:hush@db/d\"")]
    fn a_database_password_stays_out_of_flags_and_file(#[case] arguments: &[&str], #[case] file: &str) {
        let error = with_file(file, arguments).unwrap_err();
        assert!(matches!(error, SettingsError::ExposedPassword));
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

//! `pfa-relay`: carries committed edits from Postgres to PEMS.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pfa_relay::{
    daemon, doctor, logging, pull_command,
    settings::{self, Settings, SettingsError},
};

/// Carries committed edits from Postgres to PEMS, and PEMS' records to the mirror.
///
/// A setting is taken from its flag, else from the environment, else from the config file. Secrets come from the
/// environment (PEMS_PASSWORD, PEMS_BEARER_TOKEN or PEMS_API_KEY, and the password in DATABASE_URL) or from files.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run until stopped by SIGTERM or SIGINT
    Run,
    /// Read PEMS' records into the mirror, once and from beginning to end
    Pull {
        /// Only this organization, by id or code; may be given several times [default: all active ones]
        #[arg(long = "organization", value_name = "CODE|ID")]
        organizations: Vec<String>,
    },
    /// Check settings, database, extension, notifications, PEMS and credentials
    Doctor,
}

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if let Some(SettingsError::Usage(usage)) = error.downcast_ref() {
                usage.exit();
            }
            eprintln!("pfa-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `false` = it ran, and something was wrong.
async fn start() -> anyhow::Result<bool> {
    let matches = settings::read(Arguments::command(), settings::SHIPPED, std::env::args_os())?;
    let Arguments { settings, action } = Arguments::from_arg_matches(&matches)?;
    logging::start(settings.log_format, &settings.log_level)?;
    match action {
        Action::Run => daemon::run(&settings).await.map(|()| true),
        Action::Pull { organizations } => pull_command::pull(&settings, &organizations).await,
        Action::Doctor => Ok(doctor::examine(&settings).await),
    }
}

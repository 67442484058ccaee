//! `pfa-relay`: transfers committed edits from Postgres to PEMS, and PEMS' records to the mirror.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pfa_relay::{
    commands::{
        compare,
        credentials::{self, CredentialsCommand},
        doctor, dry_run, pull, run, support_bundle,
    },
    settings::{PROGRAM, Settings},
};
use pfa_service::{
    log,
    settings::{self, SettingsError},
};

/// Transfers committed edits from Postgres to PEMS, and PEMS' records to the mirror.
///
/// A setting is taken from its flag, else from the environment, else from the config file. Secrets come from the
/// environment (PEMS_PASSWORD, PEMS_BEARER_TOKEN or PEMS_API_KEY, and the password in DATABASE_URL) or from files.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until stopped by SIGTERM or SIGINT
    #[command(after_help = RUN_EXAMPLES)]
    Run {
        /// Show what would be sent, claim nothing, and end
        #[arg(long)]
        dry_run: bool,
    },
    /// Read all records of PEMS into the mirror, once
    #[command(after_help = PULL_EXAMPLES)]
    Pull {
        /// Only this organization, by id or code; may be given several times [default: all active ones]
        #[arg(long = "organization", value_name = "CODE|ID")]
        organizations: Vec<String>,
    },
    /// Read all records of PEMS, and say which the mirror has otherwise; changes nothing
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare {
        /// Only this organization, by id or code; may be given several times [default: all active ones]
        #[arg(long = "organization", value_name = "CODE|ID")]
        organizations: Vec<String>,
        /// Write every difference to this file
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
    },
    /// Write to a file what a maintainer needs, without secrets and values of records
    SupportBundle {
        /// The file
        #[arg(long, value_name = "FILE", default_value = "pfa-sync-support.json")]
        output: PathBuf,
    },
    /// Check settings, database, extension, notifications, PEMS and credentials
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor,
    /// Store, rotate, try and list credentials for PEMS, which the database holds sealed
    #[command(after_help = CREDENTIALS_EXAMPLES)]
    Credentials {
        /// What to do with them.
        #[command(subcommand)]
        command: CredentialsCommand,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  With everything in the environment (DATABASE_URL, PEMS_URL, PEMS_TENANT, PEMS_USER, PEMS_PASSWORD):
    pfa-relay run
  With a config file, passwords in files, and figures for a monitor:
    pfa-relay run --config /etc/pfa-sync/pfa-relay.toml --monitoring 127.0.0.1:9464 \\
        --database-password-file /run/secrets/database --pems-password-file /run/secrets/pems";

const PULL_EXAMPLES: &str = "\
Examples:
  All active organizations:
    pfa-relay pull --config /etc/pfa-sync/pfa-relay.toml
  Two of them:
    pfa-relay pull --organization RIO --organization HARBOUR";

const COMPARE_EXAMPLES: &str = "\
Example:
  Before a go-live, or when PEMS was restored; exits with 1 if a record differs and no change of it waits:
    pfa-relay compare --organization RIO --csv differences.csv";

const DOCTOR_EXAMPLES: &str = "\
Example:
  Before the first start, or when nothing arrives in PEMS; exits with 1 if something is wrong:
    pfa-relay doctor --config /etc/pfa-sync/pfa-relay.toml";

const CREDENTIALS_EXAMPLES: &str = "\
The key is in a file that the setting pems-credentials-key-file names, or in PEMS_CREDENTIALS_KEY. Secrets come from
standard input or a file. Running relays take a change up without a restart.

Examples:
  A key, and the first secret of the PEMS called default:
    (umask 077; pfa-relay credentials generate-key k1 > /etc/pfa-relay/credentials-key)
    pfa-relay credentials set --user PFA_RELAY < password
  A new secret, tried before it is taken into use; one organization has its own:
    pfa-relay credentials rotate --secret-file new-password
    pfa-relay credentials set --organization RIO --kind bearer < token
  A new key: put its line first in the key file, seal everything anew, then remove the old line:
    pfa-relay credentials rekey";

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

/// Runs the command. `false` = it ran, and found or met a failure that it has printed.
async fn start() -> anyhow::Result<bool> {
    let matches = settings::read(Arguments::command(), PROGRAM, std::env::args_os())?;
    let Arguments { settings, command } = Arguments::from_arg_matches(&matches)?;
    log::start(&settings.log)?;
    match command {
        Command::Run { dry_run: true } => dry_run::show(&settings).await.map(|()| true),
        Command::Run { dry_run: false } => run::run(&settings).await.map(|()| true),
        Command::Compare { organizations, csv } => compare::compare(&settings, &organizations, csv.as_deref()).await,
        Command::SupportBundle { output } => support_bundle::write(&settings, &output).await.map(|()| true),
        Command::Pull { organizations } => pull::pull(&settings, &organizations).await,
        Command::Doctor => Ok(doctor::examine(&settings).await),
        Command::Credentials { command } => credentials::run(&settings, &command).await,
    }
}

//! `pfa-api`: drafts, commits, conflicts and the state of synchronisation over HTTP.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use pfa_api::settings::{PROGRAM, Settings};
use pfa_service::{
    log,
    settings::{self, SettingsError},
};

/// Serves drafts, commits, conflicts and the state of synchronisation over HTTP.
///
/// A setting is taken from its flag, else from the environment, else from the config file. Secrets come from the
/// environment (PFA_API_JWT_SECRET, and the password in DATABASE_URL) or from files.
#[derive(Parser)]
#[command(name = "pfa-api", version)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped by SIGTERM or SIGINT
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Check settings, keys of tokens, address, login and extension
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor,
    /// Print the description of the service (OpenAPI 3.1)
    Openapi,
}

const SERVE_EXAMPLES: &str = "\
Examples (jwt-secret-file, jwks-file or jwks-url is required):
  With everything in the environment (DATABASE_URL, PFA_API_JWT_SECRET):
    pfa-api serve --listen 127.0.0.1:8080
  With a config file, the password in a file, and public keys:
    pfa-api serve --config /etc/pfa-sync/pfa-api.toml --database-password-file /run/secrets/database \\
        --jwks-url https://login.example.com/.well-known/jwks.json";

const DOCTOR_EXAMPLES: &str = "\
Example:
  Before the first start, or when requests fail; exits with 1 if something is wrong:
    pfa-api doctor --config /etc/pfa-sync/pfa-api.toml";

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if let Some(SettingsError::Usage(usage)) = error.downcast_ref() {
                usage.exit();
            }
            eprintln!("pfa-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command. `false` = it ran, and found a failure that it has printed.
async fn start() -> anyhow::Result<bool> {
    let matches = settings::read(Arguments::command(), PROGRAM, std::env::args_os())?;
    let Arguments { settings, command } = Arguments::from_arg_matches(&matches)?;
    match command {
        Command::Serve => {
            log::start(&settings.log)?;
            pfa_api::serve(&settings).await.map(|()| true)
        }
        Command::Doctor => {
            log::start(&settings.log)?;
            Ok(pfa_api::doctor::examine(&settings).await)
        }
        Command::Openapi => {
            println!("{:#}", pfa_api::document());
            Ok(true)
        }
    }
}

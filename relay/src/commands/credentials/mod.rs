//! `pfa-relay credentials`: credentials for PEMS that the database holds sealed.

mod import;
mod store;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use pfa_service::database::Database;

use crate::{
    calls::{Calls, RelayConfig},
    credentials::Kind,
    settings::{PemsSettings, Settings},
    vault::{self, Sealed},
};

/// What to do with credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialsCommand {
    /// Print a new key for pems-credentials-key-file
    GenerateKey {
        /// Id of the key: letters, digits and -
        #[arg(default_value = "k1")]
        id: String,
    },
    /// Store a secret, try it in one login, and take it into use
    Set {
        /// What the secret is for.
        #[command(flatten)]
        owner: Owner,
        /// The kind of login
        #[arg(long, value_name = "KIND", value_enum, default_value = "basic")]
        kind: Kind,
        /// The user of a password
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Where the secret comes from.
        #[command(flatten)]
        source: Source,
    },
    /// Replace the secret in use by a new one of the same kind and user, after it was tried in one login
    Rotate {
        /// What the secret is for.
        #[command(flatten)]
        owner: Owner,
        /// Where the secret comes from.
        #[command(flatten)]
        source: Source,
    },
    /// Try the credentials in use, in one login each
    Verify {
        /// Only those of this PEMS
        #[arg(long, value_name = "NAME")]
        pems: Option<String>,
    },
    /// List credentials, without secrets
    List,
    /// Erase the credentials of a PEMS or of an organization
    Remove {
        /// Whose credentials.
        #[command(flatten)]
        owner: Owner,
    },
    /// Seal every secret anew with the first of the keys given
    Rekey,
    /// Take over the application's own credentials, as CSV on standard input
    #[command(after_help = import::HELP)]
    Import(import::Import),
}

/// What credentials are for.
#[derive(Args, Clone, Debug)]
pub struct Owner {
    /// The PEMS
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub pems: String,
    /// The organization, by id or code [default: every organization of the PEMS that has none of its own]
    #[arg(long, value_name = "CODE|ID")]
    pub organization: Option<String>,
}

/// Where a secret comes from.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// File with the secret [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Take it into use without trying it
    #[arg(long)]
    pub unverified: bool,
}

/// What every command needs.
struct Session {
    calls: Calls,
    settings: PemsSettings,
}

/// Runs a command. `Ok(false)` = it ran, and something that it has printed is wrong.
pub async fn run(settings: &Settings, command: &CredentialsCommand) -> Result<bool> {
    if let CredentialsCommand::GenerateKey { id } = command {
        println!("{}", vault::generate_key(id)?.as_str());
        return Ok(true);
    }
    let database = Database::new(settings.database()?, settings.database.database_ca.as_deref(), 2, "pfa-relay")?;
    let session = Session { calls: Calls::new(database, settings.relay_name()), settings: settings.pems()? };
    match command {
        CredentialsCommand::GenerateKey { .. } => Ok(true),
        CredentialsCommand::Set { owner, kind, user, source } => {
            if (*kind == Kind::Basic) != user.is_some() {
                bail!("give --user with a password, and only then");
            }
            session.set(owner, *kind, user.as_deref(), source).await.map(|()| true)
        }
        CredentialsCommand::Rotate { owner, source } => session.rotate(owner, source).await.map(|()| true),
        CredentialsCommand::Verify { pems } => session.verify(pems.as_deref()).await,
        CredentialsCommand::List => session.list().await.map(|()| true),
        CredentialsCommand::Remove { owner } => session.remove(owner).await.map(|()| true),
        CredentialsCommand::Rekey => session.rekey().await,
        CredentialsCommand::Import(import) => import.run(&session).await,
    }
}

impl Session {
    async fn list(&self) -> Result<()> {
        let rows = self.calls.credentials().await?;
        if rows.is_empty() {
            println!("no credentials are stored; pfa-relay credentials set stores some");
            return Ok(());
        }
        println!(
            "{:<4} {:<12} {:<14} {:<8} {:<16} {:>3} {:<8} {:<8} {:>4}",
            "id", "pems", "organization", "kind", "user", "v", "status", "key", "days"
        );
        for row in rows {
            println!(
                "{:<4} {:<12} {:<14} {:<8} {:<16} {:>3} {:<8} {:<8} {:>4}",
                row.credential_id,
                row.pems,
                row.organization_id.as_deref().unwrap_or("all"),
                row.kind,
                row.user_name.as_deref().unwrap_or(""),
                row.version,
                row.status,
                row.key_id.as_deref().unwrap_or(""),
                row.age_days.map(|days| days.to_string()).unwrap_or_default(),
            );
        }
        Ok(())
    }

    async fn remove(&self, owner: &Owner) -> Result<()> {
        let config = self.calls.relay_config().await?;
        let organization = self.calls.next_credentials(&owner.pems, owner.organization.as_deref()).await?.organization_id;
        let found: Vec<_> = stored(&config, &owner.pems, organization.as_deref()).collect();
        if found.is_empty() {
            bail!("PEMS {} has no such credentials; pfa-relay credentials list shows those that are stored", owner.pems);
        }
        for sealed in found {
            self.calls.remove_credentials(sealed.credential_id).await?;
            println!("credentials {} of {} are erased", sealed.credential_id, describe(sealed));
        }
        Ok(())
    }

    /// `Ok(false)` = a secret could not be opened, and keeps its seal.
    async fn rekey(&self) -> Result<bool> {
        let keys = &self.settings.keys;
        let sealing = keys.sealing().context("no key is given: pems-credentials-key-file")?;
        let mut all_opened = true;
        for sealed in self.calls.relay_config().await?.credentials {
            let name = format!("credentials {} of {}", sealed.credential_id, describe(&sealed));
            if sealed.key_id == sealing {
                println!("{name}: sealed with {sealing} already");
                continue;
            }
            match keys.secret(&sealed) {
                Ok(secret) => {
                    let before = sealed.key_id.clone();
                    self.calls.reseal_credentials(&keys.seal(sealed, &secret)?).await?;
                    println!("{name}: sealed with {sealing}, before with {before}");
                }
                Err(error) => {
                    println!("{name}: FAILED: {error}");
                    all_opened = false;
                }
            }
        }
        Ok(all_opened)
    }
}

/// What a PEMS, or an organization of it, has stored.
fn stored<'a>(config: &'a RelayConfig, pems: &'a str, organization_id: Option<&'a str>) -> impl Iterator<Item = &'a Sealed> {
    config.credentials.iter().filter(move |sealed| sealed.pems == pems && sealed.organization_id.as_deref() == organization_id)
}

fn describe(sealed: &Sealed) -> String {
    match &sealed.organization_id {
        Some(organization) => format!("PEMS {}, organization {organization}", sealed.pems),
        None => format!("PEMS {}", sealed.pems),
    }
}

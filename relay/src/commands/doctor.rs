//! `pfa-relay doctor`: checks settings, database and PEMS one by one, and prints the next step for each failure.

use std::{fmt::Display, sync::Arc};

use pfa_service::database::Database;
use tokio::sync::Notify;

use crate::{
    calls::{Calls, Organization},
    listener::Listener,
    outbound::slots::Slots,
    pems::{FailureKind, Pems, json::JsonPems},
    settings::Settings,
};

/// What a failed check found.
struct Finding {
    problem: String,
    next_step: &'static str,
}

/// Runs the checks and prints a line for each. `false` = a check failed.
pub async fn examine(settings: &Settings) -> bool {
    let database = database(settings).await;
    let pems = client(settings);
    let organization = match &database {
        Some(database) => extension(settings, database).await,
        None => skipped(&["extension", "listen"]),
    };
    let listens = match &database {
        Some(database) => listen(database).await,
        None => false,
    };
    let (Some(database), Some(pems), Some(organization)) = (database, pems, organization) else {
        skipped::<()>(&["PEMS", "credentials"]);
        return false;
    };
    listens && exchange(settings, database, &pems, &organization).await
}

async fn database(settings: &Settings) -> Option<Database> {
    let config = match settings.database() {
        Ok(config) => config,
        Err(error) => return wrong("settings", error, "correct the setting; pfa-relay --help lists them all"),
    };
    let made = Database::new(config, settings.database.database_ca.as_deref(), 2, "pfa-relay");
    let database = match made {
        Ok(database) => database,
        Err(error) => return wrong("settings", chain(&error), "name a PEM file with database-ca"),
    };
    match database.get().await {
        Ok(_) => {
            right("database", "reachable");
            Some(database)
        }
        Err(error) => {
            wrong("database", error, "check database-url: host, port, name, user, password, sslmode, and database-ca for TLS")
        }
    }
}

fn client(settings: &Settings) -> Option<JsonPems> {
    let endpoint = match settings.pems() {
        Ok(endpoint) => endpoint,
        Err(error) => return wrong("settings", chain(&error), "correct the setting; pfa-relay --help lists them all"),
    };
    right("settings", format!("relay {}, PEMS {} by {}", settings.relay_name(), endpoint.url, endpoint.login.current().kind()));
    match JsonPems::new(endpoint) {
        Ok(pems) => Some(pems),
        Err(error) => wrong("settings", chain(&error), "name a PEM file with pems-ca"),
    }
}

/// Checks that the extension is installed, callable by this login and attached. Returns the first organization that may be
/// pulled.
async fn extension(settings: &Settings, database: &Database) -> Option<Organization> {
    let calls = Calls::new(database.clone(), settings.relay_name());
    if let Err(error) = calls.next_due().await {
        return wrong("extension", error, "create extension pfa_sync in this database, and grant pfa_sync_relay to this user");
    }
    match calls.inbound_organizations(None).await {
        Ok(organizations) => {
            right("extension", format!("installed and attached, {} active organizations", organizations.len()));
            match organizations.into_iter().next() {
                Some(organization) => Some(organization),
                None => wrong("organizations", "none is active", "activate an organization in the application"),
            }
        }
        Err(error) => wrong(
            "extension",
            error,
            "do what the message says; where it says nothing: select * from pfa_sync.attach(), then pfa_sync.resume()",
        ),
    }
}

async fn listen(database: &Database) -> bool {
    match Listener::new(database.clone(), Arc::new(Notify::new())).probe().await {
        Ok(()) => {
            right("listen", "notifications arrive");
            true
        }
        Err(error) => {
            wrong::<()>("listen", error, "connect to Postgres directly, or through a pooler in session mode");
            false
        }
    }
}

/// Makes one health request and checks two things: PEMS answers, and it accepts the credentials.
async fn exchange(settings: &Settings, database: Database, pems: &JsonPems, organization: &Organization) -> bool {
    let slots = Slots::new(Calls::new(database, settings.relay_name()), settings.requests_per_second);
    if let Err(error) = slots.next().await {
        wrong::<()>("slots", error, "select * from pfa_sync.attach()");
        return false;
    }
    let finding = match pems.health(&organization.code).await {
        Ok(()) => None,
        Err(failure) if failure.status.is_none() => {
            wrong::<()>("PEMS", failure, "check pems-url, the network, and pems-ca for the certificate");
            skipped::<()>(&["credentials"]);
            return false;
        }
        Err(failure) => Some(Finding {
            next_step: match failure.kind {
                FailureKind::Unauthorized => {
                    "check the secret, pems-user and pems-tenant, and pems-url (it ends before /api/pems)"
                }
                FailureKind::Outage => "check pems-url and pems-proxy: something other than PEMS answered",
                FailureKind::Throttled => "other clients use up PEMS' limit; try again",
                FailureKind::Unavailable => "PEMS is down; try again later",
                _ => "check pems-url (it ends before /api/pems) and pems-tenant",
            },
            problem: failure.message,
        }),
    };
    right("PEMS", "reachable");
    match finding {
        None => {
            right("credentials", format!("accepted for organization {}", organization.code));
            true
        }
        Some(finding) => {
            wrong::<()>("credentials", finding.problem, finding.next_step);
            false
        }
    }
}

fn right(check: &str, detail: impl Display) {
    println!("ok      {check}: {detail}");
}

fn wrong<T>(check: &str, problem: impl Display, next_step: &str) -> Option<T> {
    println!("FAILED  {check}: {problem}");
    println!("        next: {next_step}");
    None
}

fn skipped<T>(checks: &[&str]) -> Option<T> {
    for check in checks {
        println!("skipped {check}: needs what failed above");
    }
    None
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! `pfa-relay doctor`: checks settings, database and PEMS one by one, and prints the next step for each failure.

use std::sync::Arc;

use pfa_service::{
    database::Database,
    doctor::{self, Report},
    startup,
};
use tokio::sync::Notify;

use crate::{
    calls::{Calls, Organization},
    listener::Listener,
    outbound::slots::Slots,
    pems::{FailureKind, Pems, json::JsonPems},
    settings::Settings,
};

/// Runs the checks and prints a line for each. `false` = a check failed.
pub async fn examine(settings: &Settings) -> bool {
    let mut report = Report::default();
    examine_all(&mut report, settings).await;
    report.passed()
}

async fn examine_all(report: &mut Report, settings: &Settings) -> Option<()> {
    let database = database(report, settings);
    let pems = client(report, settings);
    let fits = match &database {
        Some(database) => doctor::database(report, database, &startup::RELAY).await,
        None => None,
    };
    let (Some(database), Some(())) = (database, fits) else {
        return report.skipped(&["check()", "organizations", "listen", "PEMS", "credentials"]);
    };
    doctor::findings(report, &database).await;
    let calls = Calls::new(database.clone(), settings.relay_name());
    let organization = organization(report, &calls).await;
    listen(report, database).await;
    let (Some(pems), Some(organization)) = (pems, organization) else {
        return report.skipped(&["PEMS", "credentials"]);
    };
    exchange(report, settings, calls, &pems, &organization).await
}

fn database(report: &mut Report, settings: &Settings) -> Option<Database> {
    let config = match settings.database() {
        Ok(config) => config,
        Err(error) => return report.wrong("settings", error, "correct the setting; pfa-relay --help lists them all"),
    };
    match Database::new(config, settings.database.database_ca.as_deref(), 2, "pfa-relay") {
        Ok(database) => Some(database),
        Err(error) => report.wrong("settings", chain(&error), "name a PEM file with database-ca"),
    }
}

fn client(report: &mut Report, settings: &Settings) -> Option<JsonPems> {
    let endpoint = match settings.pems() {
        Ok(endpoint) => endpoint,
        Err(error) => return report.wrong("settings", chain(&error), "correct the setting; pfa-relay --help lists them all"),
    };
    let (relay, login) = (settings.relay_name(), endpoint.login.current().kind());
    report.right("settings", format!("relay {relay}, PEMS {} by {login}", endpoint.url));
    match JsonPems::new(endpoint) {
        Ok(pems) => Some(pems),
        Err(error) => report.wrong("settings", chain(&error), "name a PEM file with pems-ca"),
    }
}

/// The first organization that may be pulled.
async fn organization(report: &mut Report, calls: &Calls) -> Option<Organization> {
    match calls.inbound_organizations(None).await {
        Ok(organizations) => {
            let active = organizations.len();
            let Some(organization) = organizations.into_iter().next() else {
                return report.wrong("organizations", "none is active", "activate an organization in the application");
            };
            report.right("organizations", format!("{active} active"));
            Some(organization)
        }
        Err(error) => report.wrong("organizations", error, "do what the message says; then run doctor again"),
    }
}

async fn listen(report: &mut Report, database: Database) {
    match Listener::new(database, Arc::new(Notify::new())).probe().await {
        Ok(()) => report.right("listen", "notifications arrive"),
        Err(error) => {
            report.wrong::<()>("listen", error, "connect to Postgres directly, or through a pooler in session mode");
        }
    }
}

/// Makes one health request and checks two things: PEMS answers, and it accepts the credentials.
async fn exchange(
    report: &mut Report,
    settings: &Settings,
    calls: Calls,
    pems: &JsonPems,
    organization: &Organization,
) -> Option<()> {
    let slots = Slots::new(calls, settings.requests_per_second);
    if let Err(error) = slots.next().await {
        return report.wrong("slots", error, "select * from pfa_sync.attach()");
    }
    let failure = match pems.health(&organization.code).await {
        Ok(()) => None,
        Err(failure) if failure.status.is_none() => {
            report.wrong::<()>("PEMS", failure, "check pems-url, the network, and pems-ca for the certificate");
            return report.skipped(&["credentials"]);
        }
        Err(failure) => Some(failure),
    };
    report.right("PEMS", "reachable");
    let Some(failure) = failure else {
        report.right("credentials", format!("accepted for organization {}", organization.code));
        return Some(());
    };
    let next_step = match failure.kind {
        FailureKind::Unauthorized => "check the secret, pems-user and pems-tenant, and pems-url (it ends before /api/pems)",
        FailureKind::Outage => "check pems-url and pems-proxy: something other than PEMS answered",
        FailureKind::Throttled => "other clients use up PEMS' limit; try again",
        FailureKind::Unavailable => "PEMS is down; try again later",
        _ => "check pems-url (it ends before /api/pems) and pems-tenant",
    };
    report.wrong("credentials", failure, next_step)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

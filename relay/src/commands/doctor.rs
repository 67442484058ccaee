//! `pfa-relay doctor`: checks settings, database and PEMS one by one, and prints the next step for each failure.

use std::sync::Arc;

use pfa_service::{
    database::Database,
    doctor::{self, Report},
    startup,
};
use tokio::sync::Notify;

use crate::{
    calls::{Calls, OrganizationFault},
    listener::Listener,
    pems::FailureKind,
    settings::{PemsSettings, Settings},
    systems::{Route, Systems},
};

/// Runs the checks and prints a line for each. `false` = a check failed.
pub async fn examine(settings: &Settings) -> bool {
    let mut report = Report::default();
    examine_all(&mut report, settings).await;
    report.passed()
}

async fn examine_all(report: &mut Report, settings: &Settings) -> Option<()> {
    let database = database(report, settings);
    let pems = pems_settings(report, settings);
    let fits = match &database {
        Some(database) => doctor::database(report, database, &startup::RELAY).await,
        None => None,
    };
    let (Some(database), Some(())) = (database, fits) else {
        return report.skipped(&["check()", "organizations", "listen", "PEMS", "credentials"]);
    };
    doctor::sessions(report, &database).await;
    doctor::findings(report, &database).await;
    let calls = Calls::new(database.clone(), settings.relay_name());
    organizations(report, &calls).await;
    listen(report, database).await;
    let Some(pems) = pems else {
        return report.skipped(&["PEMS", "credentials"]);
    };
    systems(report, calls, pems).await
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

fn pems_settings(report: &mut Report, settings: &Settings) -> Option<PemsSettings> {
    let pems = match settings.pems() {
        Ok(pems) => pems,
        Err(error) => return report.wrong("settings", chain(&error), "correct the setting; pfa-relay --help lists them all"),
    };
    let place = match (pems.url(), pems.embedded()) {
        (Some(url), Some(embedded)) => format!("PEMS {url} by {}", embedded.login.current().kind().words()),
        (Some(url), None) => format!("PEMS {url} by credentials of the database"),
        (None, _) => "every PEMS of the database".to_owned(),
    };
    let key = pems.keys.sealing().map(|id| format!(", credentials key {id}")).unwrap_or_default();
    report.right("settings", format!("relay {}, {place}{key}", settings.relay_name()));
    Some(pems)
}

async fn organizations(report: &mut Report, calls: &Calls) {
    match calls.inbound_organizations(None).await {
        Ok(organizations) if organizations.is_empty() => {
            report.wrong::<()>("organizations", "none is active", "activate an organization in the application");
        }
        Ok(organizations) => report.right("organizations", format!("{} active", organizations.len())),
        Err(error) => {
            report.wrong::<()>("organizations", error, "do what the message says; then run doctor again");
        }
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

/// Tries each login at its PEMS, by an organization that uses it, and names the organizations that this relay can't serve.
async fn systems(report: &mut Report, calls: Calls, settings: PemsSettings) -> Option<()> {
    let systems = match Systems::new(calls, settings) {
        Ok(systems) => systems,
        Err(error) => return report.wrong("settings", chain(&error), "name a PEM file with pems-ca"),
    };
    if let Err(error) = systems.follow().await {
        return report.wrong("PEMS", error, "do what the message says; then run doctor again");
    }
    for OrganizationFault { organization_id, reason } in systems.faults().unwrap_or_default() {
        report.wrong::<()>(
            "credentials",
            format!("organization {organization_id} is not served: {reason}"),
            "select * from pfa_sync.credentials; pfa-relay credentials --help",
        );
    }
    for route in systems.logins() {
        exchange(report, &route).await;
    }
    Some(())
}

/// Makes one health request and checks two things: PEMS answers, and it accepts the credentials.
async fn exchange(report: &mut Report, route: &Route) -> Option<()> {
    let (pems, organization) = (&route.pems.name, &route.organization);
    if let Err(error) = route.slots.next().await {
        return report.wrong("slots", error, "select * from pfa_sync.attach()");
    }
    let failure = match route.client.health(organization).await {
        Ok(()) => None,
        Err(failure) if failure.status.is_none() => {
            let next_step = "check the address of the PEMS, the network, and pems-ca for the certificate";
            report.wrong::<()>(&format!("PEMS {pems}"), failure, next_step);
            return report.skipped(&["credentials"]);
        }
        Err(failure) => Some(failure),
    };
    report.right(&format!("PEMS {pems}"), "reachable");
    let Some(failure) = failure else {
        report.right("credentials", format!("accepted by PEMS {pems} for organization {organization}"));
        return Some(());
    };
    let next_step = match failure.kind {
        FailureKind::Unauthorized => "check the secret, its user, the tenant, and the address (it ends before /api/pems)",
        FailureKind::Outage => "check the address and pems-proxy: something other than PEMS answered",
        FailureKind::Throttled => "other clients use up PEMS' limit; try again",
        FailureKind::Unavailable => "PEMS is down; try again later",
        _ => "check the address (it ends before /api/pems) and the tenant",
    };
    report.wrong("credentials", failure, next_step)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

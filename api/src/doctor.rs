//! `pfa-api doctor`: checks settings, keys, address and database one by one, and prints the next step for each failure.

use std::net::TcpListener;

use pfa_service::{
    doctor::{self, Report},
    startup,
};

use crate::{auth::keys, settings::Settings};

/// Runs the checks and prints a line for each. `false` = a check failed.
pub async fn examine(settings: &Settings) -> bool {
    let mut report = Report::default();
    tokens(&mut report, settings).await;
    address(&mut report, settings);
    match settings.database() {
        Ok(database) => match doctor::database(&mut report, &database, &startup::API).await {
            Some(()) => {
                doctor::sessions(&mut report, &database).await;
                doctor::findings(&mut report, &database).await;
            }
            None => drop(report.skipped::<()>(&["check()"])),
        },
        Err(error) => {
            report.wrong::<()>("settings", format!("{error:#}"), "correct the setting; pfa-api --help lists them all");
        }
    }
    report.passed()
}

/// Checks that tokens can be verified: by the secret, by keys that are published, or by both.
async fn tokens(report: &mut Report, settings: &Settings) {
    let rules = match settings.tokens().and_then(|rules| settings.origins().map(|_| rules)) {
        Ok(rules) => rules,
        Err(error) => {
            report.wrong::<()>("settings", format!("{error:#}"), "correct the setting; pfa-api --help lists them all");
            return;
        }
    };
    report.right("settings", "can be used");
    if rules.secret.is_some() {
        report.right("tokens", "HS256 by the secret");
    }
    let Some(source) = &rules.keys else { return };
    let next_step = "check jwks-file, or jwks-url and jwks-proxy: a set (JWKS) with keys for RS256 or ES256";
    match keys::count(source).await {
        Ok(number) => report.right("tokens", format!("RS256 and ES256 by {number} published keys")),
        Err(error) => drop(report.wrong::<()>("tokens", format!("{error:#}"), next_step)),
    }
}

/// Checks that the address can be listened on. A service that runs already is no fault.
fn address(report: &mut Report, settings: &Settings) {
    match TcpListener::bind(settings.listen) {
        Ok(_) => report.right("listen", format!("{} is free", settings.listen)),
        Err(error) => report.note(
            "listen",
            format!("{}: {error}", settings.listen),
            "nothing, if the service is running; otherwise name another address with --listen",
        ),
    }
}

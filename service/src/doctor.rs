//! What the `doctor` of each program prints: a line for each check, with the next step for each failure, and the checks of
//! the database that the programs share.

use std::fmt::Display;

use crate::{
    database::{Database, DatabaseError},
    startup::{self, Program},
};

/// The findings of the database about itself: broken invariants, and states of health other than ok.
const INVARIANTS: &str = "select c.invariant, concat_ws(': ', c.object, c.detail) from pfa_sync.check() c";
const HEALTH: &str = "select concat_ws(' ', h.code, h.organization_id), concat_ws(': ', h.severity, h.reason), h.action
      from pfa_sync.health() h where h.code <> 'ok'";

/// The lines printed so far.
#[derive(Debug, Default)]
pub struct Report {
    failed: bool,
}

impl Report {
    /// Whether no check failed.
    pub fn passed(&self) -> bool {
        !self.failed
    }

    /// Prints a check that found nothing wrong.
    pub fn right(&self, check: &str, detail: impl Display) {
        println!("ok      {check}: {detail}");
    }

    /// Prints what a check found, and what to do next. `None` stands for what the check was to return.
    pub fn wrong<T>(&mut self, check: &str, problem: impl Display, next_step: &str) -> Option<T> {
        self.failed = true;
        println!("FAILED  {check}: {problem}");
        println!("        next: {next_step}");
        None
    }

    /// Prints something to know about, which is no failure of the installation.
    pub fn note(&self, check: &str, problem: impl Display, next_step: &str) {
        println!("note    {check}: {problem}");
        println!("        next: {next_step}");
    }

    /// Prints that checks were left out.
    pub fn skipped<T>(&self, checks: &[&str]) -> Option<T> {
        for check in checks {
            println!("skipped {check}: needs what failed above");
        }
        None
    }
}

/// Checks that the database can be used by this program: reachable, with a login that has its role and nothing else, and
/// the extension installed, attached and of one version. `None` = it can't.
pub async fn database(report: &mut Report, database: &Database, program: &Program) -> Option<()> {
    if let Err(error) = database.get().await
        && let Ok(Some(_)) = startup::examine(database, program).await
    {
        let next = "check database-url: host, port, name, user, password, sslmode, and database-ca for TLS";
        return report.wrong("database", error, next);
    }
    match startup::examine(database, program).await {
        Ok(None) => {
            report.right("database", "reachable");
            report.right("login", "has the role of this program and nothing else");
            report.right("extension", "installed and attached");
            Some(())
        }
        Ok(Some(missing)) => {
            report.right("database", "reachable");
            report.wrong("extension", missing, "do what the message says; then run doctor again")
        }
        Err(fault) => report.wrong("login", fault, "do what the message says; then run doctor again"),
    }
}

/// Prints what the database finds about itself: each row of `check()` is a failure, each state of health but ok a note.
pub async fn findings(report: &mut Report, database: &Database) {
    if let Err(error) = print_findings(report, database).await {
        report.wrong::<()>("check()", error, "do what the message says; then run doctor again");
    }
}

async fn print_findings(report: &mut Report, database: &Database) -> Result<(), DatabaseError> {
    let broken = database.call(INVARIANTS, &[]).await?;
    for row in &broken {
        let (invariant, object): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        report.wrong::<()>(
            "check()",
            format!("not true that {invariant}: {object}"),
            "do what the line says; where it says nothing, report it with the log of the database",
        );
    }
    if broken.is_empty() {
        report.right("check()", "every invariant holds");
    }
    for row in database.call(HEALTH, &[]).await? {
        let (code, reason, action): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        report.note("health()", format!("{code}: {reason}"), &action);
    }
    Ok(())
}

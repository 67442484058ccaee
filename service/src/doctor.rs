//! What the `doctor` of each program prints: a line for each check, with the next step for each failure, and the checks of
//! the database that the programs share.

use std::{
    fmt::{self, Display},
    io::{Write, stdout},
    time::Duration,
};

use tokio_postgres::SimpleQueryMessage;

use crate::{
    database::{Database, DatabaseError},
    startup::{self, Program},
};

/// The findings of the database about itself: broken invariants, and states of health other than ok.
const INVARIANTS: &str = "select c.invariant, concat_ws(': ', c.object, c.detail) from pfa_sync.check() c";
const HEALTH: &str = "select concat_ws(' ', h.code, h.organization_id), concat_ws(': ', h.severity, h.reason), h.action
      from pfa_sync.health() h where h.code <> 'ok'";

/// What an operator would look at in the database.
const DOCTOR: &str = "select subject, state, detail, next_step from pfa_sync.doctor()";

/// How long a connection may take that a pooler without free connections keeps waiting.
const POOLER_PATIENCE: Duration = Duration::from_secs(5);

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
        say(format_args!("ok      {check}: {detail}"));
    }

    /// Prints what a check found, and what to do next. `None` stands for what the check was to return.
    pub fn wrong<T>(&mut self, check: &str, problem: impl Display, next_step: &str) -> Option<T> {
        self.failed = true;
        say(format_args!("FAILED  {check}: {problem}\n        next: {next_step}"));
        None
    }

    /// Prints something to know about, which is no failure of the installation.
    pub fn note(&self, check: &str, problem: impl Display, next_step: &str) {
        say(format_args!("note    {check}: {problem}\n        next: {next_step}"));
    }

    /// Prints that checks were left out.
    pub fn skipped<T>(&self, checks: &[&str]) -> Option<T> {
        for check in checks {
            say(format_args!("skipped {check}: needs what failed above"));
        }
        None
    }
}

/// Prints a line. A reader that has closed its end, such as `head`, is no fault.
fn say(line: fmt::Arguments) {
    let _ = writeln!(stdout(), "{line}");
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
    for row in database.call(DOCTOR, &[]).await? {
        let (subject, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (detail, next_step): (String, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        let next_step = next_step.unwrap_or_default();
        match state.as_str() {
            "ok" => report.right(&subject, detail),
            "note" => report.note(&subject, detail, &next_step),
            _ => drop(report.wrong::<()>(&subject, detail, &next_step)),
        }
    }
    for row in database.call(HEALTH, &[]).await? {
        let (code, reason, action): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        report.note("health()", format!("{code}: {reason}"), &action);
    }
    Ok(())
}

/// Checks that connections are sessions of their own. Behind a pooler in transaction mode, what a session has set is gone in
/// its next transaction if another one has taken its connection to the server.
pub async fn sessions(report: &mut Report, database: &Database) {
    let outcome = tokio::time::timeout(POOLER_PATIENCE, keeps_sessions(database)).await;
    let next_step = "connect to PostgreSQL directly, or through a pooler in session mode";
    match outcome {
        Ok(Ok(true)) => report.right("sessions", "a connection keeps its session"),
        Ok(Ok(false)) => {
            report.wrong::<()>("sessions", "a pooler in transaction mode stands before the database", next_step);
        }
        Ok(Err(error)) => {
            report.wrong::<()>("sessions", error, next_step);
        }
        Err(_) => {
            report.wrong::<()>("sessions", "a second connection waits for the first one, as behind a pooler", next_step);
        }
    }
}

async fn keeps_sessions(database: &Database) -> Result<bool, DatabaseError> {
    let (probe, driver) = database.connect().await?;
    let driver = tokio::spawn(driver);
    let (other, other_driver) = database.connect().await?;
    let other_driver = tokio::spawn(other_driver);
    // Without prepared statements, which a pooler in transaction mode may refuse.
    let kept = async {
        probe.batch_execute("set pfa_sync.doctor = 'here'").await?;
        other.batch_execute("begin; select 1").await?;
        let answer = probe.simple_query("select current_setting('pfa_sync.doctor', true)").await?;
        other.batch_execute("rollback").await?;
        Ok(answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("here"))))
    };
    let kept = kept.await;
    driver.abort();
    other_driver.abort();
    kept
}

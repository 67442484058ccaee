//! What a program stands on, checked once at its start: the login, the extension, the role.
//!
//! What time may mend is waited for, with one line in the log. What only a person can mend ends the program.

use std::{error::Error, future::pending};

use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    certificate,
    database::{Database, DatabaseError},
    retry::Policy,
};

/// What a program requires of its login.
#[derive(Debug)]
pub struct Program {
    /// The group role that the login must have, and no other.
    role: &'static str,
    /// Whether it works on a database that takes writes alone: not on a standby.
    writes: bool,
}

/// The requirements of `pfa-relay`.
pub const RELAY: Program = Program { role: "pfa_sync_relay", writes: true };

/// The requirements of `pfa-api`.
pub const API: Program = Program { role: "pfa_sync_api", writes: false };

/// A fault that stays until a person mends it.
#[derive(Debug, Error)]
pub enum StartupError {
    /// The connection is refused for good: a wrong password, database or certificate.
    #[error("the database can't be used with these settings: {0}")]
    Connection(String),
    /// The login is a superuser.
    #[error("the login {0} is a superuser, which no check of permissions binds: use a login that has {1} and nothing else")]
    Superuser(String, &'static str),
    /// The login lacks the role.
    #[error("the login {0} does not have the role {1}: grant {1} to {0}")]
    NoRole(String, &'static str),
    /// The login has more than its role.
    #[error("the login {0} has more than {1}: revoke {2}, or use a login of its own for this program")]
    MoreThanRole(String, &'static str, String),
}

/// The login and the extension, as the database describes them.
const QUERY: &str = "
    select session_user::text, r.rolsuper,
           case when g.oid is not null then pg_has_role(session_user, g.oid, 'member') end,
           array(select o.rolname::text from pg_roles o
                  where o.rolname not in (session_user, $1) and pg_has_role(session_user, o.oid, 'member')
                  union all select 'bypassrls' where r.rolbypassrls
                  union all select 'createrole' where r.rolcreaterole
                  order by 1),
           exists (select from pg_extension e where e.extname = 'pfa_sync'), pg_is_in_recovery()
      from pg_roles r
      left join pg_roles g on g.rolname = $1
     where r.rolname = session_user";

/// Whether the database can be used: by this login, with the extension attached and of one version. Null = it can.
const UNFIT: &str = "select (select concat_ws('; ', h.reason, h.action) from pfa_sync.health() h where h.code = 'not_attached')";

/// Checks the database until it fits, and then waits for ever; returns a fault that only a person can mend.
pub async fn fault(database: Database, program: &'static Program) -> StartupError {
    match fit(&database, program).await {
        Ok(()) => pending().await,
        Err(fault) => fault,
    }
}

/// Waits until the database fits, with a line in the log for each reason; an error is a fault that only a person can mend.
pub async fn fit(database: &Database, program: &'static Program) -> Result<(), StartupError> {
    let mut backoff = Policy::DATABASE.backoff();
    let mut logged = String::new();
    loop {
        let waiting_for = match examine(database, program).await? {
            None => {
                if !logged.is_empty() {
                    info!("the database fits now");
                }
                return Ok(());
            }
            Some(missing) => missing,
        };
        if waiting_for != logged {
            warn!(reason = waiting_for, "waiting for the database");
            logged = waiting_for;
        }
        sleep(backoff.wait()).await;
    }
}

/// Checks the database once: what time may mend and is still missing, `None` = nothing; an error is a fault that only a
/// person can mend.
pub async fn examine(database: &Database, program: &Program) -> Result<Option<String>, StartupError> {
    match check(database, program).await {
        Ok(login) => login.missing(program),
        Err(error) => match permanent(&error) {
            Some(reason) => Err(StartupError::Connection(reason)),
            None => Ok(Some(error.to_string())),
        },
    }
}

/// What a login has, and what is the matter with the extension.
struct Standing {
    login: String,
    superuser: bool,
    /// `None` = there is no such role.
    has_role: Option<bool>,
    others: Vec<String>,
    installed: bool,
    standby: bool,
    unfit: Option<String>,
}

async fn check(database: &Database, program: &Program) -> Result<Standing, DatabaseError> {
    let rows = database.call(QUERY, &[&program.role]).await?;
    let Some(row) = rows.first() else {
        return Ok(Standing {
            login: "of this session".to_owned(),
            superuser: false,
            has_role: None,
            others: Vec::new(),
            installed: false,
            standby: false,
            unfit: None,
        });
    };
    let mut standing = Standing {
        login: row.try_get(0)?,
        superuser: row.try_get(1)?,
        has_role: row.try_get(2)?,
        others: row.try_get(3)?,
        installed: row.try_get(4)?,
        standby: row.try_get(5)?,
        unfit: None,
    };
    if standing.installed && standing.has_role == Some(true) {
        let rows = database.call(UNFIT, &[]).await?;
        standing.unfit = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    }
    Ok(standing)
}

impl Standing {
    fn missing(self, program: &Program) -> Result<Option<String>, StartupError> {
        let role = program.role;
        match self {
            Self { login, superuser: true, .. } => Err(StartupError::Superuser(login, role)),
            // roles.sql and the extension may still be to come.
            Self { has_role: None, .. } => {
                Ok(Some(format!("there is no role {role}: run sql/roles.sql, then create extension pfa_sync")))
            }
            Self { login, has_role: Some(false), .. } => Err(StartupError::NoRole(login, role)),
            Self { login, others, .. } if !others.is_empty() => Err(StartupError::MoreThanRole(login, role, others.join(", "))),
            Self { installed: false, .. } => {
                Ok(Some("the extension pfa_sync is not installed in this database: create extension pfa_sync".to_owned()))
            }
            Self { standby: true, .. } if program.writes => Ok(Some(
                "the database is a standby and takes no writes: name its primary in database-url, or wait until it is promoted"
                    .to_owned(),
            )),
            Self { unfit, .. } => Ok(unfit),
        }
    }
}

/// Why a failure to connect stays until settings or the server's roles are changed; `None` = it may go by itself.
fn permanent(error: &DatabaseError) -> Option<String> {
    if let Some(fault) = certificate::fault(error, "database-ca") {
        return Some(format!("the server's certificate is not accepted: {fault}"));
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<tokio_postgres::Error>()
            && refused.code().is_some_and(|state| matches!(state.code(), "28P01" | "28000" | "3D000"))
        {
            return Some(crate::database::describe(refused));
        }
        cause = error.source();
    }
    None
}

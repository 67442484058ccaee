//! What a program stands on, checked once at its start: the login, the extension, the role.
//!
//! What time may mend is waited for, with one line in the log. What only a person can mend ends the program.

use std::{error::Error, future::pending};

use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    database::{Database, DatabaseError},
    retry::Policy,
};

/// What a program requires of its login.
#[derive(Debug)]
pub struct Program {
    /// The group role that the login must have.
    role: &'static str,
    /// Whether the login must not have any other role, since the program acts for users of its own.
    alone: bool,
}

/// The requirements of `pfa-relay`.
pub const RELAY: Program = Program { role: "pfa_sync_relay", alone: false };

/// The requirements of `pfa-api`.
pub const API: Program = Program { role: "pfa_sync_api", alone: true };

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
           (select e.extversion from pg_extension e where e.extname = 'pfa_sync')
      from pg_roles r
      left join pg_roles g on g.rolname = $1
     where r.rolname = session_user";

/// Checks the database until it fits, and then waits for ever; returns a fault that only a person can mend.
pub async fn fault(database: Database, program: &'static Program) -> StartupError {
    let mut backoff = Policy::DATABASE.backoff();
    let mut logged = String::new();
    loop {
        let waiting_for = match check(&database, program).await {
            Ok(None) => {
                if !logged.is_empty() {
                    info!("the database fits now");
                }
                return pending().await;
            }
            Ok(Some(missing)) => missing,
            Err(Failed::Fault(fault)) => return fault,
            Err(Failed::Database(error)) => match permanent(&error) {
                true => return StartupError::Connection(error.to_string()),
                false => error.to_string(),
            },
        };
        if waiting_for != logged {
            warn!(reason = waiting_for, "waiting for the database");
            logged = waiting_for;
        }
        sleep(backoff.wait()).await;
    }
}

enum Failed {
    Fault(StartupError),
    Database(DatabaseError),
}

/// What is still missing; `None` = nothing.
async fn check(database: &Database, program: &Program) -> Result<Option<String>, Failed> {
    let failed = |error: tokio_postgres::Error| Failed::Database(error.into());
    let rows = database.call(QUERY, &[&program.role]).await.map_err(Failed::Database)?;
    let Some(row) = rows.first() else { return Ok(Some("the login has no row in pg_roles".to_owned())) };
    let login: String = row.try_get(0).map_err(failed)?;
    let others: Vec<String> = row.try_get(3).map_err(failed)?;
    if program.alone && row.try_get(1).map_err(failed)? {
        return Err(Failed::Fault(StartupError::Superuser(login, program.role)));
    }
    match row.try_get::<_, Option<bool>>(2).map_err(failed)? {
        // roles.sql and the extension may still be to come.
        None => return Ok(Some(format!("there is no role {}: run sql/roles.sql, then create extension pfa_sync", program.role))),
        Some(false) => return Err(Failed::Fault(StartupError::NoRole(login, program.role))),
        Some(true) => {}
    }
    if program.alone && !others.is_empty() {
        return Err(Failed::Fault(StartupError::MoreThanRole(login, program.role, others.join(", "))));
    }
    let version: Option<String> = row.try_get(4).map_err(failed)?;
    Ok(match version {
        None => Some("the extension pfa_sync is not installed in this database: create extension pfa_sync".to_owned()),
        Some(_) => None,
    })
}

/// Whether a failure to connect stays until settings or the server's roles are changed.
fn permanent(error: &DatabaseError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>()
            && error.code().is_some_and(|state| matches!(state.code(), "28P01" | "28000" | "3D000"))
        {
            return true;
        }
        // An error of TLS is wrapped in one of input and output, whose source leaves the wrapped one out.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        if let Some(error) = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return matches!(error, rustls::Error::InvalidCertificate(_));
        }
        cause = error.source();
    }
    false
}

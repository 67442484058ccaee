//! Writes to the application's tables as their owners.
//!
//! A trigger, default or constraint of a table is code of the table's owner. Were it to run with the rights of the
//! extension's functions, the owner of a table could take them over. PostgreSQL's own logical replication solves this in
//! the same way: it writes as the owner of the table, in a security-restricted operation.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::JsonB;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;

thread_local! {
    /// The plans of this backend, by statement: there are a handful of statements.
    static PLANS: RefCell<HashMap<String, Rc<OwnedPreparedStatement>>> = RefCell::default();
}

/// The user and security context of this backend, which it gets back when this is dropped. After an error PostgreSQL
/// restores them itself when it aborts the (sub)transaction.
struct Restored {
    user: pg_sys::Oid,
    context: std::ffi::c_int,
}

impl Restored {
    /// Switches to a user, in a security-restricted operation.
    fn after_switching_to(user: pg_sys::Oid) -> Self {
        let mut before = Self { user: pg_sys::InvalidOid, context: 0 };
        // SAFETY: reads and sets variables of this backend, within a statement; the pointers are valid for the call.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.context);
            let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
            pg_sys::SetUserIdAndSecContext(user, before.context | restricted as std::ffi::c_int);
        }
        before
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        // SAFETY: sets what GetUserIdAndSecContext returned.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// Declared and explained in `sql/install/application/write.sql`.
#[pg_extern(sql = false)]
fn run_as_table_owner(relation: pg_sys::Oid, statement: &str, argument: JsonB) -> i64 {
    let owner = owner_of(relation);
    Spi::connect_mut(|client| {
        let known = PLANS.with_borrow(|plans| plans.get(statement).cloned());
        let plan = known.unwrap_or_else(|| {
            let plan = client.prepare_mut(statement, &[PgBuiltInOids::JSONBOID.oid()]).unwrap_or_report().keep();
            let plan = Rc::new(plan);
            PLANS.with_borrow_mut(|plans| plans.insert(statement.to_owned(), plan.clone()));
            plan
        });
        // The plans are not borrowed any more: a trigger of the table may come back here.
        let _restored = Restored::after_switching_to(owner);
        client.update(&*plan, None, &[argument.into()]).unwrap_or_report();
        // SAFETY: reads a variable of this backend that the statement has just set.
        i64::try_from(unsafe { pg_sys::SPI_processed }).unwrap_or(i64::MAX)
    })
}

/// The owner of a relation.
fn owner_of(relation: pg_sys::Oid) -> pg_sys::Oid {
    let owner = Spi::get_one_with_args::<pg_sys::Oid>(
        "select c.relowner from pg_catalog.pg_class c where c.oid operator(pg_catalog.=) $1",
        &[relation.into()],
    );
    owner.unwrap_or_report().unwrap_or_else(|| {
        let message = format!("there is no relation with oid {}", relation.to_u32());
        ErrorReport::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, message, "run_as_table_owner")
            .set_hint("select * from pfa_sync.attach() binds the extension to the application's tables again.")
            .report(PgLogLevel::ERROR);
        unreachable!("an error is raised")
    })
}

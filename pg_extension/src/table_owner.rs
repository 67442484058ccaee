//! Writes to the application's tables as their owners.
//!
//! A trigger, default or constraint of a table is code of the table's owner. Were it to run with the rights of the
//! extension's functions, the owner of a table could take them over. PostgreSQL's own logical replication solves this in
//! the same way: it writes as the owner of the table, in a security-restricted operation.

use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};
use pgrx::prelude::*;

/// Makes the owner of a relation the current user, in a security-restricted operation, until the calling SECURITY DEFINER
/// function returns: PostgreSQL then restores the user from before its call, and after an error the one from before the
/// (sub)transaction. Declared in `sql/install/application/write.sql`.
#[pg_extern(sql = false)]
fn become_table_owner(relation: pg_sys::Oid) {
    let owner = Spi::get_one_with_args::<pg_sys::Oid>(
        "select c.relowner from pg_catalog.pg_class c where c.oid operator(pg_catalog.=) $1",
        &[relation.into()],
    );
    let Some(owner) = owner.unwrap_or_report() else {
        let message = format!("there is no relation with oid {}", relation.to_u32());
        ErrorReport::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, message, "become_table_owner").report(PgLogLevel::ERROR);
        return;
    };
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    // SAFETY: reads and sets variables of this backend, within a statement; the pointers are valid for the call.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(owner, context | restricted as std::ffi::c_int);
    }
}

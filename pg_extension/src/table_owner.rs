//! Writes to the application's tables as their owners.
//!
//! A trigger, default or constraint of a table is code of the table's owner. Were it to run with the rights of the
//! extension's functions, the owner of a table could take them over. PostgreSQL's own logical replication solves this in
//! the same way: it writes as the owner of the table, in a security-restricted operation.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Makes the owner of a relation the current user, in a security-restricted operation, until the calling SECURITY DEFINER
/// function returns: PostgreSQL then restores the user from before its call, and after an error the one from before the
/// (sub)transaction. Declared in `sql/install/application/write.sql`.
#[pg_extern(sql = false)]
fn become_table_owner(relation: pg_sys::Oid) {
    let Some(owner) = owner_of(relation) else {
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

/// The owner of a relation, from the catalog cache: a query would cost as much as the write that follows.
fn owner_of(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: the tuple of the cache is read before it is released, and one of RELOID is a row of pg_class.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as _, relation.into());
        if tuple.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

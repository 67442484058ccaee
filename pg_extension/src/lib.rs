//! The Postgres extension `pfa_sync`: thin wrappers of the pure rules (`pfa_rules`) for SQL, and the doorbell.
//!
//! Every SQL declaration stands in `sql/install`, next to the SQL that calls it: the macros generate none.

mod bounds;
mod document;
mod doorbell;
mod modification;
mod record;
mod row;
mod rules;
mod table_owner;

pgrx::pg_module_magic!();

/// Postgres calls this when it loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    doorbell::init();
}

//! The Postgres extension `pfa_sync`: thin wrappers of the pure rules (`pfa_rules`) for SQL.
//!
//! Every SQL declaration stands in `sql/install`, next to the SQL that calls it, so the macros generate none.

mod record;
mod rules;

pgrx::pg_module_magic!();

//! The relay between the write queue in Postgres and PEMS.
//!
//! The database decides, the relay transfers. [`calls`] are the functions of the database that it uses, [`pems`] is the
//! port to PEMS, [`systems`] says which PEMS serves which organization, with which credentials. [`outbound`] claims batches of changes, writes them to PEMS and reports the outcomes; [`inbound`] pulls
//! PEMS' records into the mirror. [`commands`] are the subcommands of the program.

pub mod calls;
pub mod commands;
pub mod credentials;
pub mod inbound;
pub mod jobs;
pub mod listener;
pub mod outbound;
pub mod pems;
pub mod settings;
pub mod systems;
pub mod upkeep;
pub mod vault;

//! The relay between the write queue in Postgres and PEMS.
//!
//! The database decides, the relay carries: it claims batches ([`queue`]), writes them through the port to PEMS
//! ([`pems`]), and records what came of them. [`daemon`] puts the parts together; [`dispatcher`] is its loop.

mod backoff;
pub mod carrier;
pub mod credentials;
pub mod daemon;
pub mod database;
mod delivery;
pub mod dispatcher;
pub mod doctor;
pub mod limiter;
pub mod listener;
pub mod logging;
pub mod monitoring;
pub mod pems;
pub mod pull;
pub mod pull_command;
pub mod queue;
mod reading;
pub mod schedule;
pub mod settings;

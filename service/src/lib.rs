//! What the programs of pfa-sync share: settings, database connections, retries, the log and monitoring.

pub mod alerts;
pub mod cached;
pub mod certificate;
pub mod database;
pub mod doctor;
pub mod log;
pub mod loopback;
pub mod monitoring;
pub mod proxy;
pub mod retry;
pub mod secret;
pub mod server;
pub mod settings;
pub mod sqlstate;
pub mod startup;

//! The subcommands of `pfa-relay`.

pub mod credentials;
pub mod doctor;
pub mod pull;
pub mod run;

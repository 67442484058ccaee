//! The subcommands of `pfa-relay`.

pub mod compare;
pub mod credentials;
pub mod doctor;
pub mod dry_run;
pub mod pull;
pub mod run;
pub mod support_bundle;

//! The HTTP service of pfa-sync: it checks who asks, calls the database's functions as that user, and shapes JSON. What
//! is valid, who may do what and who sees what is decided in the database.

mod conflicts;
mod control;
mod drafts;
mod observation;
mod problem;
mod request;
mod service;
mod session;
pub mod settings;
mod sync;
mod token;

pub use service::{routes, serve};

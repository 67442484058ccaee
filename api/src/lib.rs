//! The HTTP service of pfa-sync: it checks who asks, calls the database's functions as that user, and shapes JSON. What
//! is valid, who may do what and who sees what is decided in the database.

mod audit;
mod conflicts;
mod control;
mod dead_letters;
mod drafts;
mod events;
mod examples;
mod jobs;
mod observation;
mod once;
mod openapi;
mod pace;
mod pages;
mod problem;
mod records;
mod request;
mod service;
mod session;
pub mod settings;
mod sync;
mod token;

pub use openapi::document;
pub use service::serve;

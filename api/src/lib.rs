//! The HTTP service of pfa-sync: it authenticates the caller, calls the database's functions as that user, and returns JSON.
//! What is valid, who may do what and who can see what is decided in the database.
//!
//! Layers, each importing only those before it: `conflict`, `http`, `session`, `auth`, `events`, `state`, `routes`,
//! `openapi`, `server`, `doctor`.

mod auth;
mod conflict;
pub mod doctor;
mod events;
mod examples;
mod http;
mod id;
mod openapi;
mod permissions;
mod routes;
mod server;
mod session;
pub mod settings;
mod state;

pub use openapi::document;
pub use server::serve;

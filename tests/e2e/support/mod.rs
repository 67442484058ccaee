//! What the end-to-end tests share.

pub mod plant;
pub mod service;
pub mod world;

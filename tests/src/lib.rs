//! The test bed.

pub mod application;
pub mod cluster;

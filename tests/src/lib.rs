//! The test bed.

pub mod application;
pub mod bench;
pub mod cluster;
pub mod demo;
pub mod process;
pub mod export;
pub mod simulator;

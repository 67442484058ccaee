//! The test bed.

pub mod application;
pub mod bench;
pub mod chaos;
pub mod cluster;
pub mod demo;
pub mod export;
pub mod process;
pub mod proxy;
pub mod simulator;

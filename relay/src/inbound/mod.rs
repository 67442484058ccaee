//! From PEMS to the mirror: scheduled pulls of PEMS' records.

pub mod pull;
pub mod schedule;

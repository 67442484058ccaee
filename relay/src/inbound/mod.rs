//! From PEMS to the mirror: scheduled pulls of PEMS' records.

pub mod pull;
pub mod request;
pub mod schedule;

//! The simulator enforces the contract of PEMS: what it accepts, PEMS would accept.

mod client;
mod faults;
mod records;

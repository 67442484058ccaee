//! From the write queue to PEMS: batches are claimed, written or read back, and their outcomes reported.

pub mod batch;
pub mod dispatcher;
pub mod preparation;
mod read_back;
pub mod suspects;
mod write;

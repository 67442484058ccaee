//! PEMS simulator.
fn main() {}

//! The test bed: a private PostgreSQL cluster, the programs under test as processes, the PEMS simulator with its relays, a
//! proxy that cuts connections, and the application's own statements.

pub mod application;
pub mod cluster;
pub mod process;
pub mod proxy;
pub mod stack;

//! End-to-end tests on a real Postgres, the real relay and the PEMS simulator over TLS. `make test` runs them.

mod api;
mod attach;
mod commit;
mod concurrency;
mod conflict;
mod contract;
mod dead_letters;
mod doorbell;
mod drafts;
mod examples;
mod failures;
mod fleet;
mod fronts;
mod inbound;
mod interleaving;
mod outcome;
mod plant;
mod pull;
mod resolution;
mod road;
mod service;
mod settings;
mod sight;
mod surface;
mod verdict;
mod world;

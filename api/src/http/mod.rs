//! What every route shares of HTTP: bodies, parameters, pages, idempotency keys, rate limits and problem details.

pub(crate) mod body;
pub(crate) mod concurrency;
pub(crate) mod csv;
#[cfg(test)]
mod fuzz;
pub(crate) mod idempotency;
pub(crate) mod if_match;
pub(crate) mod malformed;
pub(crate) mod observe;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod rate_limit;
pub(crate) mod text;

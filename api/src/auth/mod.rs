//! Who makes a request: the token is verified, and the database is called as its user.

pub(crate) mod caller;
#[cfg(test)]
mod fuzz;
mod header;
pub(crate) mod keys;
pub(crate) mod token;

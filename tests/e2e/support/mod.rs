//! What the end-to-end tests share.

pub mod api;
pub mod connect_proxy;
pub mod scenario;
pub mod signer;
pub mod stack;
pub mod tenants;
pub mod two_pems;

//! The rules of a PFA record, tested through the crate's surface.

mod canonical;
mod change;
mod cost;
mod fixture;
mod fuzz;
mod hidden_prices;
mod json;
mod key;
mod masking;
mod merge;
mod properties;
mod validation;

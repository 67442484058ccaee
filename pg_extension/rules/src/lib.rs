//! The rules of a PFA record, with no Postgres in them: which edits are valid and what they need, how values are
//! spelled towards PEMS, and how an edit merges with a record that has moved on.
//!
//! What a single field may hold is data ([`Rules`], rows that a DBA reads and extends); rules between fields are code
//! ([`validate`]). Values are compared by their meaning, not by their spelling: dates as instants to the millisecond,
//! numbers as exact decimals; null, absent and empty text are equal.
//!
//! Records and edits ("deltas") are JSON objects. They come from users and from PEMS unchecked, so no input panics: what
//! can't be read is reported in an edit, and tolerated in a record.

mod change;
mod consistency;
mod cost;
mod decimal;
mod field;
mod json;
mod kind;
mod masking;
mod merge;
mod moment;
mod problem;
mod report;
mod spelling;
mod unreadable;
mod validation;

pub use change::{Operation, operation, required_permissions};
pub use consistency::spans_fields;
pub use cost::cost;
pub use field::{Rules, RulesError};
pub use json::read;
pub use masking::without_prices;
pub use merge::{Merge, three_way};
pub use problem::{Code, Problem};
pub use report::ValidationReport;
pub use serde_json::Value;
pub use spelling::{Typed, canonical, is_typed, typed};
pub use validation::{Rights, errors, validate};

/// A JSON object: a record, or a delta. Its keys are sorted.
pub type Map = serde_json::Map<String, Value>;

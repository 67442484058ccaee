//! The rules of a PFA record, with no Postgres in them: which edits are valid and what they need, how values are
//! spelled towards PEMS, and how an edit merges with a record that has moved on.
//!
//! What a single field may hold is data ([`Rules`], rows that a DBA reads and extends); what several fields must be
//! to each other is code ([`validate`]). Everything compares values by their meaning, not by their spelling: dates as
//! instants to the millisecond, numbers as exact decimals, and null, absent and empty text as the same nothing.
//!
//! Records and edits ("deltas") are JSON objects. They come from people and from PEMS as they are, so no input panics:
//! what can't be read is reported in an edit, and tolerated in a record.

mod change;
mod consistency;
mod decimal;
mod field;
mod merge;
mod moment;
mod problem;
mod validation;
mod value;

pub use change::{Operation, operation, required_permissions};
pub use field::{Rules, RulesError};
pub use merge::{Merge, three_way};
pub use problem::{Code, Problem};
pub use serde_json::Value;
pub use validation::{Verdict, errors, validate};
pub use value::{Typed, canonical, typed};

/// A JSON object: a record, or a delta. Its keys are sorted.
pub type Map = serde_json::Map<String, Value>;

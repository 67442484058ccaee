//! What validation finds.

use crate::Problem;

/// What is wrong with a change. Problems of fields come first, by name, then those between fields, in a fixed order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValidationReport {
    /// Faults that the delta brings; none = valid.
    pub errors: Vec<Problem>,
    /// Faults that the record has already, in fields that the delta leaves alone: PEMS' old data does not block an edit.
    pub warnings: Vec<Problem>,
}

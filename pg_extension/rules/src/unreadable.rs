//! Why a value can't be read as its field's type.

/// Why a value can't be read as its field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    OtherType,
    /// A text that is not an existing date.
    NoDate,
    /// A date outside the years 1900 to 9999.
    OtherYear,
    /// A number of more digits than can be kept exactly.
    TooLarge,
    /// A number of more decimals than can be kept exactly.
    TooPrecise,
}

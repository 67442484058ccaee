//! What an SQLSTATE of Postgres or of the extension means to a caller.

/// The meaning of an error code, by what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// PF001: a change, an argument or a setting is not valid.
    Invalid,
    /// PF002: a permission is missing.
    Forbidden,
    /// PF003: the modification is committed or in flight and can't be edited.
    Committed,
    /// PF006: the state has changed since the caller read it.
    MovedOn,
    /// PF008: the named thing does not exist, or is not visible to this session.
    NotFound,
    /// PF004, PF005, PF007, PF009: an administrator must attach, adopt or upgrade first; the message says which.
    NotReady,
    /// Another transaction held the same rows: the same call can succeed at once.
    Retryable,
    /// The statement was cancelled, usually by its timeout.
    Cancelled,
    /// A value that Postgres can't represent or store, such as a NUL in a text, a number out of range, or a text that is too
    /// long for an index.
    Unrepresentable,
    /// No usable server: connection lost, server starting or stopping, a standby, out of connections or memory.
    Unreachable,
    /// Anything else.
    Other,
}

/// The meaning of a code of five characters.
pub fn meaning(code: &str) -> Meaning {
    match code {
        "PF001" => Meaning::Invalid,
        "PF002" => Meaning::Forbidden,
        "PF003" => Meaning::Committed,
        "PF006" => Meaning::MovedOn,
        "PF008" => Meaning::NotFound,
        "PF004" | "PF005" | "PF007" | "PF009" => Meaning::NotReady,
        "40001" | "40P01" => Meaning::Retryable,
        "57014" => Meaning::Cancelled,
        "25006" => Meaning::Unreachable,
        code => match code.get(..2) {
            Some("08" | "53" | "57") => Meaning::Unreachable,
            Some("22" | "54") => Meaning::Unrepresentable,
            _ => Meaning::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::deadlock("40P01", Meaning::Retryable)]
    #[case::statement_timeout("57014", Meaning::Cancelled)]
    #[case::shutdown("57P01", Meaning::Unreachable)]
    #[case::too_many_connections("53300", Meaning::Unreachable)]
    #[case::standby("25006", Meaning::Unreachable)]
    #[case::number_out_of_range("22003", Meaning::Unrepresentable)]
    #[case::text_too_long_for_an_index("54000", Meaning::Unrepresentable)]
    #[case::not_attached("PF004", Meaning::NotReady)]
    #[case::missing_table("42P01", Meaning::Other)]
    fn classes_and_codes_have_a_meaning(#[case] code: &str, #[case] expected: Meaning) {
        assert_eq!(meaning(code), expected);
    }
}

//! What is wrong with a body that can't be read, in the words of the contract instead of the parser's.

use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong with a request.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fault {
    /// Where it is in the body, as a JSON pointer (RFC 6901); null: not in the body of this request.
    pub(crate) pointer: Option<String>,
    /// Of a change that is refused: PEMS' id of its record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pfa_id: Option<String>,
    /// The field, of the body or of the record; null: the whole of it.
    pub(crate) field: Option<String>,
    /// Stable, such as `MISSING_REQUIRED_FIELD`.
    pub(crate) code: String,
    pub(crate) message: String,
}

/// Reads the message of the parser: the path, the kind of the error, and where it is in the text.
pub(crate) fn fault(parsed: &str) -> Fault {
    let text = parsed.rfind(" at line ").map_or(parsed, |end| &parsed[..end]);
    let (path, error) = match text.split_once(": ") {
        Some((path, error)) if !path.contains(' ') => (path, error),
        _ => ("", text),
    };
    let mut steps = steps(path);
    let quoted = error.split('`').nth(1).unwrap_or_default();
    let (code, message) = if error.starts_with("missing field") {
        steps.push(quoted.to_owned());
        ("MISSING_REQUIRED_FIELD", format!("{quoted} is missing"))
    } else if error.starts_with("unknown field") {
        ("UNKNOWN_FIELD", format!("there is no {quoted} here; known are {}", choices(error)))
    } else if error.starts_with("unknown variant") {
        ("INVALID_ENUM_VALUE", format!("must be one of {}, not {quoted}", choices(error)))
    } else if let Some((_, expected)) = error.split_once(", expected ") {
        ("INVALID_TYPE", format!("must be {}", kind(expected)))
    } else if path.is_empty() {
        ("INVALID_VALUE", "the body is not a JSON object".to_owned())
    } else {
        ("INVALID_VALUE", error.to_owned())
    };
    let field = steps.iter().rev().find(|step| step.parse::<usize>().is_err()).cloned();
    let pointer = steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect();
    Fault { pointer: Some(pointer), pfa_id: None, field, code: code.to_owned(), message }
}

/// The steps of a path such as `filter.conflictIds[0]`.
fn steps(path: &str) -> Vec<String> {
    let steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']').to_owned());
    steps.filter(|step| !step.is_empty() && step != "?").collect()
}

/// The words that the parser names after "expected".
fn choices(error: &str) -> String {
    let expected = error.split_once(", expected ").map_or("", |(_, expected)| expected);
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn kind(expected: &str) -> &str {
    match expected {
        "a string" | "str" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "an integer in its bounds",
        "f64" => "a number",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::fault;

    #[rstest]
    #[case("missing field `digest` at line 1 column 20", "/digest", "MISSING_REQUIRED_FIELD", "digest is missing")]
    #[case(
        "stages[1]: invalid type: floating point `-1.5`, expected i32 at line 1 column 46",
        "/stages/1",
        "INVALID_TYPE",
        "must be an integer in its bounds"
    )]
    #[case(
        "filter.conflictIds[0]: invalid type: integer `7`, expected a string at line 1 column 9",
        "/filter/conflictIds/0",
        "INVALID_TYPE",
        "must be a text"
    )]
    #[case(
        "filter: unknown field `colour`, expected one of `code`, `author` at line 1 column 9",
        "/filter",
        "UNKNOWN_FIELD",
        "there is no colour here; known are code, author"
    )]
    #[case(
        "resolution: unknown variant `mine`, expected `use_local` or `use_pems` at line 1 column 9",
        "/resolution",
        "INVALID_ENUM_VALUE",
        "must be one of use_local, use_pems, not mine"
    )]
    #[case(
        "filter: invalid type: sequence, expected an object at line 1 column 9",
        "/filter",
        "INVALID_TYPE",
        "must be an object"
    )]
    #[case("EOF while parsing a value at line 1 column 0", "", "INVALID_VALUE", "the body is not a JSON object")]
    #[case("expected value at line 1 column 1", "", "INVALID_VALUE", "the body is not a JSON object")]
    fn the_words_of_the_parser_are_translated(
        #[case] parsed: &str,
        #[case] pointer: &str,
        #[case] code: &str,
        #[case] message: &str,
    ) {
        let fault = fault(parsed);
        assert_eq!((fault.pointer.as_deref(), fault.code.as_str(), fault.message.as_str()), (Some(pointer), code, message));
    }
}

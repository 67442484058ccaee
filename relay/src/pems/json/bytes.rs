//! From the bytes of an answer to JSON. What does not change the meaning is accepted; what can't be stored is replaced.
//!
//! PostgreSQL stores neither U+0000 nor half a surrogate pair, and one of them must not make a page of 1,000 records
//! unreadable: each is replaced by U+FFFD, and the place is reported. A record whose id is affected is refused.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde_json::{Map, Value};

use super::parts;

/// Stands for what can't be stored.
const REPLACEMENT: char = '\u{FFFD}';

/// The content of a body in this encoding, at most `max` bytes; an error for an encoding that is not known.
pub(super) fn decoded(body: Vec<u8>, encoding: &str, max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let limit = max as u64 + 1;
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" => MultiGzDecoder::new(body.as_slice()).take(limit).read_to_end(&mut content)?,
        "deflate" => ZlibDecoder::new(body.as_slice()).take(limit).read_to_end(&mut content)?,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    if content.len() > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
}

/// Parses a body; the flag says whether something was replaced. A value that can't be read is left out; see [`parts`].
pub(super) fn parsed(body: &[u8]) -> Option<(Value, bool)> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let (mut value, mut replaced) = match serde_json::from_slice(body) {
        Ok(value) => (value, false),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let whole = without_lone_surrogates(&text);
            let untouched = matches!((&text, &whole), (Cow::Borrowed(_), Cow::Borrowed(_)));
            let value = match untouched {
                true => None,
                false => serde_json::from_str(&whole).ok(),
            };
            (value.or_else(|| parts::salvaged(&whole))?, !untouched)
        }
    };
    parts::leave_out_numbers(&mut value);
    if body.windows(6).any(|window| window == br"\u0000") {
        replaced |= replace_nul(&mut value);
    }
    Some((value, replaced))
}

/// The text with each escape of half a surrogate pair as U+FFFD.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| match text.as_bytes().get(at..at + 6) {
        Some([b'\\', b'u', ..]) => text.get(at + 2..at + 6).and_then(|digits| u16::from_str_radix(digits, 16).ok()),
        _ => None,
    };
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(offset) = text[at..].find('\\') {
        at += offset;
        let next = match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at + 12,
            Some(0xD800..=0xDFFF) => {
                whole.push_str(&text[copied..at]);
                whole.push(REPLACEMENT);
                copied = at + 6;
                copied
            }
            Some(_) => at + 6,
            None => at + 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        at = next;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

fn replace_nul(value: &mut Value) -> bool {
    let replacement = REPLACEMENT.to_string();
    match value {
        Value::String(text) if text.contains('\0') => {
            *text = text.replace('\0', &replacement);
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |replaced, item| replace_nul(item) | replaced),
        Value::Object(fields) => {
            let mut replaced = fields.values_mut().fold(false, |replaced, value| replace_nul(value) | replaced);
            if fields.keys().any(|name| name.contains('\0')) {
                *fields =
                    std::mem::take(fields).into_iter().map(|(name, value)| (name.replace('\0', &replacement), value)).collect();
                replaced = true;
            }
            replaced
        }
        _ => false,
    }
}

/// The top-level fields of a record in which something was replaced.
pub(super) fn replaced_fields(record: &Map<String, Value>) -> Vec<&str> {
    let affected = |(name, value): &(&String, &Value)| name.contains(REPLACEMENT) || has_replacement(value);
    record.iter().filter(affected).map(|(name, _)| name.as_str()).collect()
}

fn has_replacement(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REPLACEMENT),
        Value::Array(items) => items.iter().any(has_replacement),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(REPLACEMENT) || has_replacement(value)),
        _ => false,
    }
}

/// A whole number, however it is spelled: `7`, `7.0`, `7e0` or `"7"`.
pub(super) fn whole_number(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.as_str(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !digits(fraction) || !digits(whole.strip_prefix('-').unwrap_or(whole)) {
        return None;
    }
    let zeros = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let number: i64 = format!("{whole}{fraction}").parse().ok()?;
    number.checked_mul(10_i64.checked_pow(u32::try_from(zeros).ok()?)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(b"\xef\xbb\xbf{\"a\": 1}", json!({"a": 1}), false)]
    #[case(br#"{"a": "x\u0000y", "b\u0000": 1}"#, json!({"a": "x\u{FFFD}y", "b\u{FFFD}": 1}), true)]
    #[case(br#"{"a": "\\u0000"}"#, json!({"a": "\\u0000"}), false)]
    #[case(br#"{"a": "\ud83d!"}"#, json!({"a": "\u{FFFD}!"}), true)]
    #[case(br#"{"a": "\ude00\ud83d\ude00"}"#, json!({"a": "\u{FFFD}\u{1F600}"}), true)]
    #[case(br#"{"a": "\\ud83d", "b": "\ud83d"}"#, json!({"a": "\\ud83d", "b": "\u{FFFD}"}), true)]
    #[case(b"{\"a\": \"x\xffy\"}", json!({"a": "x\u{FFFD}y"}), true)]
    fn what_can_not_be_stored_is_replaced(#[case] body: &[u8], #[case] expected: Value, #[case] replaced: bool) {
        assert_eq!(parsed(body), Some((expected, replaced)));
    }

    #[rstest]
    #[case(b"<html>")]
    #[case(b"")]
    #[case(b"{\"a\": \xff}")]
    #[case(br#"{"a": "\u00"#)]
    #[case(br"\")]
    fn the_rest_is_not_json(#[case] body: &[u8]) {
        assert_eq!(parsed(body), None);
    }

    #[rstest]
    #[case("7", Some(7))]
    #[case("7.0", Some(7))]
    #[case("-7.00", Some(-7))]
    #[case("70e-1", None)]
    #[case("1.5e1", Some(15))]
    #[case("7.5", None)]
    #[case("7.0000000000000000001", None)]
    #[case("9e99", None)]
    #[case(r#"" 7 ""#, Some(7))]
    #[case(r#""seven""#, None)]
    #[case(r#""""#, None)]
    #[case("true", None)]
    fn whole_numbers(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(whole_number(&serde_json::from_str(text).unwrap()), expected);
    }
}

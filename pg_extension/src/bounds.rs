//! What a delta, or one value of it, may cost to store and to list.

use pgrx::prelude::*;

use crate::document::Document;

const LONGEST: usize = 65_536;
const DEEPEST: usize = 16;
/// Digits of a number before its point, and zeros right behind it.
const DIGITS: usize = 30;
/// Characters of a number that is the whole value.
const LONGEST_NUMBER: usize = 62;

/// Why a value is beyond its bounds. Declared and explained in `sql/install/core/bounds.sql`.
#[pg_extern(sql = false)]
pub fn bound_fault(value: Document) -> Option<&'static str> {
    if value.size() > LONGEST {
        return Some("is too long");
    }
    value.find_map(|depth, number| match number {
        _ if depth > DEEPEST => Some("is nested too deeply"),
        Some(number) if is_beyond_digits(number, depth) => Some("has too many digits"),
        _ => None,
    })
}

fn is_beyond_digits(number: &str, depth: usize) -> bool {
    let digits = number.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = fraction.find(|digit| digit != '0');
    whole.len() > DIGITS
        || whole == "0" && zeros.is_some_and(|zeros| zeros >= DIGITS)
        || depth == 0 && number.len() > LONGEST_NUMBER
}

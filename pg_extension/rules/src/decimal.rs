//! Exact reading of JSON numbers.

use rust_decimal::Decimal;
use serde_json::Number;

use crate::value::Unreadable;

/// The exact value of a number, without trailing zeros and with its exponent resolved; never rounded.
/// Fails on what 28 digits can't hold: [`Unreadable::TooLarge`], or [`Unreadable::TooPrecise`] after the point.
pub(crate) fn read(number: &Number) -> Result<Decimal, Unreadable> {
    let text = number.as_str();
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| Unreadable::TooLarge)?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));

    let mut mantissa: i128 = 0;
    let mut zeros = 0; // not yet part of the mantissa: they count only if another digit follows
    for digit in whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit) {
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        mantissa = shifted(mantissa, zeros + 1)
            .and_then(|shifted| shifted.checked_add(i128::from(digit - b'0')))
            .ok_or(too_long(fraction))?;
        zeros = 0;
    }
    if mantissa == 0 {
        return Ok(Decimal::ZERO);
    }
    if text.starts_with('-') {
        mantissa = -mantissa;
    }

    let scale = fraction.len() as i64 - zeros - i64::from(exponent);
    if scale < 0 {
        let whole = shifted(mantissa, -scale).ok_or(Unreadable::TooLarge)?;
        return Decimal::try_from_i128_with_scale(whole, 0).map_err(|_| Unreadable::TooLarge);
    }
    let scale = u32::try_from(scale).map_err(|_| Unreadable::TooPrecise)?;
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|error| match error {
        rust_decimal::Error::ScaleExceedsMaximumPrecision(_) => Unreadable::TooPrecise,
        _ => too_long(fraction),
    })
}

/// More digits than fit: a matter of the decimals if there are any.
fn too_long(fraction: &str) -> Unreadable {
    if fraction.is_empty() { Unreadable::TooLarge } else { Unreadable::TooPrecise }
}

/// `mantissa` × 10^`places`. Zero stays zero, whatever the number of places.
fn shifted(mantissa: i128, places: i64) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    10_i128.checked_pow(u32::try_from(places).ok()?)?.checked_mul(mantissa)
}

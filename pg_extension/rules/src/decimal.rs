//! Exact reading of JSON numbers.

use rust_decimal::Decimal;
use serde_json::Number;

use crate::unreadable::Unreadable;

/// The exact value of a number, without trailing zeros and with its exponent resolved; never rounded.
/// Fails on what 28 digits can't hold: [`Unreadable::TooLarge`], or [`Unreadable::TooPrecise`] after the point.
pub(crate) fn read(number: &Number) -> Result<Decimal, Unreadable> {
    let text = number.as_str();
    let digits = text.trim_start_matches(['-', '0']);
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| Unreadable::TooLarge)?.into()),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let too_long = || match whole.len() as i64 + exponent {
        ..=28 => Unreadable::TooPrecise,
        _ => Unreadable::TooLarge,
    };

    let mut mantissa: i128 = 0;
    let mut zeros = 0; // not yet part of the mantissa: they count only if another digit follows
    for digit in whole.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        mantissa = shifted(mantissa, zeros + 1)
            .and_then(|shifted| shifted.checked_add(i128::from(digit - b'0')))
            .ok_or_else(too_long)?;
        zeros = 0;
    }
    if mantissa == 0 {
        return Ok(Decimal::ZERO);
    }
    if text.starts_with('-') {
        mantissa = -mantissa;
    }

    let scale = fraction.len() as i64 - zeros - exponent;
    let whole = shifted(mantissa, -scale.min(0)).ok_or_else(too_long)?;
    let scale = u32::try_from(scale.max(0)).map_err(|_| too_long())?;
    Decimal::try_from_i128_with_scale(whole, scale).map_err(|_| too_long())
}

/// `mantissa` × 10^`places`. Zero stays zero, whatever the number of places.
fn shifted(mantissa: i128, places: i64) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    10_i128.checked_pow(u32::try_from(places).ok()?)?.checked_mul(mantissa)
}

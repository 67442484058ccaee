//! Date-times: read from ISO 8601 in its usual spellings, written as PEMS gets them.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

use crate::unreadable::Unreadable;

/// The instant a text names, in UTC and to the millisecond; further digits are cut off.
///
/// Read are `2026-01-31`, which is midnight, and date-times with `T` or a space; seconds, fraction and zone may be
/// missing, and no zone is UTC. A civil date-time stands for the instant because timestamps of jiff end before the
/// last day of the year 9999, which systems like to use for "never".
pub(crate) fn read(text: &str) -> Result<DateTime, Unreadable> {
    let (local, offset) = parse(Cursor(text.as_bytes())).ok_or(Unreadable::NoDate)?;
    let utc = if offset.is_zero() { Ok(local) } else { local.checked_sub(offset) };
    utc.ok().filter(|utc| (1900..=9999).contains(&utc.year())).ok_or(Unreadable::OtherYear)
}

/// `2026-01-31T08:00:00.000Z`, as JavaScript writes it.
pub(crate) fn write(utc: DateTime) -> String {
    let (date, time) = (utc.date(), utc.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Whether a readable text is written as [`write()`] does: no other spelling of this length ends in `Z`.
pub(crate) fn is_canonical(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

/// The local date-time and its offset from UTC.
fn parse(mut rest: Cursor) -> Option<(DateTime, SignedDuration)> {
    let year = rest.number(4)?;
    rest.expect(b'-')?;
    let month = rest.number(2)?;
    rest.expect(b'-')?;
    let day = rest.number(2)?;
    let date = Date::new(year, month as i8, day as i8).ok()?;
    if rest.0.is_empty() {
        return Some((date.into(), SignedDuration::ZERO));
    }

    rest.expect(b'T').or_else(|| rest.expect(b' '))?;
    let hour = rest.number(2)?;
    rest.expect(b':')?;
    let minute = rest.number(2)?;
    let (mut second, mut millisecond) = (0, 0);
    if rest.expect(b':').is_some() {
        second = rest.number(2)?;
        if rest.expect(b'.').is_some() {
            millisecond = rest.milliseconds()?;
        }
    }
    let time = Time::new(hour as i8, minute as i8, second as i8, millisecond * 1_000_000).ok()?;
    let offset = rest.offset()?;
    rest.0.is_empty().then(|| (date.to_datetime(time), offset))
}

/// What is left to read of a text.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A number of exactly so many digits (at most four).
    fn number(&mut self, digits: usize) -> Option<i16> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0')))
    }

    /// A fraction of a second: one digit or more, of which three are kept.
    fn milliseconds(&mut self) -> Option<i32> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at(length);
        self.0 = rest;
        let digit = |place: usize| fraction.get(place).map_or(0, |digit| i32::from(digit - b'0'));
        (length > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// `Z`, `+01:00`, `+0100`, `+01`, or nothing.
    fn offset(&mut self) -> Option<SignedDuration> {
        if self.0.is_empty() || self.expect(b'Z').is_some() {
            return Some(SignedDuration::ZERO);
        }
        let east = self.expect(b'+').is_some();
        if !east {
            self.expect(b'-')?;
        }
        let hours = self.number(2)?;
        let colon = self.expect(b':').is_some();
        let minutes = if self.0.is_empty() && !colon { 0 } else { self.number(2)? };
        if hours > 23 || minutes > 59 {
            return None;
        }
        let ahead = SignedDuration::from_mins(i64::from(hours) * 60 + i64::from(minutes));
        Some(if east { ahead } else { -ahead })
    }
}

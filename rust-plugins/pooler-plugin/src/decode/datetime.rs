//! `date`, `time`, `timestamp`, `timestamptz`, as PostgreSQL counts them: days and microseconds since 2000-01-01.

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, date_text, parse_iso, time_text};
use super::{Body, Decode, DecodeError, RawValue, ascii, exactly};
use crate::oid;
use std::fmt;

const FIRST_DAY: i64 = -2_451_545; // 4714-11-24 BC
const END_DAY: i64 = 2_145_031_949; // after 5874897-12-31
const FIRST_MICRO: i64 = -211_813_488_000_000_000;
const END_MICRO: i64 = 9_223_371_331_200_000_000; // after 294276-12-31

/// A `date`: days since 2000-01-01, or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Days since 2000-01-01.
    pub days: i32,
}

impl Date {
    /// After all others.
    pub const INFINITY: Date = Date { days: i32::MAX };
    /// Before all others.
    pub const NEG_INFINITY: Date = Date { days: i32::MIN };
}

/// A `time` without time zone: microseconds since midnight, up to and including 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Microseconds since midnight.
    pub micros: i64,
}

/// A `timestamp` without time zone: microseconds since 2000-01-01 00:00, or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Microseconds since 2000-01-01 00:00.
    pub micros: i64,
}

impl Timestamp {
    /// After all others.
    pub const INFINITY: Timestamp = Timestamp { micros: i64::MAX };
    /// Before all others.
    pub const NEG_INFINITY: Timestamp = Timestamp { micros: i64::MIN };
}

/// A `timestamptz`: microseconds since 2000-01-01 00:00 UTC, or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampTz {
    /// Microseconds since 2000-01-01 00:00 UTC.
    pub micros: i64,
}

impl TimestampTz {
    /// After all others.
    pub const INFINITY: TimestampTz = TimestampTz { micros: i64::MAX };
    /// Before all others.
    pub const NEG_INFINITY: TimestampTz = TimestampTz { micros: i64::MIN };

    /// Microseconds since 1970-01-01 00:00 UTC; `None` for the infinities.
    pub fn unix_micros(self) -> Option<i64> {
        match self {
            TimestampTz::INFINITY | TimestampTz::NEG_INFINITY => None,
            TimestampTz { micros } => micros.checked_add(946_684_800 * MICROS_PER_SECOND),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Date::INFINITY => f.write_str("infinity"),
            Date::NEG_INFINITY => f.write_str("-infinity"),
            Date { days } => {
                let (date, era) = date_text(days.into());
                write!(f, "{date}{era}")
            }
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time_text(self.micros))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_timestamp(f, self.micros, "")
    }
}

impl fmt::Display for TimestampTz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_timestamp(f, self.micros, "+00")
    }
}

fn write_timestamp(f: &mut fmt::Formatter<'_>, micros: i64, zone: &str) -> fmt::Result {
    match micros {
        i64::MAX => f.write_str("infinity"),
        i64::MIN => f.write_str("-infinity"),
        _ => {
            let (date, era) = date_text(micros.div_euclid(MICROS_PER_DAY));
            let time = time_text(micros.rem_euclid(MICROS_PER_DAY));
            write!(f, "{date} {time}{zone}{era}")
        }
    }
}

impl<'a> Decode<'a> for Date {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "date";
        let days = match raw.body(wanted, &[oid::DATE])? {
            Body::Binary(bytes) => i32::from_be_bytes(exactly(wanted, bytes)?),
            Body::Text(text) => match ascii(wanted, text)? {
                text if text.eq_ignore_ascii_case("infinity") => i32::MAX,
                text if text.eq_ignore_ascii_case("-infinity") => i32::MIN,
                text => {
                    let days = parse_iso(text, wanted)?.days;
                    let days = days.ok_or(DecodeError::Syntax { wanted, reason: "no date" })?;
                    i32::try_from(days).map_err(|_| DecodeError::OutOfRange { wanted })?
                }
            },
        };
        match i64::from(days) {
            FIRST_DAY..END_DAY => Ok(Date { days }),
            _ if days == i32::MAX || days == i32::MIN => Ok(Date { days }),
            _ => Err(DecodeError::OutOfRange { wanted }),
        }
    }
}

impl<'a> Decode<'a> for Time {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "time";
        let micros = match raw.body(wanted, &[oid::TIME])? {
            Body::Binary(bytes) => i64::from_be_bytes(exactly(wanted, bytes)?),
            Body::Text(text) => {
                let iso = parse_iso(ascii(wanted, text)?, wanted)?;
                iso.micros.ok_or(DecodeError::Syntax { wanted, reason: "no time of day" })?
            }
        };
        match micros {
            0..=MICROS_PER_DAY => Ok(Time { micros }),
            _ => Err(DecodeError::OutOfRange { wanted }),
        }
    }
}

impl<'a> Decode<'a> for Timestamp {
    /// An offset in the text is ignored, as PostgreSQL does for this type.
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let micros = timestamp(raw, "timestamp", oid::TIMESTAMP, |_| Ok(0))?;
        Ok(Timestamp { micros })
    }
}

impl<'a> Decode<'a> for TimestampTz {
    /// A text needs its offset: without one it depends on the session's time zone.
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let wanted = "timestamptz";
        let missing = DecodeError::Syntax { wanted, reason: "without an offset it depends on the session's time zone" };
        let micros = timestamp(raw, wanted, oid::TIMESTAMPTZ, |offset| offset.ok_or(missing))?;
        Ok(TimestampTz { micros })
    }
}

fn timestamp(
    raw: RawValue<'_>,
    wanted: &'static str,
    type_oid: u32,
    offset: impl FnOnce(Option<i64>) -> Result<i64, DecodeError>,
) -> Result<i64, DecodeError> {
    let micros = match raw.body(wanted, &[type_oid])? {
        Body::Binary(bytes) => i64::from_be_bytes(exactly(wanted, bytes)?),
        Body::Text(text) => match ascii(wanted, text)? {
            text if text.eq_ignore_ascii_case("infinity") => i64::MAX,
            text if text.eq_ignore_ascii_case("-infinity") => i64::MIN,
            text => {
                let iso = parse_iso(text, wanted)?;
                let days = iso.days.ok_or(DecodeError::Syntax { wanted, reason: "no date" })?;
                let seconds_east = offset(iso.offset_seconds)?;
                days.checked_mul(MICROS_PER_DAY)
                    .and_then(|micros| micros.checked_add(iso.micros.unwrap_or(0)))
                    .and_then(|micros| micros.checked_sub(seconds_east * MICROS_PER_SECOND))
                    .ok_or(DecodeError::OutOfRange { wanted })?
            }
        },
    };
    match micros {
        FIRST_MICRO..END_MICRO | i64::MIN | i64::MAX => Ok(micros),
        _ => Err(DecodeError::OutOfRange { wanted }),
    }
}

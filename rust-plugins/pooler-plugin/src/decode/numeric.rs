//! `numeric`, exactly.

use super::numbers::parse_magnitude;
use super::{Body, Decode, DecodeError, RawValue, Reader, ascii};
use crate::oid;
use std::fmt;
use std::hash::{Hash, Hasher};

const WANTED: &str = "numeric";
const MAX_INTEGER_DIGITS: usize = 131_072;
const MAX_SCALE: usize = 16_383;

/// An exact decimal number, `NaN`, or an infinity, that prints as PostgreSQL does.
///
/// Numbers are equal when their values are: `1.0` equals `1.00`. `NaN` equals `NaN`, as in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Decimal {
    /// What PostgreSQL would print: no superfluous zeros in front, all of those behind the point that the scale asks for.
    text: String,
}

impl Decimal {
    /// What PostgreSQL would print.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Not `NaN`, not infinite.
    pub fn is_finite(&self) -> bool {
        self.text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'))
    }

    /// The number as a bigint, when it is whole and fits.
    ///
    /// # Errors
    /// When it has a fraction, is not finite, or does not fit.
    pub fn to_i64(&self) -> Result<i64, DecodeError> {
        self.whole("bigint")
    }

    pub(super) fn whole(&self, wanted: &'static str) -> Result<i64, DecodeError> {
        let text = self.normal();
        if !self.is_finite() || text.contains('.') {
            return Err(DecodeError::Syntax { wanted, reason: "a numeric that is not whole" });
        }
        text.parse().map_err(|_| DecodeError::OutOfRange { wanted })
    }

    /// The text without zeros at the end of the fraction: equal numbers have equal ones.
    fn normal(&self) -> &str {
        match self.text.contains('.') {
            true => self.text.trim_end_matches('0').trim_end_matches('.'),
            false => &self.text,
        }
    }

    /// From decimal digits of which the last `scale` are behind the point.
    fn from_digits(negative: bool, integer: &str, fraction: &str) -> Self {
        let integer = integer.trim_start_matches('0');
        let zero = integer.is_empty() && fraction.bytes().all(|digit| digit == b'0');
        let mut text = String::with_capacity(integer.len() + fraction.len() + 3);
        if negative && !zero {
            text.push('-');
        }
        text.push_str(if integer.is_empty() { "0" } else { integer });
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        Decimal { text }
    }

    fn special(text: &str) -> Self {
        Decimal { text: text.to_owned() }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.normal() == other.normal()
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normal().hash(state);
    }
}

impl<'a> Decode<'a> for Decimal {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        match raw.body(WANTED, &[oid::NUMERIC])? {
            Body::Text(text) => parse(ascii(WANTED, text)?),
            Body::Binary(bytes) => receive(bytes),
        }
    }
}

/// As numeric_in: NaN, infinities, 0x 0o 0b integers, digits with a point and an exponent, `_` between digits.
fn parse(text: &str) -> Result<Decimal, DecodeError> {
    let syntax = DecodeError::Syntax { wanted: WANTED, reason: "not a number" };
    let (negative, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if text.eq_ignore_ascii_case("nan") {
        return Ok(Decimal::special("NaN"));
    }
    if magnitude.eq_ignore_ascii_case("infinity") || magnitude.eq_ignore_ascii_case("inf") {
        return Ok(Decimal::special(if negative { "-Infinity" } else { "Infinity" }));
    }
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..] = magnitude.as_bytes() {
        let value = parse_magnitude(magnitude, WANTED)?;
        return Ok(Decimal::from_digits(negative, &value.to_string(), ""));
    }
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (magnitude, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let integer = plain_digits(integer).ok_or(syntax.clone())?;
    let fraction = plain_digits(fraction).ok_or(syntax.clone())?;
    if integer.is_empty() && fraction.is_empty() {
        return Err(syntax);
    }
    shift(negative, &integer, &fraction, exponent)
}

fn parse_exponent(text: &str) -> Result<i64, DecodeError> {
    let syntax = DecodeError::Syntax { wanted: WANTED, reason: "not an exponent" };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = plain_digits(digits).filter(|digits| !digits.is_empty()).ok_or(syntax)?;
    let value: i64 = digits.parse().map_err(|_| DecodeError::OutOfRange { wanted: WANTED })?;
    if value > i64::from(i32::MAX / 2) {
        return Err(DecodeError::OutOfRange { wanted: WANTED });
    }
    Ok(if negative { -value } else { value })
}

/// The digits without the underscores between them; `None` when there is anything else.
fn plain_digits(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(text.len());
    let mut after_digit = false;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(char::from(byte)),
            b'_' if after_digit => {}
            _ => return None,
        }
        after_digit = byte != b'_';
    }
    (after_digit || text.is_empty()).then_some(digits)
}

/// Moves the point by `exponent` places. Lengths are checked first: an exponent must not make gigabytes.
fn shift(negative: bool, integer: &str, fraction: &str, exponent: i64) -> Result<Decimal, DecodeError> {
    let digits = format!("{integer}{fraction}");
    let point = integer.len() as i64 + exponent;
    let scale = (fraction.len() as i64 - exponent).max(0);
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let zero = leading == digits.len();
    if scale > MAX_SCALE as i64 || (!zero && point - leading as i64 > MAX_INTEGER_DIGITS as i64) {
        return Err(DecodeError::OutOfRange { wanted: WANTED });
    }
    if zero {
        return Ok(Decimal::from_digits(false, "", &"0".repeat(scale as usize)));
    }
    let length = digits.len() as i64;
    let (integer, fraction) = if point <= 0 {
        (String::new(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point >= length {
        (format!("{digits}{}", "0".repeat((point - length) as usize)), String::new())
    } else {
        let (integer, fraction) = digits.split_at(point as usize);
        (integer.to_owned(), fraction.to_owned())
    };
    Ok(Decimal::from_digits(negative, &integer, &fraction))
}

/// numeric_recv: number of base-10000 digits, weight of the first, sign, scale, digits.
fn receive(bytes: &[u8]) -> Result<Decimal, DecodeError> {
    let syntax = |reason| DecodeError::Syntax { wanted: WANTED, reason };
    let mut reader = Reader { wanted: WANTED, bytes };
    let count = reader.u16()?;
    let weight = reader.i16()?;
    let sign = reader.u16()?;
    let scale = usize::from(reader.u16()?);
    let mut groups = Vec::with_capacity(usize::from(count).min(bytes.len()));
    for _ in 0..count {
        let group = reader.u16()?;
        if group > 9999 {
            return Err(syntax("a digit above 9999"));
        }
        groups.push(group);
    }
    reader.end()?;
    if scale > MAX_SCALE {
        return Err(syntax("a scale that numeric cannot have"));
    }
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        0xC000 => return Ok(Decimal::special("NaN")),
        0xD000 => return Ok(Decimal::special("Infinity")),
        0xF000 => return Ok(Decimal::special("-Infinity")),
        _ => return Err(syntax("an unknown sign")),
    };
    let group =
        |position: i32| usize::try_from(position).ok().and_then(|index| groups.get(index)).copied().unwrap_or(0);
    let weight = i32::from(weight);
    let mut integer = String::new();
    for position in 0..=weight {
        integer.push_str(&format!("{:04}", group(position)));
    }
    let mut fraction = String::new();
    for position in weight + 1.. {
        if fraction.len() >= scale {
            break;
        }
        fraction.push_str(&format!("{:04}", group(position)));
    }
    fraction.truncate(scale);
    Ok(Decimal::from_digits(negative, &integer, &fraction))
}

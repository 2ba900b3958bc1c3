//! Days and ISO texts: the proleptic Gregorian calendar that PostgreSQL counts in, and a parser of its ISO output.

use super::DecodeError;

/// 2000-01-01, PostgreSQL's day 0, in days since 1970-01-01.
const EPOCH_DAYS: i64 = 10_957;
pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Days since 2000-01-01. Years are astronomical: 0 is 1 BC.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day at the end; 400 of them have 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - EPOCH_DAYS
}

/// Year, month and day of a day counted from 2000-01-01.
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `2024-02-29` as text, with ` BC` where it belongs.
pub(super) fn date_text(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil_from_days(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

/// `23:59:59.5` as text.
pub(super) fn time_text(micros: i64) -> String {
    let seconds = micros / MICROS_PER_SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{hour:02}:{minute:02}:{second:02}");
    let fraction = micros % MICROS_PER_SECOND;
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text
}

/// What an ISO text says: each part is there or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Iso {
    /// Days since 2000-01-01.
    pub(super) days: Option<i64>,
    /// Microseconds since midnight.
    pub(super) micros: Option<i64>,
    /// Seconds east of UTC.
    pub(super) offset_seconds: Option<i64>,
}

/// Reads `YYYY-MM-DD`, `HH:MM[:SS[.ffffff]]` or both, then an offset and ` BC`, each where it is there.
pub(super) fn parse_iso(text: &str, wanted: &'static str) -> Result<Iso, DecodeError> {
    let mut cursor = Cursor { wanted, rest: text.as_bytes() };
    let mut iso = Iso::default();
    let mut date = None;
    if text.bytes().take_while(u8::is_ascii_digit).count() >= 4 {
        date = Some(cursor.date()?);
        if cursor.skip(b"T") || cursor.skip(b"t") {
            iso.micros = Some(cursor.time()?);
        } else {
            cursor.spaces();
            if cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                iso.micros = Some(cursor.time()?);
            }
        }
    } else {
        iso.micros = Some(cursor.time()?);
    }
    if iso.micros.is_some() {
        cursor.spaces();
        iso.offset_seconds = cursor.offset()?;
    }
    cursor.spaces();
    let before_christ = date.is_some() && (cursor.skip(b"BC") || cursor.skip(b"bc"));
    if !cursor.rest.is_empty() {
        return Err(cursor.syntax("not an ISO 8601 form, or one that depends on the server's settings"));
    }
    if let Some((year, month, day)) = date {
        if year == 0 {
            return Err(cursor.syntax("there is no year 0"));
        }
        let year = if before_christ { 1 - year } else { year };
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return Err(cursor.syntax("there is no such day"));
        }
        iso.days = Some(days_from_civil(year, month, day));
    }
    Ok(iso)
}

struct Cursor<'a> {
    wanted: &'static str,
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn syntax(&self, reason: &'static str) -> DecodeError {
        DecodeError::Syntax { wanted: self.wanted, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        while self.skip(b" ") {}
    }

    /// `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Result<i64, DecodeError> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length < least || length > most {
            return Err(self.syntax("not an ISO 8601 form, or one that depends on the server's settings"));
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        match self.skip(text) {
            true => Ok(()),
            false => Err(self.syntax("not an ISO 8601 form, or one that depends on the server's settings")),
        }
    }

    fn date(&mut self) -> Result<(i64, i64, i64), DecodeError> {
        let year = self.number(4, 7)?;
        self.expect(b"-")?;
        let month = self.number(1, 2)?;
        self.expect(b"-")?;
        Ok((year, month, self.number(1, 2)?))
    }

    /// Microseconds since midnight, up to and including 24:00.
    fn time(&mut self) -> Result<i64, DecodeError> {
        let hour = self.number(1, 2)?;
        self.expect(b":")?;
        let minute = self.number(1, 2)?;
        let mut micros = (hour * 60 + minute) * 60 * MICROS_PER_SECOND;
        let mut second = 0;
        if self.skip(b":") {
            second = self.number(1, 2)?;
            micros += second * MICROS_PER_SECOND;
            if self.skip(b".") {
                micros += self.fraction()?;
            }
        }
        if hour > 24 || minute > 59 || second > 60 || micros > MICROS_PER_DAY {
            return Err(self.syntax("there is no such time of day"));
        }
        Ok(micros)
    }

    /// Microseconds of a fraction of any length, rounded.
    fn fraction(&mut self) -> Result<i64, DecodeError> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let digit = |index: usize| digits.get(index).map_or(0, |digit| i64::from(digit - b'0'));
        let micros = (0..6).fold(0, |value, index| value * 10 + digit(index));
        Ok(micros + i64::from(digit(6) >= 5))
    }

    /// `Z`, `UTC`, `GMT`, or `+HH[[:]MM[[:]SS]]`; seconds east of UTC.
    fn offset(&mut self) -> Result<Option<i64>, DecodeError> {
        if [&b"Z"[..], b"z", b"UTC", b"GMT"].into_iter().any(|name| self.skip(name)) {
            return Ok(Some(0));
        }
        let sign = match self.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Ok(None),
        };
        self.rest = &self.rest[1..];
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (hour, minute, second) = match digits {
            1 | 2 => {
                let hour = self.number(1, 2)?;
                let minute = if self.skip(b":") { self.number(2, 2)? } else { 0 };
                let second = if self.skip(b":") { self.number(2, 2)? } else { 0 };
                (hour, minute, second)
            }
            4 => {
                let number = self.number(4, 4)?;
                (number / 100, number % 100, 0)
            }
            _ => return Err(self.syntax("not an offset from UTC")),
        };
        if hour > 15 || minute > 59 || second > 59 {
            return Err(self.syntax("there is no such offset from UTC"));
        }
        Ok(Some(sign * ((hour * 60 + minute) * 60 + second)))
    }
}

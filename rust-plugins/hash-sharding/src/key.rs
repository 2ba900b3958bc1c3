//! The types a sharding key can have, and how PostgreSQL reads a value of each: text forms as its input functions do,
//! binary forms as its receive functions do. Knows single values only; where they come from is `source.rs`.

use crate::hash::{row_hash_of_bytes, row_hash_of_integer};
use std::fmt;

/// The type of a key column, as the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    Smallint,
    Integer,
    Bigint,
    Uuid,
    Text,
    /// With the limit of `varchar(n)`: a longer value with spaces at its end is cut when it is stored.
    Varchar(Option<u32>),
    Bytea,
}

/// Types whose equal values have equal hashes, so that columns of one family may be compared and joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    Integer,
    Uuid,
    Text,
    Bytea,
}

/// A value that PostgreSQL's input or receive function would not take either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    Syntax,
    OutOfRange,
    /// A binary value of a length that the type does not have.
    Length(usize),
}

impl KeyType {
    pub fn family(self) -> Family {
        match self {
            Self::Smallint | Self::Integer | Self::Bigint => Family::Integer,
            Self::Uuid => Family::Uuid,
            Self::Text | Self::Varchar(_) => Family::Text,
            Self::Bytea => Family::Bytea,
        }
    }

    /// What the configuration may say, in PostgreSQL's words and in those of its catalog.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let (base, limit) = match name.split_once('(') {
            Some((base, rest)) => {
                (base.trim_end(), Some(rest.strip_suffix(')')?.trim().parse::<u32>().ok().filter(|&limit| limit > 0)?))
            }
            None => (name.as_str(), None),
        };
        let key = match base {
            "smallint" | "int2" => Self::Smallint,
            "integer" | "int" | "int4" => Self::Integer,
            "bigint" | "int8" => Self::Bigint,
            "uuid" => Self::Uuid,
            "text" => Self::Text,
            "varchar" | "character varying" => return Some(Self::Varchar(limit)),
            "bytea" => Self::Bytea,
            _ => return None,
        };
        limit.is_none().then_some(key)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Varchar(None) => "varchar",
            Self::Varchar(Some(limit)) => return write!(f, "varchar({limit})"),
            Self::Bytea => "bytea",
        })
    }
}

/// The row hash of a value in its text form.
pub fn hash_text(key: KeyType, text: &[u8]) -> Result<u64, Malformed> {
    match key {
        KeyType::Smallint | KeyType::Integer | KeyType::Bigint => parse_integer(text).map(row_hash_of_integer),
        KeyType::Uuid => parse_uuid(text).map(|uuid| row_hash_of_bytes(&uuid)),
        KeyType::Text => Ok(row_hash_of_bytes(text)),
        KeyType::Varchar(limit) => Ok(row_hash_of_bytes(cut_to(text, limit))),
        KeyType::Bytea => match hex_digits(text) {
            None if !text.contains(&b'\\') => Ok(row_hash_of_bytes(text)),
            _ => parse_bytea(text).map(|bytes| row_hash_of_bytes(&bytes)),
        },
    }
}

/// The row hash of a value in its binary form.
pub fn hash_binary(key: KeyType, bytes: &[u8]) -> Result<u64, Malformed> {
    match key {
        KeyType::Smallint | KeyType::Integer | KeyType::Bigint => read_integer(bytes).map(row_hash_of_integer),
        KeyType::Uuid if bytes.len() != 16 => Err(Malformed::Length(bytes.len())),
        KeyType::Varchar(limit) => Ok(row_hash_of_bytes(cut_to(bytes, limit))),
        KeyType::Uuid | KeyType::Text | KeyType::Bytea => Ok(row_hash_of_bytes(bytes)),
    }
}

/// Two, four or eight bytes: which of them the server expects it says itself, the number is the same.
fn read_integer(bytes: &[u8]) -> Result<i64, Malformed> {
    match *bytes {
        [a, b] => Ok(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Ok(i32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Ok(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(Malformed::Length(bytes.len())),
    }
}

/// `pg_strtoint64`: white space around, a sign, decimal, 0x, 0o or 0b, underscores between digits. Servers before 16
/// refuse the last two themselves.
pub fn parse_integer(text: &[u8]) -> Result<i64, Malformed> {
    let text = trim_spaces(text);
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, digits, prefixed) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest, true),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest, true),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest, true),
        _ => (10, digits, false),
    };
    let mut value: i64 = 0;
    let mut overflow = false;
    // An underscore stands before a digit, and after one or the prefix.
    let mut after_digit = prefixed;
    let mut any = false;
    for &byte in digits {
        if byte == b'_' {
            if !after_digit {
                return Err(Malformed::Syntax);
            }
            after_digit = false;
            continue;
        }
        let digit = char::from(byte).to_digit(radix).ok_or(Malformed::Syntax)?;
        // Counted downwards, so that the smallest number fits.
        match value.checked_mul(i64::from(radix)).and_then(|value| value.checked_sub(i64::from(digit))) {
            Some(next) => value = next,
            None => overflow = true,
        }
        after_digit = true;
        any = true;
    }
    if !any || !after_digit {
        return Err(Malformed::Syntax);
    }
    let value = if negative { Some(value) } else { value.checked_neg() };
    value.filter(|_| !overflow).ok_or(Malformed::OutOfRange)
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// `uuid_in`: braces around it are fine, hyphens may stand after every fourth digit.
fn parse_uuid(text: &[u8]) -> Result<[u8; 16], Malformed> {
    let mut rest = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text,
    };
    let mut uuid = [0; 16];
    for (index, byte) in uuid.iter_mut().enumerate() {
        let [high, low, after @ ..] = rest else { return Err(Malformed::Syntax) };
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
        rest = match after {
            [b'-', after @ ..] if index % 2 == 1 && index < 15 => after,
            _ => after,
        };
    }
    if rest.is_empty() { Ok(uuid) } else { Err(Malformed::Syntax) }
}

fn hex_digits(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"\\x")
}

/// `byteain`: the hex form, or the old escape form.
fn parse_bytea(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    if let Some(digits) = hex_digits(text) {
        let mut digits = digits.iter().copied();
        while let Some(high) = digits.next() {
            // Spaces may stand between bytes, not inside one.
            if matches!(high, b' ' | b'\n' | b'\t' | b'\r') {
                continue;
            }
            let low = digits.next().ok_or(Malformed::Syntax)?;
            bytes.push((nibble(high)? << 4) | nibble(low)?);
        }
        return Ok(bytes);
    }
    let mut rest = text;
    loop {
        rest = match *rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', ref after @ ..] => {
                bytes.push(b'\\');
                after
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref after @ ..] => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                after
            }
            [b'\\', ..] => return Err(Malformed::Syntax),
            [byte, ref after @ ..] => {
                bytes.push(byte);
                after
            }
        };
    }
}

fn nibble(digit: u8) -> Result<u8, Malformed> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(Malformed::Syntax)
}

/// What storing makes of a value in a `varchar(n)`: characters beyond the limit go when they are spaces. Others are an
/// error of the server, whichever shard answers it. Compared with the column, what would be cut matches no row anywhere.
fn cut_to(text: &[u8], limit: Option<u32>) -> &[u8] {
    let Some(limit) = limit else { return text };
    let is_start = |byte: &u8| (byte & 0xC0) != 0x80;
    let start_of_excess = text.iter().enumerate().filter(|(_, byte)| is_start(byte)).nth(limit as usize);
    match start_of_excess {
        Some((at, _)) if text[at..].iter().all(|&byte| byte == b' ') => &text[..at],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_the_server_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("  +42\n", 42),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
            ("0x1F", 31),
            ("-0x_1f", -31),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("007", 7),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), Ok(value), "{text}");
        }
        for text in
            ["", " ", "-", "+", "1.0", "1e3", "0x", "_1", "1_", "1__0", "1 2", "- 1", "--1", "abc", "1\0", "0b2", "٣"]
        {
            assert_eq!(parse_integer(text.as_bytes()), Err(Malformed::Syntax), "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999", "0xFFFFFFFFFFFFFFFFF"] {
            assert_eq!(parse_integer(text.as_bytes()), Err(Malformed::OutOfRange), "{text}");
        }
    }

    #[test]
    fn uuids_are_read_in_every_form_the_server_reads() {
        let expected = parse_uuid(b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").unwrap();
        for text in [
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(parse_uuid(text.as_bytes()), Ok(expected), "{text}");
        }
        for text in [
            "",
            "{}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
            "a0-eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "+0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert_eq!(parse_uuid(text.as_bytes()), Err(Malformed::Syntax), "{text}");
        }
    }

    #[test]
    fn bytea_is_read_in_hex_and_in_escape_form() {
        for (text, bytes) in [
            (r"\x", &b""[..]),
            (r"\x00ff", b"\x00\xff"),
            (r"\xDe Ad", b"\xde\xad"),
            (r"abc", b"abc"),
            (r"a\\b\000\377", b"a\\b\x00\xff"),
            ("", b""),
        ] {
            assert_eq!(parse_bytea(text.as_bytes()).as_deref(), Ok(bytes), "{text}");
            assert_eq!(hash_text(KeyType::Bytea, text.as_bytes()), Ok(row_hash_of_bytes(bytes)), "{text}");
        }
        for text in [r"\x0", r"\x0 0", r"\xzz", r"a\400", r"a\1", r"a\"] {
            assert_eq!(hash_text(KeyType::Bytea, text.as_bytes()), Err(Malformed::Syntax), "{text}");
        }
    }

    #[test]
    fn binary_integers_hash_by_value_whatever_their_width() {
        let hash = hash_text(KeyType::Bigint, b"-7").unwrap();
        assert_eq!(hash_binary(KeyType::Bigint, &(-7_i16).to_be_bytes()), Ok(hash));
        assert_eq!(hash_binary(KeyType::Bigint, &(-7_i32).to_be_bytes()), Ok(hash));
        assert_eq!(hash_binary(KeyType::Smallint, &(-7_i64).to_be_bytes()), Ok(hash));
        assert_eq!(hash_binary(KeyType::Bigint, &[0; 3]), Err(Malformed::Length(3)));
        assert_eq!(hash_binary(KeyType::Bigint, &[]), Err(Malformed::Length(0)));
        assert_eq!(hash_binary(KeyType::Uuid, &[0; 15]), Err(Malformed::Length(15)));
    }

    #[test]
    fn what_varchar_cuts_when_it_stores_is_cut_before_hashing() {
        let key = KeyType::Varchar(Some(3));
        let stored = |text: &str| hash_text(key, text.as_bytes()).unwrap();
        assert_eq!(stored("abc   "), row_hash_of_bytes(b"abc"));
        assert_eq!(stored("äöü "), row_hash_of_bytes("äöü".as_bytes()));
        assert_eq!(stored("ab "), row_hash_of_bytes(b"ab "));
        assert_eq!(stored("ab  "), row_hash_of_bytes(b"ab "));
        // What is too long otherwise the server refuses.
        assert_eq!(stored("abcd"), row_hash_of_bytes(b"abcd"));
        assert_eq!(hash_binary(key, b"abc  "), Ok(row_hash_of_bytes(b"abc")));
    }

    #[test]
    fn type_names_are_those_of_postgresql() {
        assert_eq!(KeyType::parse("BIGINT"), Some(KeyType::Bigint));
        assert_eq!(KeyType::parse("int4"), Some(KeyType::Integer));
        assert_eq!(KeyType::parse("character varying (20)"), Some(KeyType::Varchar(Some(20))));
        assert_eq!(KeyType::parse("varchar(0)"), None);
        assert_eq!(KeyType::parse("text(3)"), None);
        assert_eq!(KeyType::parse("char(3)"), None);
        assert_eq!(KeyType::parse("numeric"), None);
    }
}

//! `oracle.jsonl` is PostgreSQL's own word: `oracle.sql` says how it is made.

use pooler_plugin::{Array, Date, Decimal, Decode, DecodeError, RawValue, Time, Timestamp, TimestampTz, Uuid, oid};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Deserialize)]
struct Line {
    r#type: String,
    input: String,
    /// What PostgreSQL prints; absent when it refuses the input.
    text: Option<String>,
    binary: Option<String>,
    #[serde(default)]
    refused: bool,
}

fn lines() -> Vec<Line> {
    let text = include_str!("oracle.jsonl");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the oracle is JSON")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// The input, what PostgreSQL prints and what it sends must be one and the same value, or an error where it refuses.
fn check<T>(line: &Line, type_oid: u32, print: impl Fn(&T) -> Option<String>)
where
    T: for<'a> Decode<'a> + PartialEq + Debug,
{
    let Line { r#type, input, text, binary, refused } = line;
    let about = format!("{type} {input:?}");
    for type_oid in [type_oid, 0] {
        let read: Result<T, DecodeError> = RawValue::text(input, type_oid).decode();
        let (Some(text), Some(binary)) = (text, binary) else {
            assert!(read.is_err(), "{about}: PostgreSQL refuses it, the SDK read {read:?}");
            continue;
        };
        let sent = bytes(binary);
        let sent: T = RawValue::binary(&sent, type_oid).decode().unwrap_or_else(|error| panic!("{about}: {error}"));
        if *refused {
            assert!(read.is_err(), "{about}: it depends on the server, the SDK read {read:?}");
        } else {
            let read = read.unwrap_or_else(|error| panic!("{about}: {error}"));
            assert_eq!(read, sent, "{about}");
        }
        let printed: T = RawValue::text(text, type_oid).decode().unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(printed, sent, "{about}");
        if let Some(own) = print(&sent) {
            assert_eq!(own, *text, "{about}");
        }
    }
}

/// Floating-point numbers compare by bits, so that NaN equals itself and -0 is not 0.
#[derive(Debug, PartialEq)]
struct Bits(u64);

impl<'a> Decode<'a> for Bits {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        f64::decode(raw).map(|number| Bits(number.to_bits()))
    }
}

#[derive(Debug, PartialEq)]
struct Bits32(u32);

impl<'a> Decode<'a> for Bits32 {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        f32::decode(raw).map(|number| Bits32(number.to_bits()))
    }
}

#[test]
fn every_value_reads_as_postgresql_reads_it() {
    let mut counts = BTreeMap::new();
    for line in &lines() {
        *counts.entry(line.r#type.clone()).or_insert(0) += 1;
        match line.r#type.as_str() {
            "int2" => check::<i16>(line, oid::INT2, |value| Some(value.to_string())),
            "int4" => check::<i32>(line, oid::INT4, |value| Some(value.to_string())),
            "int8" => check::<i64>(line, oid::INT8, |value| Some(value.to_string())),
            "bool" => check::<bool>(line, oid::BOOL, |value| Some(value.to_string())),
            "float4" => check::<Bits32>(line, oid::FLOAT4, |_| None),
            "float8" => check::<Bits>(line, oid::FLOAT8, |_| None),
            "numeric" => check::<Decimal>(line, oid::NUMERIC, |value| Some(value.to_string())),
            "uuid" => check::<Uuid>(line, oid::UUID, |value| Some(value.to_string())),
            "bytea" => check::<Vec<u8>>(line, oid::BYTEA, |_| None),
            "date" => check::<Date>(line, oid::DATE, |value| Some(value.to_string())),
            "time" => check::<Time>(line, oid::TIME, |value| Some(value.to_string())),
            "timestamp" => check::<Timestamp>(line, oid::TIMESTAMP, |value| Some(value.to_string())),
            "timestamptz" => check::<TimestampTz>(line, oid::TIMESTAMPTZ, |value| Some(value.to_string())),
            "int4[]" => check::<Array<Option<i32>>>(line, oid::INT4_ARRAY, |_| None),
            "text[]" => check::<Array<Option<String>>>(line, oid::TEXT_ARRAY, |_| None),
            "numeric[]" => check::<Array<Option<Decimal>>>(line, oid::NUMERIC_ARRAY, |_| None),
            "uuid[]" => check::<Array<Option<Uuid>>>(line, oid::UUID_ARRAY, |_| None),
            "bytea[]" => check::<Array<Option<Vec<u8>>>>(line, oid::BYTEA_ARRAY, |_| None),
            "timestamptz[]" => check::<Array<Option<TimestampTz>>>(line, oid::TIMESTAMPTZ_ARRAY, |_| None),
            "bool[]" => check::<Array<Option<bool>>>(line, oid::BOOL_ARRAY, |_| None),
            "float8[]" => check::<Array<Option<Bits>>>(line, oid::FLOAT8_ARRAY, |_| None),
            other => panic!("the oracle speaks of {other:?}"),
        }
    }
    assert!(counts.len() == 21 && counts["numeric"] > 100, "the oracle is incomplete: {counts:?}");
}

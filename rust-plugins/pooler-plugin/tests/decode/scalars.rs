//! What the oracle cannot say: other widths and types than asked for, NULL, limits, pgvector, error messages.

use pooler_plugin::{Date, Decimal, Decode, DecodeError, RawValue, Time, Timestamp, TimestampTz, Uuid, Vector, oid};

fn text<T: for<'a> Decode<'a>>(value: &str, type_oid: u32) -> Result<T, DecodeError> {
    RawValue::text(value, type_oid).decode()
}

fn binary<T: for<'a> Decode<'a>>(value: impl AsRef<[u8]>, type_oid: u32) -> Result<T, DecodeError> {
    RawValue::binary(value.as_ref(), type_oid).decode()
}

/// numeric_send of a number with one group of digits.
fn numeric(group: u16, weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    [1, weight as u16, sign, scale, group].into_iter().flat_map(u16::to_be_bytes).collect()
}

#[test]
fn binary_integers_of_any_width_become_the_width_asked_for() {
    for type_oid in [oid::INT2, 0] {
        assert_eq!(binary::<i64>((-2_i16).to_be_bytes(), type_oid), Ok(-2));
    }
    for type_oid in [oid::INT4, 0] {
        assert_eq!(binary::<i64>((-70_000_i32).to_be_bytes(), type_oid), Ok(-70_000));
        assert_eq!(binary::<i16>(7_i32.to_be_bytes(), type_oid), Ok(7));
    }
    for type_oid in [oid::INT8, 0] {
        assert_eq!(binary::<i64>(i64::MIN.to_be_bytes(), type_oid), Ok(i64::MIN));
        assert_eq!(binary::<i16>(7_i64.to_be_bytes(), type_oid), Ok(7));
        assert_eq!(
            binary::<i32>((1_i64 << 40).to_be_bytes(), type_oid),
            Err(DecodeError::OutOfRange { wanted: "integer" })
        );
    }
    assert_eq!(binary::<i64>(u32::MAX.to_be_bytes(), oid::OID), Ok(i64::from(u32::MAX)));
    assert_eq!(binary::<u32>(u32::MAX.to_be_bytes(), oid::OID), Ok(u32::MAX));
    assert_eq!(text::<u32>("4294967295", oid::OID), Ok(u32::MAX));
    assert_eq!(text::<u32>("-1", oid::OID), Err(DecodeError::OutOfRange { wanted: "oid" }));
}

#[test]
fn a_binary_integer_has_the_length_of_its_type() {
    assert_eq!(binary::<i64>(7_i32.to_be_bytes(), oid::INT8), Err(DecodeError::Length { wanted: "bigint", actual: 4 }));
    assert_eq!(binary::<i16>([], 0), Err(DecodeError::Length { wanted: "smallint", actual: 0 }));
    assert_eq!(binary::<i16>([1, 2, 3], 0), Err(DecodeError::Length { wanted: "smallint", actual: 3 }));
}

#[test]
fn whole_numerics_are_integers() {
    assert_eq!(binary::<i64>(numeric(42, 0, 0, 2), oid::NUMERIC), Ok(42));
    assert_eq!(binary::<i64>(numeric(42, 1, 0x4000, 0), oid::NUMERIC), Ok(-420_000));
    assert_eq!(text::<i64>("42.00", oid::NUMERIC), Ok(42));
    let fraction = DecodeError::Syntax { wanted: "bigint", reason: "a numeric that is not whole" };
    assert_eq!(text::<i64>("42.5", oid::NUMERIC), Err(fraction.clone()));
    assert_eq!(text::<i64>("NaN", oid::NUMERIC), Err(fraction.clone()));
    assert_eq!(text::<i64>("-Infinity", oid::NUMERIC), Err(fraction));
    assert_eq!(text::<i64>("1e19", oid::NUMERIC), Err(DecodeError::OutOfRange { wanted: "bigint" }));
}

#[test]
fn binary_text_is_read_as_text() {
    for type_oid in [oid::TEXT, oid::VARCHAR, oid::BPCHAR, oid::UNKNOWN] {
        assert_eq!(binary::<i64>("42", type_oid), Ok(42));
        assert_eq!(binary::<bool>("yes", type_oid), Ok(true));
        assert_eq!(binary::<String>("é", type_oid), Ok("é".to_owned()));
        assert_eq!(binary::<Vec<u8>>("\\x00ff", type_oid), Ok(vec![0, 255]));
        assert_eq!(binary::<Vec<Option<i32>>>("{1,NULL}", type_oid), Ok(vec![Some(1), None]));
        assert_eq!(binary::<Vector>("[1,2]", type_oid), Ok(Vector(vec![1.0, 2.0])));
    }
}

#[test]
fn binary_values_of_another_type_are_refused() {
    let refused = |wanted, type_oid| Err(DecodeError::Type { wanted, type_oid });
    assert_eq!(binary::<i64>([0; 16], oid::UUID), refused("bigint", oid::UUID));
    assert_eq!(binary::<i64>([0; 8], oid::FLOAT8), refused("bigint", oid::FLOAT8));
    assert_eq!(binary::<String>([0; 8], oid::INT8).map(drop), refused("text", oid::INT8).map(drop));
    assert_eq!(binary::<Uuid>([0; 16], oid::BYTEA).map(drop), refused("uuid", oid::BYTEA).map(drop));
    assert_eq!(binary::<Date>([0; 4], oid::INT4).map(drop), refused("date", oid::INT4).map(drop));
    let other = binary::<TimestampTz>([0; 8], oid::TIMESTAMP);
    assert_eq!(other.map(drop), refused("timestamptz", oid::TIMESTAMP).map(drop));
    assert_eq!(binary::<f32>([0; 8], oid::FLOAT8).map(drop), refused("real", oid::FLOAT8).map(drop));
    assert_eq!(binary::<Vec<i32>>([0; 8], oid::INT8).map(drop), refused("array", oid::INT8).map(drop));
    assert_eq!(binary::<Vector>([0; 8], oid::INT8).map(drop), refused("vector", oid::INT8).map(drop));
}

#[test]
fn real_widens_to_double_precision() {
    assert_eq!(binary::<f64>(1.5_f32.to_be_bytes(), oid::FLOAT4), Ok(1.5));
    assert_eq!(binary::<f64>(1.5_f32.to_be_bytes(), 0), Ok(1.5));
    assert_eq!(
        binary::<f64>(1.5_f32.to_be_bytes(), oid::FLOAT8),
        Err(DecodeError::Length { wanted: "double precision", actual: 4 })
    );
}

#[test]
fn null_is_an_error_unless_an_option_is_asked_for() {
    assert_eq!(RawValue::null().decode::<i64>(), Err(DecodeError::Null { wanted: "bigint" }));
    assert_eq!(RawValue::null().decode::<&str>(), Err(DecodeError::Null { wanted: "text" }));
    assert_eq!(RawValue::null().decode::<Option<i64>>(), Ok(None));
    assert_eq!(text::<Option<i64>>("1", 0), Ok(Some(1)));
    assert!(text::<Option<i64>>("", 0).is_err(), "the empty string is not NULL");
    assert_eq!(RawValue::text("", 0).decode::<&str>(), Ok(""));
}

#[test]
fn text_is_borrowed_and_must_be_utf8() {
    let bytes = *b"caf\xc3\xa9";
    let borrowed: &str = RawValue::binary(&bytes, oid::TEXT).decode().expect("UTF-8");
    assert_eq!((borrowed, borrowed.as_ptr()), ("café", bytes.as_ptr()));
    assert_eq!(binary::<String>(b"caf\xe9", oid::TEXT), Err(DecodeError::NotUtf8 { wanted: "text" }));
    assert_eq!(binary::<i64>(b"\xff", oid::TEXT), Err(DecodeError::NotUtf8 { wanted: "bigint" }));
    assert_eq!(binary::<String>(b"\x01{}", oid::JSONB), Ok("{}".to_owned()));
    assert!(binary::<String>(b"\x02{}", oid::JSONB).is_err() && binary::<String>(b"", oid::JSONB).is_err());
}

#[test]
fn bytea_text_need_not_be_utf8() {
    let raw = RawValue { bytes: Some(b"\xff\\\\"), format: pooler_plugin::Format::Text, type_oid: oid::BYTEA };
    assert_eq!(raw.decode::<Vec<u8>>(), Ok(vec![0xff, b'\\']));
}

#[test]
fn numerics_keep_every_digit_and_stay_within_postgresqls_limits() {
    let largest: Decimal = text("1e131071", 0).expect("PostgreSQL's largest power of ten");
    assert_eq!(largest.as_str().len(), 131_072);
    let smallest: Decimal = text("1e-16383", 0).expect("PostgreSQL's smallest power of ten");
    assert_eq!(smallest.as_str().len(), 16_385);
    for text_ in ["1e131072", "1e-16384", "1e999999999999999999999", "1e1073741824"] {
        assert_eq!(text::<Decimal>(text_, 0), Err(DecodeError::OutOfRange { wanted: "numeric" }), "{text_}");
    }
    let number: Decimal = text("-0012.3400", 0).expect("a number");
    assert_eq!((number.as_str(), number.to_string()), ("-12.3400", "-12.3400".to_owned()));
    assert_eq!(text::<Decimal>("1.0", 0), text("1.000", 0));
    assert_ne!(text::<Decimal>("10", 0), text("1", 0));
    assert!(number.is_finite() && !text::<Decimal>("NaN", 0).expect("NaN").is_finite());
    assert!(number.to_i64().is_err());
}

#[test]
fn malformed_binary_numerics_are_refused() {
    assert!(binary::<Decimal>(numeric(10_000, 0, 0, 0), 0).is_err(), "a digit above 9999");
    assert!(binary::<Decimal>(numeric(1, 0, 0x1234, 0), 0).is_err(), "an unknown sign");
    assert!(binary::<Decimal>(numeric(1, 0, 0, 0x4000), 0).is_err(), "a scale that cannot be");
    assert!(binary::<Decimal>(&numeric(1, 0, 0, 0)[..9], 0).is_err(), "half a digit");
    assert!(binary::<Decimal>([numeric(1, 0, 0, 0), vec![0]].concat(), 0).is_err(), "a byte too many");
    assert_eq!(binary::<Decimal>(numeric(1234, -1, 0, 2), 0).map(|n| n.to_string()), Ok("0.12".to_owned()));
    assert_eq!(binary::<Decimal>(numeric(0, 0, 0x4000, 1), 0).map(|n| n.to_string()), Ok("0.0".to_owned()));
}

#[test]
fn times_are_counted_from_2000() {
    assert_eq!(text("2000-01-01", 0), Ok(Date { days: 0 }));
    assert_eq!(binary((-1_i32).to_be_bytes(), oid::DATE).map(|date: Date| date.to_string()), Ok("1999-12-31".into()));
    assert_eq!(text("00:00:00.000001", 0), Ok(Time { micros: 1 }));
    assert_eq!(text("2000-01-02", 0), Ok(Timestamp { micros: 86_400_000_000 }));
    assert_eq!(text("2000-01-01 01:00+01", 0), Ok(TimestampTz { micros: 0 }));
    let epoch: TimestampTz = text("1970-01-01 00:00:00+00", 0).expect("a time");
    assert_eq!((epoch.unix_micros(), TimestampTz::INFINITY.unix_micros()), (Some(0), None));
    assert_eq!(text("infinity", 0), Ok(Timestamp::INFINITY));
    assert_eq!(text("-infinity", 0), Ok(Date::NEG_INFINITY));
}

#[test]
fn binary_times_out_of_range_are_refused() {
    assert!(binary::<Date>((i32::MAX - 1).to_be_bytes(), 0).is_err());
    assert!(binary::<Time>(86_400_000_001_i64.to_be_bytes(), 0).is_err());
    assert!(binary::<Time>((-1_i64).to_be_bytes(), 0).is_err());
    assert!(binary::<Timestamp>((i64::MAX - 1).to_be_bytes(), 0).is_err());
    assert!(binary::<TimestampTz>((i64::MIN + 1).to_be_bytes(), 0).is_err());
}

#[test]
fn a_timestamptz_without_an_offset_says_why_it_is_refused() {
    let error = text::<TimestampTz>("2024-02-29 12:30:45", 0).expect_err("it depends on the session");
    assert_eq!(error.to_string(), "invalid timestamptz: without an offset it depends on the session's time zone");
}

#[test]
fn vectors_read_in_both_formats() {
    let pgvector = 16_500;
    assert_eq!(text("[1,2.5,-3e2]", pgvector), Ok(Vector(vec![1.0, 2.5, -300.0])));
    assert_eq!(text(" [ 1 , 2 ] ", 0), Ok(Vector(vec![1.0, 2.0])));
    assert_eq!(text("[1e-60,-1e-60]", 0), Ok(Vector(vec![0.0, 0.0])), "too small is 0");
    assert_eq!(text::<Vector>("[1e60]", 0), Err(DecodeError::OutOfRange { wanted: "vector" }));
    let sent: Vec<u8> = [vec![0, 2, 0, 0], 1.0_f32.to_be_bytes().to_vec(), 2.5_f32.to_be_bytes().to_vec()].concat();
    assert_eq!(binary(&sent, pgvector), Ok(Vector(vec![1.0, 2.5])));
    assert_eq!(binary(&sent, 0), Ok(Vector(vec![1.0, 2.5])));
    for malformed in ["", "[]", "1,2", "[1,2", "[1,,2]", "[1,x]", "[NaN]", "[Infinity]", "[1e39]", "[1]2"] {
        assert!(text::<Vector>(malformed, 0).is_err(), "{malformed:?}");
    }
    for malformed in [&sent[..11], &sent[..2], &[0, 0, 0, 0], &[0xff, 0xff, 0, 0], &[0, 1, 0, 1, 0, 0, 0, 0]] {
        assert!(binary::<Vector>(malformed, 0).is_err(), "{malformed:?}");
    }
    assert!(binary::<Vector>([0, 1, 0, 0, 0x7f, 0xc0, 0, 0], 0).is_err(), "NaN");
    let long = format!("[{}1]", "1,".repeat(16_000));
    assert_eq!(text::<Vector>(&long, 0), Err(DecodeError::OutOfRange { wanted: "vector" }));
}

#[test]
fn errors_say_what_was_wanted_and_never_the_value() {
    let error = text::<i64>("hunter2", 0).expect_err("no integer");
    assert_eq!(error.to_string(), "invalid bigint: not an integer");
    let error = binary::<i64>([0; 16], oid::UUID).expect_err("a uuid");
    assert_eq!(error.to_string(), "a binary uuid cannot be read as bigint");
    let error = binary::<i64>([0; 8], 99_999).expect_err("an unknown type");
    assert_eq!(error.to_string(), "a binary type with OID 99999 cannot be read as bigint");
    let error = binary::<i32>([0; 3], oid::INT4).expect_err("three bytes");
    assert_eq!(error.to_string(), "3 bytes are no binary integer");
    assert_eq!(text::<i16>("40000", 0).expect_err("too large").to_string(), "value out of range for type smallint");
    let error = RawValue::null().decode::<Uuid>().expect_err("NULL");
    assert_eq!(error.to_string(), "NULL where a value of type uuid was expected");
}

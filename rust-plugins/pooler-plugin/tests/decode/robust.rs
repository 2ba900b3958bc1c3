//! No bytes make a decoder panic: truncated values, flipped bytes, and seeded noise, in both formats and every type.

use pooler_plugin::{Array, Date, Decimal, Decode, Format, RawValue, Time, Timestamp, TimestampTz, Uuid, Vector, oid};

/// xorshift64*: the same noise each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

const TYPES: [u32; 20] = [
    0,
    oid::INT2,
    oid::INT4,
    oid::INT8,
    oid::OID,
    oid::BOOL,
    oid::FLOAT4,
    oid::FLOAT8,
    oid::NUMERIC,
    oid::UUID,
    oid::BYTEA,
    oid::TEXT,
    oid::JSONB,
    oid::DATE,
    oid::TIME,
    oid::TIMESTAMP,
    oid::TIMESTAMPTZ,
    oid::INT4_ARRAY,
    oid::TEXT_ARRAY,
    16_500,
];

/// Decodes as every type. What comes out does not matter, as long as something does.
fn decode_all(bytes: &[u8]) {
    fn one<'a, T: Decode<'a>>(raw: RawValue<'a>) {
        let _ = raw.decode::<T>();
    }
    for format in [Format::Text, Format::Binary] {
        for type_oid in TYPES {
            let raw = RawValue { bytes: Some(bytes), format, type_oid };
            one::<i16>(raw);
            one::<i32>(raw);
            one::<i64>(raw);
            one::<u32>(raw);
            one::<bool>(raw);
            one::<f32>(raw);
            one::<f64>(raw);
            one::<&str>(raw);
            one::<String>(raw);
            one::<Vec<u8>>(raw);
            one::<Uuid>(raw);
            one::<Decimal>(raw);
            one::<Date>(raw);
            one::<Time>(raw);
            one::<Timestamp>(raw);
            one::<TimestampTz>(raw);
            one::<Vector>(raw);
            one::<Vec<Option<i64>>>(raw);
            one::<Array<Option<String>>>(raw);
            one::<Vec<Vec<Option<Decimal>>>>(raw);
        }
    }
}

/// Values that are valid for some type, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "42",
        "-0x1F",
        "1_000",
        "12345.678e-9",
        "NaN",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        "\\xDEADbeef",
        "a\\000\\\\b",
        "2024-02-29 12:30:45.123456+05:30:15 BC",
        "24:00:00",
        "infinity",
        "[0:1][2:3]={{1,NULL},{\"a\\\"b\",\\}}}",
        "[1,2.5e3,-4]",
        "{{{{{{1}}}}}}",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    // numeric, array of int4, vector
    seeds.push(vec![0, 2, 0, 0, 0x40, 0, 0, 4, 0, 42, 0x12, 0x34]);
    seeds.push(vec![
        0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255,
    ]);
    seeds.push(vec![0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0x40, 0, 0, 0]);
    seeds.push(i64::MAX.to_be_bytes().to_vec());
    seeds.push(i64::MIN.to_be_bytes().to_vec());
    seeds
}

#[test]
fn values_cut_at_every_byte_do_not_panic() {
    for seed in seeds() {
        for length in 0..=seed.len() {
            decode_all(&seed[..length]);
        }
    }
}

#[test]
fn values_with_damaged_bytes_do_not_panic() {
    let mut noise = Noise(0x5eed);
    for seed in seeds() {
        for _ in 0..60 {
            let mut bytes = seed.clone();
            for _ in 0..=noise.below(3) {
                let at = noise.below(bytes.len());
                bytes[at] = noise.next() as u8;
            }
            decode_all(&bytes);
        }
    }
}

#[test]
fn noise_does_not_panic() {
    let mut noise = Noise(0xfeed);
    let alphabet = b"0123456789-+.:eE_xXob{}[]\"\\, NULTZtfinay=\xff\x00";
    for round in 0..800 {
        let length = noise.below(40);
        let bytes: Vec<u8> = (0..length)
            .map(|_| match round % 2 {
                0 => alphabet[noise.below(alphabet.len())],
                _ => noise.next() as u8,
            })
            .collect();
        decode_all(&bytes);
    }
}

//! The shards of key values, to be held against PostgreSQL's `satisfies_hash_partition`.
//!
//!     echo '"5"' | cargo run --example shard_of -- bigint 2,4
//!
//! Reads one JSON value a line: the value's text form, `{"binary": "<hex>"}`, or null. Writes its shard for each number of
//! shards, separated by commas.

use hash_sharding::hash::{NULL_ROW_HASH, shard_of};
use hash_sharding::key::{KeyType, hash_binary, hash_text};
use serde_json::Value;
use std::error::Error;
use std::io::{BufRead as _, Write as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(key), Some(moduli)) = (arguments.next(), arguments.next()) else {
        return Err("usage: shard_of <type> <number of shards>[,<number of shards>…] < values".into());
    };
    let key = KeyType::parse(&key).ok_or("the type is not one of those that can be a sharding key")?;
    let moduli: Vec<u32> = moduli.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let hash = row_hash(key, &serde_json::from_str(&line?)?)?;
        let shards: Vec<_> = moduli.iter().map(|&shards| shard_of(hash, shards).to_string()).collect();
        writeln!(output, "{}", shards.join(","))?;
    }
    Ok(())
}

fn row_hash(key: KeyType, value: &Value) -> Result<u64, Box<dyn Error>> {
    match (value.as_str(), value.get("binary").and_then(Value::as_str)) {
        (Some(text), _) => hash_text(key, text.as_bytes()).map_err(|error| format!("{text:?}: {error:?}").into()),
        (None, Some(hex)) => {
            let bytes: Result<Vec<u8>, _> =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16)).collect();
            hash_binary(key, &bytes?).map_err(|error| format!("{hex}: {error:?}").into())
        }
        (None, None) if value.is_null() => Ok(NULL_ROW_HASH),
        (None, None) => Err(format!("{value} is neither a string, {{\"binary\": …}} nor null").into()),
    }
}

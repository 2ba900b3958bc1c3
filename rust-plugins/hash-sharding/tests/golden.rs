//! Hashes and shards against what a PostgreSQL server said: tests/golden.jsonl, written by tools/golden.mjs.

use hash_sharding::hash::{NULL_ROW_HASH, shard_of};
use hash_sharding::key::{KeyType, hash_text};
use serde_json::Value;

/// What PostgreSQL adds when it folds a column's hash into the row's.
const COMBINE: u64 = 0x49A0_F4DD_15E5_A8E3;

#[test]
fn keys_have_the_hash_and_the_shard_that_postgresql_gives_them() {
    let mut hashes = 0;
    for line in include_str!("golden.jsonl").lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let key = KeyType::parse(golden["type"].as_str().unwrap()).unwrap();
        let row_hash = match golden["value"].as_str() {
            Some(value) => hash_text(key, value.as_bytes()).unwrap(),
            None => NULL_ROW_HASH,
        };
        if let (Some(hash), Some(_)) = (golden["hash"].as_str(), golden["value"].as_str()) {
            let hash = hash.parse::<i64>().unwrap() as u64;
            assert_eq!(row_hash, hash.wrapping_add(COMBINE), "{line}");
            hashes += 1;
        }
        for (shards, shard) in golden["shards"].as_object().unwrap() {
            assert_eq!(u64::from(shard_of(row_hash, shards.parse().unwrap())), shard.as_u64().unwrap(), "{line}");
        }
    }
    assert!(hashes > 30, "only {hashes} hashes were compared");
}

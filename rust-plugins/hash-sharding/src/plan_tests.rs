//! SQL text in, shard out: the analysis and the plan together, on trees of PostgreSQL's own grammar (tests/trees.jsonl).

mod evasions;
mod joins;
mod keys;
mod parameters;
mod statements;

use crate::config::{Config, Sharding};
use crate::hash::{row_hash_of_bytes, row_hash_of_integer, shard_of};
use crate::plan::{Answer, Plan};
use crate::source::{Argument, Arguments};
use parse_tree::testing::Trees;

static TREES: Trees = Trees::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees.jsonl"));

/// So many that two keys of the tests do not meet on one shard by chance.
const SHARDS: u32 = 100_003;

const CONFIG: &str = r#"{
    "tables": [
        {"table": "users", "column": "id", "type": "bigint", "columns": ["id", "email", "created_at"]},
        {"table": "posts", "column": "user_id", "type": "bigint"},
        {"table": "app.orgs", "column": "id", "type": "uuid"},
        {"table": "docs", "column": "name", "type": "text"},
        {"table": "codes", "column": "code", "type": "varchar(3)"},
        {"table": "small", "column": "k", "type": "smallint"},
        {"table": "blobs", "column": "b", "type": "bytea"},
        {"table": "\"Odd\"", "column": "\"Id\"", "type": "integer"}
    ],
    "reference_tables": ["countries"]
}"#;

fn sharding(json: &str) -> Sharding {
    Sharding::new(serde_json::from_str::<Config>(json).unwrap()).unwrap()
}

fn plan_with(sharding: &Sharding, sql: &str) -> Plan {
    Plan::of_tree(sharding, &TREES.get(sql)).unwrap()
}

/// What a client binds: format, type OID and bytes of each parameter.
#[derive(Clone, Default)]
struct Bound(Vec<(bool, u32, Option<Vec<u8>>)>);

impl Bound {
    fn text(mut self, value: &str) -> Self {
        self.0.push((false, 0, Some(value.as_bytes().to_vec())));
        self
    }

    fn typed(mut self, oid: u32, value: &str) -> Self {
        self.0.push((false, oid, Some(value.as_bytes().to_vec())));
        self
    }

    fn binary(mut self, oid: u32, value: &[u8]) -> Self {
        self.0.push((true, oid, Some(value.to_vec())));
        self
    }

    fn null(mut self) -> Self {
        self.0.push((false, 0, None));
        self
    }
}

impl Arguments for Bound {
    fn argument(&self, index: u32) -> Option<Argument<'_>> {
        let (binary, type_oid, bytes) = self.0.get(index as usize)?;
        Some(Argument { bytes: bytes.as_deref(), binary: *binary, type_oid: *type_oid })
    }

    fn text_is_stored_as_sent(&self) -> bool {
        true
    }
}

fn bound() -> Bound {
    Bound::default()
}

fn route(sql: &str, arguments: &impl Arguments) -> Answer {
    let sharding = sharding(CONFIG);
    plan_with(&sharding, sql).route(&sharding, arguments, SHARDS)
}

/// The shard of an integer key.
fn int(key: i64) -> Answer {
    Answer::Shard(shard_of(row_hash_of_integer(key), SHARDS))
}

/// The shard of a key that is hashed as bytes.
fn bytes(key: impl AsRef<[u8]>) -> Answer {
    Answer::Shard(shard_of(row_hash_of_bytes(key.as_ref()), SHARDS))
}

#[track_caller]
fn goes(sql: &str, expected: Answer) {
    assert_eq!(route(sql, &bound()), expected, "{sql}");
}

/// With `$1` = 5 and `$2` = 9, both left to the server.
#[track_caller]
fn goes_bound(sql: &str, expected: Answer) {
    assert_eq!(route(sql, &bound().text("5").text("9")), expected, "{sql}");
}

#[track_caller]
fn refusal(sql: &str, arguments: &impl Arguments) -> crate::refusal::Refusal {
    match route(sql, arguments) {
        Answer::Refuse(refusal) => *refusal,
        other => panic!("{sql} should be refused, and is {other:?}"),
    }
}

#[track_caller]
fn refused(sql: &str, sqlstate: &str, words: &str) {
    let refusal = refusal(sql, &bound().text("5").text("9"));
    assert_eq!(refusal.sqlstate, sqlstate, "{sql}: {refusal:?}");
    assert!(format!("{refusal:?}").contains(words), "{sql}: {refusal:?}");
}

/// A key is wanted and not found.
#[track_caller]
fn missing(sql: &str) {
    refused(sql, "0A000", "is not in the statement");
}

/// The statement means a table as a whole.
#[track_caller]
fn whole(sql: &str) {
    refused(sql, "0A000", "means all of it");
}

#[track_caller]
fn several(sql: &str) {
    refused(sql, "0A000", "needs rows of several shards");
}

//! What an answer costs, frames and all: `cargo run --release --example bench`. Under a microsecond is the budget.

use hash_sharding::HashSharding;
use parse_tree::testing::Trees;
use pooler_plugin::oid;
use pooler_plugin::testing::{Request, Runner};
use std::time::Instant;

static TREES: Trees = Trees::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees.jsonl"));

const ROUNDS: u32 = 1_000_000;

fn main() {
    let config = r#"{"tables": [{"table": "users", "column": "id", "type": "bigint"}, {"table": "posts", "column": "user_id", "type": "bigint"}]}"#;
    let mut plugin = Runner::start::<HashSharding>(config).expect("the plugin starts");
    // The runner clears the whole frame for each answer.
    plugin.set_capacity(512);
    let request = |sql: &str| Request::new(sql).parse_tree(TREES.get(sql).to_string()).shards(2).extended();
    for (name, request) in [
        ("no sharded table", request("SELECT 1")),
        ("literal", request("SELECT * FROM users WHERE id = 5")),
        ("text parameter", request("SELECT * FROM users WHERE id = $1").text("123456789")),
        ("binary parameter", request("SELECT * FROM users WHERE id = $1").binary(oid::INT8, 5_i64.to_be_bytes())),
        ("join", request("SELECT * FROM users u JOIN posts p ON p.user_id = u.id WHERE u.id = $1").text("5")),
        ("array of 3", request("SELECT * FROM users WHERE id = ANY ($1)").text("{5,5,5}")),
    ] {
        plugin.learn(&request).expect("the statement is learned");
        let frame = request.frame();
        let started = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(plugin.route_frame(&frame)).expect("the statement is routed");
        }
        println!("{name}: {:.0} ns", started.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
}

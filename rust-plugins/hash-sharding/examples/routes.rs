//! What the plugin answers to statements, to be held against what PostgreSQL finds on that shard and on all of them.
//!
//!     cargo run --example routes -- '<config as JSON>' <number of shards> < statements
//!
//! Reads one JSON object a line, `{"sql": …, "tree": …, "parameters": [text or null, …]}` with libpg_query's tree; writes
//! `{"shard": n}`, `{"skip": true}` or `{"error": message, "sqlstate": code}`.

use hash_sharding::HashSharding;
use pooler_plugin::testing::{Request, Runner};
use pooler_plugin::{Output, Shard};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead as _, Write as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(config), Some(shards)) = (arguments.next(), arguments.next()) else {
        return Err("usage: routes <config as JSON> <number of shards> < statements".into());
    };
    let shards: u32 = shards.parse()?;
    let mut plugin = Runner::start::<HashSharding>(&config).map_err(|failure| format!("{failure:?}"))?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let statement: Value = serde_json::from_str(&line?)?;
        let sql = statement["sql"].as_str().ok_or("a statement without sql")?;
        let mut request = Request::new(sql).parse_tree(statement["tree"].to_string()).shards(shards).extended();
        for parameter in statement["parameters"].as_array().into_iter().flatten() {
            request = match parameter.as_str() {
                Some(text) => request.text(text),
                None => request.null(),
            };
        }
        let answer = match plugin.route(&request) {
            Ok(Output::Skip) => json!({"skip": true}),
            Ok(Output::Forward(route)) => match route.shard() {
                Shard::Number(shard) => json!({"shard": shard}),
                other => json!({"error": format!("{other:?}"), "sqlstate": ""}),
            },
            Ok(Output::Error(refusal)) => json!({"error": refusal.message(), "sqlstate": refusal.sqlstate()}),
            other => json!({"error": format!("{other:?}"), "sqlstate": ""}),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

//! The plugin as the host runs it: frames in, verdicts out.

use hash_sharding::HashSharding;
use parse_tree::testing::Trees;
use pooler_plugin::oid;
use pooler_plugin::testing::{Request, Runner};
use pooler_plugin::{Output, Refusal, Route, Shard, StatementKind};

static TREES: Trees = Trees::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees.jsonl"));

const CONFIG: &str = r#"{
    "tables": [
        {"table": "users", "column": "id", "type": "bigint"},
        {"table": "docs", "column": "name", "type": "text"}
    ]
}"#;

fn plugin() -> Runner {
    Runner::start::<HashSharding>(CONFIG).unwrap()
}

/// A statement that was parsed, on a cluster of two shards.
fn request(sql: &str) -> Request {
    Request::new(sql).parse_tree(TREES.get(sql).to_string()).shards(2)
}

fn refusal(output: Output) -> Refusal {
    match output {
        Output::Error(refusal) => *refusal,
        other => panic!("{other:?} is no refusal"),
    }
}

const BY_ID: &str = "SELECT * FROM users WHERE id = $1";

#[test]
fn only_the_shard_is_decided() {
    let mut plugin = plugin();
    // Of two shards, 5 belongs on the second and 1 on the first: SELECT satisfies_hash_partition(…, 2, 1, 5::bigint).
    for (key, shard) in [("5", 1), ("1", 0)] {
        let answer = plugin.route(&request(BY_ID).extended().text(key)).unwrap();
        assert_eq!(answer, Output::forward(Route::only_shard(shard)), "{key}");
    }
    let binary = request(BY_ID).extended().binary(oid::INT8, 5_i64.to_be_bytes());
    assert_eq!(plugin.route(&binary), Ok(Output::forward(Route::only_shard(1))));
}

#[test]
fn a_driver_that_prepares_is_never_refused() {
    let mut plugin = plugin();
    for sql in [BY_ID, "SELECT * FROM users", "TRUNCATE users"] {
        assert_eq!(plugin.route(&request(sql).extended().prepare_only()), Ok(Output::skip()), "{sql}");
        plugin.forget(&request(sql));
    }
}

#[test]
fn every_statement_of_a_transaction_has_its_shard() {
    let mut plugin = plugin();
    let later = |sql: &str| request(sql).in_transaction().later_statement().decided_shard(Shard::Number(1));
    // The host compares it with where the transaction is.
    assert_eq!(plugin.route(&later(BY_ID).extended().text("1")), Ok(Output::forward(Route::only_shard(0))));
    assert_eq!(refusal(plugin.route(&later("SELECT * FROM users")).unwrap()).sqlstate(), "0A000");
    assert_eq!(plugin.route(&later("SELECT 1")), Ok(Output::skip()));
}

#[test]
fn what_may_go_anywhere_stays_where_the_transaction_is() {
    let mut plugin = plugin();
    let nothing = "SELECT * FROM users WHERE false";
    assert_eq!(plugin.route(&request(nothing)), Ok(Output::forward(Route::only_shard(0))));
    assert_eq!(plugin.route(&request(nothing).in_transaction().decided_shard(Shard::Number(1))), Ok(Output::skip()));
}

#[test]
fn a_refusal_says_which_column_of_which_table_is_wanted_and_how() {
    let refusal = format!("{:?}", refusal(plugin().route(&request("SELECT * FROM users")).unwrap()));
    for words in ["0A000", "sharding key id of table users", "users.id = $1", "on_missing_key"] {
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[test]
fn statements_that_were_not_read_are_refused_when_they_may_mean_a_sharded_table() {
    let mut plugin = plugin();
    let wrong = Request::new("SELEC * FROM users").syntax_error("syntax error at or near \"SELEC\"").shards(2);
    let refused = refusal(plugin.route(&wrong).unwrap());
    assert_eq!((refused.sqlstate(), refused.message()), ("42601", "syntax error at or near \"SELEC\""));
    assert_eq!(plugin.route(&Request::new("SELEC 1").syntax_error("syntax error").shards(2)), Ok(Output::skip()));
    assert_eq!(refusal(plugin.route(&Request::new("SELECT * FROM users").shards(2)).unwrap()).sqlstate(), "0A000");
    assert_eq!(plugin.route(&Request::new("SELECT * FROM accounts").shards(2)), Ok(Output::skip()));
    let empty = Request::new("-- users").parsed().kind(StatementKind::Empty).shards(2);
    assert_eq!(plugin.route(&empty), Ok(Output::skip()));
}

#[test]
fn a_tree_that_is_too_deep_is_refused_before_it_is_looked_at() {
    let sql = "SELECT * FROM users -- deep";
    let deep = format!(
        r#"{{"stmts":[{{"stmt":{{"SelectStmt":{}{}}}}}]}}"#,
        r#"{"a":"#.repeat(5_000),
        "1".to_owned() + &"}".repeat(5_000)
    );
    let refused = refusal(plugin().route(&Request::new(sql).parse_tree(deep).shards(2)).unwrap());
    assert_eq!(refused.sqlstate(), "54001");
}

#[test]
fn text_is_hashed_in_the_encoding_of_the_server() {
    let mut plugin = plugin();
    let by_name = |encoding: &str, name: &[u8]| {
        request("SELECT * FROM docs WHERE name = $1").client_encoding(encoding).extended().binary(oid::TEXT, name)
    };
    let utf8 = plugin.route(&by_name("UTF8", "ñ".as_bytes())).unwrap();
    assert!(matches!(utf8, Output::Forward(_)), "{utf8:?}");
    let latin = refusal(plugin.route(&by_name("LATIN1", b"\xf1")).unwrap());
    assert!(format!("{latin:?}").contains("client_encoding = UTF8"), "{latin:?}");
    let ascii = plugin.route(&by_name("LATIN1", b"n")).unwrap();
    assert!(matches!(ascii, Output::Forward(_)), "{ascii:?}");
}

#[test]
fn a_wrong_configuration_stops_the_start_with_its_key() {
    for (config, words) in [
        (
            r#"{"tables": [{"table": "users", "column": "id", "type": "numeric"}]}"#,
            ["tables[0].type", "numeric", "bigint"],
        ),
        (r#"{"tables": [{"table": "users", "column": "id"}]}"#, ["tables[0]", "missing field", "type"]),
        (r#"{"on_missing_key": "guess"}"#, ["on_missing_key", "guess", "first"]),
        (r#"{"table": []}"#, ["table", "unknown field", "reference_tables"]),
    ] {
        let failure = format!("{:?}", Runner::start::<HashSharding>(config).err());
        assert!(words.iter().all(|word| failure.contains(word)), "{failure}");
    }
}

//! Tables of SQL and verdicts, through the entry points that the host uses, on trees of PostgreSQL's own grammar.

mod config_schema;
mod deny_functions;
mod deny_statements;
mod deny_tables;
mod evasion;
mod json_schema;
mod plugin;
mod require_predicate;
mod require_value;

use crate::Validator;
use parse_tree::testing::Trees;
use pooler_plugin::testing::{Request, Runner};
use pooler_plugin::{Output, Refusal};
use serde_json::{Value, json};

static TREES: Trees = Trees::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees.jsonl"));

fn start(config: &Value) -> Runner {
    Runner::start::<Validator>(&config.to_string()).unwrap()
}

fn with_rule(rule: &Value) -> Runner {
    start(&json!({"rules": [rule]}))
}

fn statement(sql: &str) -> Request {
    Request::new(sql).parse_tree(TREES.get(sql).to_string())
}

/// What the client is told; `None` when the statement may run.
fn refusal(plugin: &mut Runner, request: &Request) -> Option<Refusal> {
    match plugin.route(request).unwrap() {
        Output::Skip => None,
        Output::Error(refusal) => Some(*refusal),
        other => panic!("{other:?}"),
    }
}

fn allows(plugin: &mut Runner, texts: &[&str]) {
    let wrong: Vec<_> =
        texts.iter().filter_map(|sql| refusal(plugin, &statement(sql)).map(|refusal| (sql, refusal))).collect();
    assert!(wrong.is_empty(), "should be allowed: {wrong:#?}");
}

fn refuses(plugin: &mut Runner, texts: &[&str]) {
    let wrong: Vec<_> = texts.iter().filter(|sql| refusal(plugin, &statement(sql)).is_none()).collect();
    assert!(wrong.is_empty(), "should be refused: {wrong:#?}");
}

fn refuses_with(plugin: &mut Runner, words: &str, texts: &[&str]) {
    for sql in texts {
        let refusal = refusal(plugin, &statement(sql)).unwrap_or_else(|| panic!("should be refused: {sql}"));
        let text = format!("{refusal:?}").replace("\\\"", "\"");
        assert!(text.contains(words), "{sql}: {text:?} lacks {words:?}");
    }
}

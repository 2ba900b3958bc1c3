//! Real parse trees for tests, without the host: from a fixture file that the host's own parser wrote.
//!
//! `POOLER_UPDATE_TREES=1 cargo test` adds what is missing (it needs Node and the repository's dependencies). Delete the
//! file first to write all of it anew, for example after an update of the parser.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The trees of one fixture file, one line `{"sql":…,"tree":…}` for each text.
#[derive(Debug)]
pub struct Trees {
    path: &'static str,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    trees: BTreeMap<String, Value>,
    parser: Option<Parser>,
}

impl Trees {
    pub const fn new(path: &'static str) -> Self {
        Trees { path, state: Mutex::new(None) }
    }

    /// The tree of a text that PostgreSQL's grammar accepts.
    ///
    /// # Panics
    /// When the file does not have it and may not be updated.
    pub fn get(&self, sql: &str) -> Value {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.get_or_insert_with(|| State { trees: read(self.path), parser: None });
        if let Some(tree) = state.trees.get(sql) {
            return tree.clone();
        }
        assert!(
            std::env::var_os("POOLER_UPDATE_TREES").is_some(),
            "no parse tree of {sql:?} in {}: run POOLER_UPDATE_TREES=1 cargo test",
            self.path
        );
        let tree = state.parser.get_or_insert_with(Parser::start).parse(sql);
        state.trees.insert(sql.to_owned(), tree.clone());
        write(self.path, &state.trees);
        tree
    }
}

fn read(path: &str) -> BTreeMap<String, Value> {
    fs::read_to_string(path).unwrap_or_default().lines().map(entry).collect()
}

fn write(path: &str, trees: &BTreeMap<String, Value>) {
    let mut text = String::new();
    for (sql, tree) in trees {
        text += &serde_json::json!({"sql": sql, "tree": tree}).to_string();
        text.push('\n');
    }
    fs::write(path, text).expect("the fixture file can be written");
}

fn entry(line: &str) -> (String, Value) {
    let mut entry: Value = serde_json::from_str(line).expect("a line of the fixture file is JSON");
    let sql = entry["sql"].as_str().expect("a line of the fixture file has its SQL").to_owned();
    (sql, entry["tree"].take())
}

/// A Node process that parses; it ends when its input does.
#[derive(Debug)]
struct Parser {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Parser {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/parse.mjs");
        let mut command = Command::new("node");
        let mut process =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node can be run");
        let input = process.stdin.take().expect("stdin is a pipe");
        let output = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        Parser { _process: process, input, output }
    }

    fn parse(&mut self, sql: &str) -> Value {
        writeln!(self.input, "{}", Value::from(sql)).expect("node reads its input");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("node answers");
        assert!(!line.is_empty(), "PostgreSQL's grammar refuses {sql:?}");
        entry(&line).1
    }
}

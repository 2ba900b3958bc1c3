//! A plugin's life: configuration, learning, answering, forgetting, and panics in every one of them.

use pooler_plugin::testing::{Exports, Failure, Request, Runner};
use pooler_plugin::{
    Column, Error, Host, Input, NewParameter, NoConfig, Output, PARSE_TREE_DEPTH, Parameter, Plugin, Query, Refusal,
    Rewrite, Role, Route, Rows, Shard, Value, oid, sys,
};
use serde::Deserialize;
use std::cell::Cell;
use std::rc::Rc;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    tables: Vec<Table>,
    #[serde(default)]
    answer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // read for its errors
struct Table {
    name: String,
    r#type: Type,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Bigint,
    Text,
}

thread_local! {
    /// How many learned values are alive.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

struct Learned(String);

impl Learned {
    fn new(text: String) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Learned(text)
    }
}

impl Drop for Learned {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

/// Does what the SQL says.
struct Puppet {
    config: Config,
    calls: u64,
    /// So that the type is neither Send nor Sync: hooks come from one thread.
    _one_thread: Rc<()>,
}

impl Plugin for Puppet {
    type Config = Config;
    type Statement = Learned;

    fn new(host: &Host<'_>, config: Config) -> Result<Self, Error> {
        match config.answer.as_deref() {
            Some("panic") => panic!("no state today"),
            Some("refuse") => Err(Error::new(format!("{} cannot be made on worker {}", host.name(), host.worker()))),
            Some("describe") => {
                Err(Error::new(format!("{} {} {}", host.grammar(), host.abi_minor(), host.config_json())))
            }
            _ => Ok(Puppet { config, calls: 0, _one_thread: Rc::new(()) }),
        }
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Learned, Error> {
        let sql = query.as_str().ok_or("the statement is not UTF-8")?;
        assert!(!sql.contains("learn-panic"), "cannot learn this");
        if sql.contains("learn-fail") {
            return Err(Error::new("not today"));
        }
        Ok(Learned::new(sql.to_owned()))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Learned>) -> Output {
        self.calls += 1;
        let query = input.query().expect("there is a statement");
        let sql = query.as_str_lossy();
        match sql.as_ref() {
            "learned" => Output::failed(format!("{:?}", statement.map(|learned| &learned.0))),
            "count" => Output::failed(format!("{} {}", self.calls, self.config.tables.len())),
            "panic text" => panic!("a text"),
            "panic formatted" => panic!("a {}", "String"),
            "panic other" => std::panic::panic_any(42),
            "panic in drop" => {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("dropped");
                    }
                }
                std::panic::panic_any(Bomb)
            }
            "overflow" => Output::failed("ä".repeat(100_000)),
            "echo" => {
                let echoed = query.parameters().map(NewParameter::from);
                Output::rewrite(Rewrite::new("SELECT $1").parameters(echoed))
            }
            "bad shard" => Output::forward(Route::only_shard(u32::MAX)),
            "bad sqlstate" => Output::error(Refusal::new("42p01", "no")),
            "bad row" => Output::intercept(Rows::new([Column::text("a", oid::TEXT)]).row([])),
            "bad format" => Output::intercept(Rows::new([Column::binary("a", oid::INT4)]).row(["1".into()])),
            "no columns" => Output::intercept(Rows::new([]).row([])),
            _ => answer(&input),
        }
    }
}

/// A plugin's own functions can return results: `?` on what can fail, and what is wrong becomes the answer.
fn answer(input: &Input<'_>) -> Output {
    fn key(parameter: Option<Parameter<'_>>) -> Result<Route, Error> {
        let key: i64 = parameter.ok_or("there is no key")?.decode()?;
        Ok(Route::only_shard(u32::try_from(key).map_err(|_| Error::new("the key is negative"))?))
    }
    key(input.query().and_then(|query| query.parameter(0))).into()
}

fn start(config: &str) -> Result<Runner, Failure> {
    Runner::start::<Puppet>(config)
}

fn runner() -> Runner {
    start("{}").expect("it starts")
}

fn message(result: Result<Output, Failure>, status: sys::Status) -> String {
    let failure = result.expect_err("it fails");
    assert_eq!(failure.status, status, "{failure}");
    failure.message
}

#[test]
fn configuration_errors_name_the_field_and_what_is_allowed() {
    let error = |config: &str| {
        let failure = start(config).expect_err("the configuration is wrong");
        assert_eq!(failure.status, sys::FAILED);
        failure.message
    };
    assert_eq!(error(r#"{"speed": 1}"#), "config: speed: unknown field `speed`, expected `tables` or `answer`");
    assert_eq!(
        error(r#"{"tables": [{"name": "a", "type": "text"}, {"name": "b", "type": "float"}]}"#),
        "config: tables[1].type: unknown variant `float`, expected `bigint` or `text`"
    );
    assert_eq!(error(r#"{"tables": [{"type": "text"}]}"#), "config: tables[0]: missing field `name`");
    assert_eq!(error(r#"{"tables": 7}"#), "config: tables: invalid type: integer `7`, expected a sequence");
    assert!(error("{").starts_with("config is not valid JSON"));
}

#[test]
fn a_plugin_that_refuses_its_configuration_says_so_in_its_own_words() {
    let failure = start(r#"{"answer": "refuse"}"#).expect_err("it refuses");
    assert_eq!(failure.message, "plugin-under-test cannot be made on worker 0");
    let failure = start(r#"{"answer": "describe"}"#).expect_err("it refuses");
    assert_eq!(failure.message, r#"17 1 {"answer": "describe"}"#);
}

#[test]
fn a_panic_while_it_is_made_is_a_status_and_a_message() {
    let failure = start(r#"{"answer": "panic"}"#).expect_err("it panics");
    assert_eq!(failure.status, sys::PANICKED);
    assert!(failure.message.starts_with("no state today (at "), "{failure}");
}

#[test]
fn state_lives_from_call_to_call() {
    let mut plugin = start(r#"{"tables": [{"name": "a", "type": "bigint"}]}"#).expect("it starts");
    assert_eq!(message(plugin.route(&Request::new("count")), sys::FAILED), "1 1");
    assert_eq!(message(plugin.route(&Request::new("count")), sys::FAILED), "2 1");
}

#[test]
fn what_was_learned_is_handed_out_until_it_is_forgotten() {
    let mut plugin = runner();
    let request = Request::new("learned").id(1);
    assert_eq!(message(plugin.route(&request), sys::FAILED), r#"Some("learned")"#);
    assert_eq!(ALIVE.get(), 1);
    for id in 2..=1000 {
        plugin.learn(&Request::new("other").id(id)).expect("it learns");
    }
    assert_eq!(message(plugin.route(&request), sys::FAILED), r#"Some("learned")"#);
    plugin.learn(&Request::new("again").id(1)).expect("it learns");
    assert_eq!((ALIVE.get(), message(plugin.route(&request), sys::FAILED)), (1000, r#"Some("again")"#.into()));
    plugin.forget(&request);
    assert_eq!((ALIVE.get(), message(plugin.route_frame(&request.frame()), sys::FAILED)), (999, "None".into()));
    drop(plugin);
    assert_eq!(ALIVE.get(), 0, "destroy drops what was learned");
}

#[test]
fn a_statement_that_cannot_be_learned_fails_and_is_not_remembered() {
    let mut plugin = runner();
    plugin.learn(&Request::new("fine").id(1)).expect("it learns");
    assert_eq!(message(plugin.route(&Request::new("learn-fail").id(2)), sys::FAILED), "not today");
    assert!(message(plugin.route(&Request::new("learn-panic").id(3)), sys::PANICKED).starts_with("cannot learn this"));
    assert_eq!(message(plugin.route(&Request::new(*b"\xff").id(4)), sys::FAILED), "the statement is not UTF-8");
    let failure = plugin.learn(&Request::new("learn-fail").id(1)).expect_err("it fails");
    assert_eq!(failure.message, "not today");
    let nothing = plugin.route_frame(&Request::new("learned").id(1).frame());
    assert_eq!(message(nothing, sys::FAILED), "None", "a failure leaves nothing of what was learned before");
}

#[test]
fn panics_are_caught_whatever_they_carry() {
    let mut plugin = runner();
    let mut ask = |sql: &str| message(plugin.route(&Request::new(sql)), sys::PANICKED);
    assert!(ask("panic text").starts_with("a text (at "));
    assert!(ask("panic formatted").starts_with("a String (at "));
    assert!(ask("panic other").starts_with("panicked with a value that is not text (at "));
    assert!(ask("panic in drop").starts_with("panicked with a value that is not text (at "));
    assert_eq!(message(plugin.route(&Request::new("count")), sys::FAILED), "5 0", "the state goes on");
}

#[test]
fn errors_become_answers() {
    let mut plugin = runner();
    let mut ask = |request: Request| plugin.route(&request);
    assert_eq!(ask(Request::new("key").text("3")), Ok(Output::forward(Route::only_shard(3))));
    assert_eq!(message(ask(Request::new("key")), sys::FAILED), "there is no key");
    assert_eq!(message(ask(Request::new("key").text("x")), sys::FAILED), "invalid bigint: not an integer");
    let null = message(ask(Request::new("key").null()), sys::FAILED);
    assert_eq!(null, "NULL where a value of type bigint was expected");
}

#[test]
fn answers_that_cannot_be_are_failures_with_the_reason() {
    let mut plugin = runner();
    let mut ask = |sql: &str| message(plugin.route(&Request::new(sql)), sys::FAILED);
    assert_eq!(ask("bad shard"), "the plugin gave a shard number that cannot be");
    assert!(ask("bad sqlstate").contains("\"42p01\", which is not five of 0-9 and A-Z; its message was: no"));
    assert_eq!(ask("bad row"), "the plugin intercepted with 0 values in row 0, where there are 1 columns");
    assert!(ask("bad format").contains("not in the format of column \"a\", Binary"));
    assert_eq!(ask("no columns"), "the plugin intercepted with rows but without columns");
}

#[test]
fn a_failures_message_is_cut_to_what_fits() {
    let mut plugin = runner();
    plugin.set_capacity(1001);
    let text = message(plugin.route(&Request::new("overflow")), sys::FAILED);
    assert!(text.chars().all(|c| c == 'ä') && !text.is_empty() && text.len() < 1001);
    plugin.set_capacity(0); // not even one byte beside the struct
    assert_eq!(message(plugin.route(&Request::new("overflow")), sys::FAILED), "");
}

#[test]
fn parameters_go_through_a_rewrite_unchanged() {
    let request = Request::new("echo").text("é").binary(oid::INT8, [0; 8]).null().text("");
    let expected = [
        NewParameter::text("é"),
        NewParameter::binary(oid::INT8, [0; 8]),
        NewParameter::null(),
        NewParameter::text(""),
    ];
    let rewrite = Rewrite::new("SELECT $1").parameters(expected);
    assert_eq!(runner().route(&request), Ok(Output::rewrite(rewrite)));
}

/// Answers whatever it was made with: every verdict goes through a real frame and comes back the same.
struct Echo;

thread_local! {
    static ANSWER: Cell<Output> = const { Cell::new(Output::Skip) };
}

impl Plugin for Echo {
    type Config = NoConfig;
    type Statement = ();

    fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
        Ok(Echo)
    }

    fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn route(&mut self, _: Input<'_>, _: Option<&()>) -> Output {
        ANSWER.take()
    }
}

fn verdicts() -> Vec<Output> {
    let mut verdicts = vec![Output::skip()];
    for role in [Role::Open, Role::Write, Role::Read] {
        for shard in [Shard::Open, Shard::All, Shard::Number(0), Shard::Number(u32::MAX - 2)] {
            verdicts.push(Output::forward(Route::new(role, shard)));
        }
    }
    verdicts.push(Output::error(Refusal::new("42501", "")));
    verdicts.push(Output::error(Refusal::new("0A000", "message").detail("").hint("hint ä")));
    verdicts.push(Output::rewrite(""));
    verdicts.push(Output::rewrite(String::from("SELECT 'é'")));
    verdicts.push(Output::rewrite(Rewrite::new(*b"SELECT '\xe9'").parameters([])));
    let parameters = [NewParameter::text("1").type_oid(oid::INT4), NewParameter::null(), NewParameter::binary(17, "")];
    verdicts.push(Output::rewrite(Rewrite::new("SELECT $1, $2, $3").parameters(parameters)));
    verdicts.push(Output::intercept(Rows::command("SET")));
    verdicts.push(Output::intercept(Rows::new([]).tag("SELECT 0")));
    let columns = [
        Column::text("", oid::TEXT).type_modifier(42),
        Column::binary("ß", oid::INT8),
        Column::text("own", 99_999).type_size(24),
    ];
    verdicts.push(Output::intercept(Rows::new(columns.clone())));
    let rows = Rows::new(columns)
        .row(["".into(), Value::binary(7_i64.to_be_bytes()), Value::null()])
        .row([Value::null(), Value::null(), true.into()])
        .row(["x".into(), Value::binary([]), None::<i32>.into()]);
    verdicts.push(Output::intercept(rows.tag("FETCH 3")));
    verdicts
}

#[test]
fn every_verdict_arrives_as_it_was_given_whatever_the_space() {
    for verdict in verdicts() {
        let mut plugin = Runner::start::<Echo>("{}").expect("it starts");
        let mut fetched = 0;
        for extra in (0..400).rev() {
            plugin.set_capacity(size_of::<sys::Output>() + extra);
            ANSWER.set(verdict.clone());
            assert_eq!(plugin.route(&Request::new("x")).as_ref(), Ok(&verdict), "with {extra} bytes of space");
            fetched = plugin.fetches();
        }
        let carries = !matches!(verdict, Output::Skip | Output::Forward(_));
        let texts = carries && verdict != Output::rewrite("");
        assert_eq!(fetched > 0, texts, "an answer that does not fit is fetched: {verdict:?}");
    }
}

#[test]
fn an_answer_that_was_not_fetched_is_gone_with_the_next_question() {
    let exports = Exports::of::<Echo>();
    let mut plugin = Runner::create(exports, "{}").expect("it starts");
    // A host that never fetches: there is nothing to fetch with.
    let mut deaf = Runner::create(Exports { fetch_output: None, ..exports }, "{}").expect("it starts");
    deaf.set_capacity(0);
    ANSWER.set(Output::rewrite("SELECT 1"));
    assert_eq!(message(deaf.route(&Request::new("x")), sys::NEEDS_SPACE), "");
    ANSWER.set(Output::Skip);
    assert_eq!(deaf.route(&Request::new("x")), Ok(Output::Skip));
    ANSWER.set(Output::Skip);
    assert_eq!(plugin.route(&Request::new("x")), Ok(Output::Skip));
}

/// Reads the parse tree, as a plugin with PARSE_TREE would.
struct Trees;

impl Plugin for Trees {
    type Config = NoConfig;
    type Statement = ();

    fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
        Ok(Trees)
    }

    fn learn(&mut self, query: Query<'_>) -> Result<(), Error> {
        query.parse_tree_value()?.ok_or("there is no tree")?;
        Ok(())
    }

    fn route(&mut self, _: Input<'_>, _: Option<&()>) -> Output {
        Output::skip()
    }
}

fn nested(levels: usize) -> String {
    format!("{}{}", r#"{"a":"#.repeat(levels - 1) + "{", "}".repeat(levels))
}

#[test]
fn parse_trees_are_read_to_a_depth_that_the_stack_bears() {
    let mut plugin = Runner::start::<Trees>("{}").expect("it starts");
    let mut learn = |tree: String| plugin.learn(&Request::new("SELECT 1").parse_tree(tree));
    assert_eq!(learn(nested(PARSE_TREE_DEPTH)), Ok(()));
    let failure = learn(nested(PARSE_TREE_DEPTH + 1)).expect_err("it is too deep");
    assert!(failure.message.contains("nested too deeply"), "{failure}");
    let deep = "[".repeat(1_000_000);
    assert!(learn(deep).expect_err("it is too deep").message.contains("nested too deeply"));
    assert_eq!(learn(format!(r#"{{"a": "{}\"{{"}}"#, "[".repeat(5_000))), Ok(()), "brackets in texts do not count");
    assert!(learn("{".to_owned()).expect_err("no JSON").message.starts_with("the parse tree is not valid JSON"));
    assert!(learn("{} x".to_owned()).is_err());
    let failure = plugin.learn(&Request::new("SELEKT")).expect_err("there is none");
    assert_eq!(failure.message, "there is no tree");
}

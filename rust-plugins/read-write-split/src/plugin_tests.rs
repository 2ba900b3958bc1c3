//! The plugin as the host asks it: sessions, transactions, and the role that comes out.

use crate::ReadWriteSplit;
use crate::access_tests::TREES;
use pooler_plugin::testing::{Request, Runner};
use pooler_plugin::{Output, Role, Route, Shard, StatementKind};

fn start(config: &str) -> Runner {
    Runner::start::<ReadWriteSplit>(config).unwrap()
}

fn statement(sql: &str) -> Request {
    Request::new(sql).parse_tree(TREES.get(sql).to_string())
}

fn replica() -> Output {
    Output::forward(Route::read_any())
}

fn primary() -> Output {
    Output::forward(Route::write_any())
}

const READ: &str = "select * from users where id = $1";
const UNKNOWN: &str = "SELECT my_function(1)";
const WRITE: &str = "SELECT nextval('s')";
const OPEN: &str = "SET statement_timeout = 0";

#[test]
fn a_statement_of_its_own_goes_where_it_belongs_and_leaves_the_shard_open() {
    let mut plugin = start("{}");
    assert_eq!(plugin.route(&statement(READ).text("1")), Ok(replica()));
    assert_eq!(plugin.route(&statement(UNKNOWN)), Ok(primary()));
    assert_eq!(plugin.route(&statement(WRITE)), Ok(primary()));
    assert_eq!(plugin.route(&statement(OPEN)), Ok(Output::skip()));
}

#[test]
fn a_transaction_reads_from_replicas_only_when_it_is_read_only() {
    let mut plugin = start("{}");
    assert_eq!(plugin.route(&statement(READ).in_transaction()), Ok(primary()));
    assert_eq!(plugin.route(&statement(READ).read_only()), Ok(replica()));
    assert_eq!(plugin.route(&statement(UNKNOWN).read_only()), Ok(replica()));
    assert_eq!(plugin.route(&statement(WRITE).read_only()), Ok(primary()));
    assert_eq!(plugin.route(&statement(OPEN).in_transaction()), Ok(Output::skip()));
}

#[test]
fn what_was_not_parsed_goes_to_the_primary() {
    let mut plugin = start("{}");
    assert_eq!(plugin.route(&Request::new("SELECT 1")), Ok(primary()));
    assert_eq!(plugin.route(&Request::new("SELEC 1").syntax_error("syntax error at or near \"SELEC\"")), Ok(primary()));
    assert_eq!(plugin.route(&Request::new("SELECT 2").parsed()), Ok(primary()));
    assert_eq!(plugin.route(&Request::new("SELECT 3").parse_tree("{\"stmts\":")), Ok(primary()));
}

#[test]
fn a_tree_that_is_nested_too_deeply_goes_to_the_primary() {
    let tree = format!("{}1{}", "{\"a\":[".repeat(50_000), "]}".repeat(50_000));
    assert_eq!(start("{}").route(&Request::new("SELECT deep").parse_tree(tree)), Ok(primary()));
}

#[test]
fn an_empty_statement_says_nothing() {
    assert_eq!(start("{}").route(&Request::new("").kind(StatementKind::Empty)), Ok(Output::skip()));
}

#[test]
fn decided_roles_and_prepare_only_are_left_alone() {
    let mut plugin = start("{}");
    assert_eq!(plugin.route(&statement(WRITE).decided_role(Role::Read)), Ok(Output::skip()));
    assert_eq!(plugin.route(&statement(READ).prepare_only()), Ok(Output::skip()));
    assert_eq!(plugin.route(&statement(READ).decided_shard(Shard::Number(0))), Ok(replica()));
}

#[test]
fn a_session_that_has_just_written_reads_from_the_primary() {
    let mut plugin = start(r#"{"read_your_writes": "5s"}"#);
    assert_eq!(plugin.route(&statement(READ)), Ok(replica()));
    assert_eq!(plugin.route(&statement(READ).ms_since_write(0)), Ok(primary()));
    assert_eq!(plugin.route(&statement(READ).ms_since_write(4_999)), Ok(primary()));
    assert_eq!(plugin.route(&statement(READ).read_only().ms_since_write(4_999)), Ok(primary()));
    assert_eq!(plugin.route(&statement(READ).ms_since_write(5_000)), Ok(replica()));
    assert_eq!(start("{}").route(&statement(READ).ms_since_write(0)), Ok(replica()));
}

#[test]
fn lists_of_the_configuration_count() {
    let mut plugin = start(r#"{"read_only_functions": ["my_function"], "primary_tables": ["users"]}"#);
    assert_eq!(plugin.route(&statement(UNKNOWN)), Ok(replica()));
    assert_eq!(plugin.route(&statement(READ)), Ok(primary()));
}

#[test]
fn a_wrong_configuration_is_refused_with_key_and_reason() {
    for (config, words) in [
        (r#"{"read_your_writes": "soon"}"#, "read_your_writes"),
        (r#"{"readonly_functions": []}"#, "readonly_functions"),
        (r#"{"write_functions": ["a.b.c"]}"#, "write_functions: \"a.b.c\" is neither a name nor schema.name"),
    ] {
        let failure = Runner::start::<ReadWriteSplit>(config).unwrap_err();
        assert!(failure.message.contains(words), "{failure:?}");
    }
}

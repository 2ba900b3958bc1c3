//! Users, databases, the words of refusals, the moments at which the plugin is asked.

use super::{refusal, start, statement, with_rule};
use crate::Validator;
use pooler_plugin::testing::{Request, Runner};
use pooler_plugin::{Output, Role, Shard};
use serde_json::json;

const SQL: &str = "SELECT * FROM secrets";

#[test]
fn rules_hold_for_their_users_and_databases_only() {
    let mut plugin = with_rule(
        &json!({"type": "deny_tables", "tables": ["secrets"], "users": ["intern", "web"], "databases": ["app"]}),
    );
    let asks = |user: &str, database: &str| statement(SQL).user(user).database(database);
    assert!(refusal(&mut plugin, &asks("web", "app")).is_some());
    assert!(refusal(&mut plugin, &asks("Web", "app")).is_none());
    assert!(refusal(&mut plugin, &asks("admin", "app")).is_none());
    assert!(refusal(&mut plugin, &asks("web", "other")).is_none());
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"], "except_users": ["admin"]}));
    assert!(refusal(&mut plugin, &asks("web", "app")).is_some());
    assert!(refusal(&mut plugin, &asks("admin", "app")).is_none());
}

#[test]
fn a_rule_may_speak_for_itself() {
    let mut plugin = with_rule(&json!({
        "type": "deny_tables", "tables": ["secrets"], "name": "no secrets",
        "sqlstate": "P0001", "message": "ask the security team", "hint": "mail security@example.org",
    }));
    let told = refusal(&mut plugin, &statement(SQL)).unwrap();
    assert_eq!((told.sqlstate(), told.message()), ("P0001", "ask the security team"));
    let all = format!("{told:?}");
    assert!(all.contains("mail security@example.org") && all.contains("no secrets"), "{all}");
    assert!(all.contains("may not be used"), "{all}");
}

#[test]
fn a_refusal_is_42501_and_names_the_rule() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"], "name": "no secrets"}));
    let told = refusal(&mut plugin, &statement(SQL)).unwrap();
    assert_eq!((told.sqlstate(), told.message()), ("42501", "table \"secrets\" may not be used"));
    assert!(format!("{told:?}").contains("Rule \\\"no secrets\\\" of the validator plugin refuses it."), "{told:?}");
}

#[test]
fn the_first_rule_that_objects_speaks() {
    let mut plugin = start(&json!({"rules": [
        {"type": "deny_statements", "statements": ["select"], "message": "one", "users": ["nobody"]},
        {"type": "deny_statements", "statements": ["select"], "message": "two"},
        {"type": "deny_tables", "tables": ["secrets"], "message": "three"},
    ]}));
    assert_eq!(refusal(&mut plugin, &statement(SQL)).unwrap().message(), "two");
}

#[test]
fn it_is_asked_at_every_moment() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"]}));
    for request in [
        statement(SQL),
        statement(SQL).in_transaction().later_statement(),
        statement(SQL).read_only(),
        statement(SQL).prepare_only(),
        statement(SQL).extended(),
        statement(SQL).rewritten(),
        statement(SQL).several_statements(),
        statement(SQL).decided_role(Role::Read).decided_shard(Shard::Number(0)),
    ] {
        assert!(refusal(&mut plugin, &request).is_some(), "{request:?}");
    }
}

#[test]
fn what_it_allows_it_leaves_to_others() {
    assert_eq!(start(&json!({})).route(&statement("SELECT 1")), Ok(Output::skip()));
}

#[test]
fn a_statement_that_was_forgotten_is_learned_again() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"]}));
    let request = statement(SQL);
    assert!(refusal(&mut plugin, &request).is_some());
    plugin.forget(&request);
    assert!(refusal(&mut plugin, &request).is_some());
}

#[test]
fn an_execution_of_a_text_that_was_never_shown_is_refused() {
    let mut plugin = start(&json!({}));
    let request = Request::new("SELECT 1").parsed();
    let told = plugin.route_frame(&request.frame()).unwrap();
    assert!(matches!(told, Output::Error(_)), "{told:?}");
}

#[test]
fn a_wrong_configuration_is_refused_with_place_and_reason() {
    for (config, words) in [
        (json!({"rule": []}), "rule"),
        (json!({"rules": [{"type": "deny_table", "tables": ["t"]}]}), "deny_table"),
        (json!({"rules": [{"tables": ["t"]}]}), "type"),
        (json!({"rules": [{"type": "deny_tables", "tables": ["t"], "table": "u"}]}), "table"),
        (json!({"rules": [{"type": "deny_tables", "tables": []}]}), "rules[0].tables: must not be empty"),
        (json!({"rules": [{"type": "deny_tables", "tables": ["a.b.c"]}]}), "rules[0].tables: \"a.b.c\""),
        (json!({"rules": [{"type": "deny_tables", "tables": ["t"], "use": "look"}]}), "look"),
        (json!({"rules": [{"type": "deny_statements", "statements": ["delte"]}]}), "delte"),
        (json!({"rules": [{"type": "deny_statements", "statements": []}]}), "rules[0].statements: must not be empty"),
        (
            json!({"rules": [{"type": "deny_tables", "tables": ["t"], "sqlstate": "oops"}]}),
            "rules[0].sqlstate: \"oops\"",
        ),
        (json!({"rules": [{"type": "deny_tables", "tables": ["t"], "sqlstate": "00000"}]}), "rules[0].sqlstate"),
        (
            json!({"rules": [{"type": "deny_tables", "tables": ["t"], "users": ["a"], "except_users": ["b"]}]}),
            "except_users",
        ),
        (
            json!({"rules": [{"type": "require_predicate", "tables": ["t"], "column": "a.b"}]}),
            "rules[0].column: \"a.b\"",
        ),
        (json!({"rules": [{"type": "require_predicate", "tables": ["t"], "column": "a", "value": "some"}]}), "some"),
        (
            json!({"rules": [{"type": "json_schema", "tables": ["t"], "column": "a", "schema": "{"}]}),
            "rules[0].schema: is not valid JSON",
        ),
        (
            json!({"rules": [{"type": "json_schema", "tables": ["t"], "column": "a", "schema": {"type": "strin"}}]}),
            "rules[0].schema",
        ),
        (
            json!({"rules": [{"type": "json_schema", "tables": ["t"], "column": "a", "schema": {"$ref": "https://example.org/s"}}]}),
            "rules[0].schema",
        ),
        (json!({"search_path": ["$user"]}), "search_path: \"$user\""),
        (json!({"unseen_code": "perhaps"}), "unseen_code"),
    ] {
        let failure = Runner::start::<Validator>(&config.to_string()).unwrap_err();
        assert!(failure.message.contains(words), "{config}: {failure:?}");
    }
}

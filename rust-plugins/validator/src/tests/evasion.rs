//! Attempts to get past the rules.

use super::{allows, refusal, refuses, refuses_with, start, statement, with_rule};
use pooler_plugin::StatementKind;
use pooler_plugin::testing::Request;
use serde_json::json;

#[test]
fn spelling_makes_no_difference() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets", "\"Vault\""]}));
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM/**/secrets",
            "SELECT * FROM -- nothing here\nsecrets",
            "SELECT * /* /* nested */ secrets */ FROM SeCrEtS",
            "SELECT * FROM \"secrets\"",
            r#"SELECT * FROM U&"s\0065crets""#,
            r#"SELECT * FROM U&"s!0065crets" UESCAPE '!'"#,
            r#"SELECT * FROM U&"\+000073ecrets""#,
            r#"SELECT * FROM U&"\0056ault""#,
            "SELECT*FROM secrets;",
            "\u{feff}SELECT * FROM secrets".trim_start_matches('\u{feff}'),
            "SELECT * FROM public . secrets",
            "SELECT * FROM \"public\".\"secrets\"",
        ],
    );
}

#[test]
fn code_that_cannot_be_seen_is_refused_where_rules_are_about_tables() {
    let texts = [
        "DO $$BEGIN DELETE FROM secrets; END$$",
        "DO LANGUAGE plpgsql 'BEGIN END'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT id FROM secrets'",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN END$$",
        "SELECT query_to_xml('SELECT * FROM secrets', true, true, '')",
        "SELECT pg_catalog.table_to_xml('secrets', true, true, '')",
        "SELECT database_to_xml(true, true, '')",
        "SELECT * FROM ts_stat('SELECT v FROM secrets')",
        "SELECT ts_rewrite('a', 'SELECT * FROM secrets')",
        "SELECT * FROM dblink('', 'SELECT * FROM secrets') AS t(a int)",
        "SELECT pg_read_file('base/1/1259')",
        "SELECT public.crosstab('SELECT * FROM secrets')",
    ];
    let rule = json!({"type": "deny_tables", "tables": ["secrets"]});
    let mut plugin = with_rule(&rule);
    refuses(&mut plugin, &texts);
    refuses_with(&mut plugin, "unseen_code = \"allow\"", &texts[..4]);
    refuses_with(&mut plugin, "allow_functions", &texts[4..]);
    allows(&mut plugin, &["SELECT ts_rewrite('a', 'b', 'c')", "CREATE FUNCTION f() RETURNS int RETURN 1"]);

    allows(&mut start(&json!({"rules": [rule], "unseen_code": "allow"})), &texts);
    let mut plugin = start(&json!({"rules": [rule], "allow_functions": ["dblink", "query_to_xml"]}));
    allows(&mut plugin, &[texts[4], texts[9]]);
    refuses(&mut plugin, &[texts[0], texts[5]]);

    // Without rules about tables there is nothing to evade, nor for users whom they do not concern.
    allows(&mut with_rule(&json!({"type": "deny_statements", "statements": ["drop"]})), &texts);
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"], "except_users": ["admin"]}));
    assert!(refusal(&mut plugin, &statement(texts[0])).is_some());
    assert!(refusal(&mut plugin, &statement(texts[0]).user("admin")).is_none());
}

#[test]
fn search_path_may_not_lead_elsewhere() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["private.*"]}));
    refuses(
        &mut plugin,
        &[
            "SET search_path = private",
            "SET search_path TO public, private",
            "SET LOCAL search_path = 'private'",
            "SET SESSION \"Search_Path\" = private",
            "SET SCHEMA 'private'",
            "SET search_path = \"$user\", public",
            "SELECT set_config('search_path', 'private', false)",
            "SELECT set_config('SEARCH_PATH', 'public, \"private\"', false)",
            "SELECT pg_catalog.set_config('search_' || 'path', 'private', false)",
            "SELECT set_config($1, 'x', false)",
            "SELECT set_config('search_path', $1, false)",
            "SELECT set_config('search_path'::text, 'private', false)",
            "UPDATE pg_settings SET setting = 'private' WHERE name = 'search_path'",
            "ALTER ROLE x SET search_path = private",
            "ALTER DATABASE d SET search_path = private",
            "ALTER SYSTEM SET search_path = private",
            "EXPLAIN ANALYZE SELECT set_config('search_path', 'private', false)",
        ],
    );
    allows(
        &mut plugin,
        &[
            "SET search_path = public",
            "SET search_path TO public, pg_catalog",
            "SET search_path TO DEFAULT",
            "RESET search_path",
            "RESET ALL",
            "SHOW search_path",
            "SELECT set_config('search_path', 'public', false)",
            "SELECT set_config('work_mem', '1MB', false)",
            "SELECT * FROM pg_settings",
            "SET work_mem = '1MB'",
        ],
    );
    let mut plugin = start(&json!({
        "search_path": ["public", "app"],
        "rules": [{"type": "deny_tables", "tables": ["private.*"]}],
    }));
    allows(&mut plugin, &["SET search_path = app, public", "SELECT set_config('search_path', 'App, public', true)"]);
    refuses(&mut plugin, &["SET search_path = 'app, public'"]);
}

#[test]
fn what_is_not_parsed_is_refused_even_without_rules() {
    let mut plugin = start(&json!({}));
    let syntax = Request::new("SELEC 1").syntax_error("syntax error at or near \"SELEC\"");
    let told = refusal(&mut plugin, &syntax).unwrap();
    assert_eq!((told.sqlstate(), told.message()), ("42601", "syntax error at or near \"SELEC\""));
    let told = refusal(&mut plugin, &Request::new("SELECT 1")).unwrap();
    assert_eq!(told.sqlstate(), "0A000");
    assert!(refusal(&mut plugin, &Request::new("SELECT 2").parsed()).is_some());
    assert!(refusal(&mut plugin, &Request::new("SELECT 3").parse_tree("{\"stmts\":[]}")).is_some());
    assert!(refusal(&mut plugin, &Request::new("SELECT 4").parse_tree("{\"stmts\":")).is_some());
    assert!(refusal(&mut plugin, &Request::new("").kind(StatementKind::Empty)).is_none());
    allows(&mut plugin, &["SELECT 5"]);
}

#[test]
fn a_statement_that_nobody_knows_is_refused() {
    let mut plugin = start(&json!({}));
    for tree in [
        r#"{"stmts":[{"stmt":{"BrandNewStmt":{}}}]}"#,
        r#"{"stmts":[{"stmt":{"ExplainStmt":{"query":{"BrandNewStmt":{}}}}}]}"#,
        r#"{"stmts":[{"stmt":{"SelectStmt":{"fromClause":[{"BrandNewRange":{}}]}}}]}"#,
        r#"{"stmts":[{"stmt":{"SelectStmt":{"fromClause":[{"JoinExpr":{"jointype":"JOIN_NEW","larg":{},"rarg":{}}}]}}}]}"#,
    ] {
        let told = refusal(&mut plugin, &Request::new(tree).parse_tree(tree)).unwrap();
        assert_eq!(told.sqlstate(), "0A000", "{tree}");
    }
}

#[test]
fn a_statement_that_is_nested_too_deeply_is_refused() {
    let tree = format!("{}1{}", "{\"a\":[".repeat(50_000), "]}".repeat(50_000));
    let told = refusal(&mut start(&json!({})), &Request::new("deep").parse_tree(tree)).unwrap();
    assert_eq!(told.sqlstate(), "54001");
}

#[test]
fn several_statements_in_one_tree_are_refused() {
    refuses(&mut start(&json!({})), &["SELECT 1; SELECT 2"]);
}

/// As deep as the host's trees can be.
#[test]
fn deep_statements_are_examined_without_exhausting_the_stack() {
    let mut plugin = with_rule(&json!({"type": "require_predicate", "tables": ["orders"], "column": "tenant_id"}));
    let table = r#"{"RangeVar":{"relname":"orders","relpersistence":"p"}}"#;
    let select = |from: &str| format!(r#"{{"SelectStmt":{{"fromClause":[{from}],"op":"SETOP_NONE"}}}}"#);
    let mut nested = select(table);
    for _ in 0..150 {
        nested = select(&format!(r#"{{"RangeSubselect":{{"subquery":{nested}}}}}"#));
    }
    let sums = format!("{}{}{}", r#"{"A_Expr":{"lexpr":"#.repeat(480), "{}", "}}".repeat(480));
    let deep = select(table).replace("\"op\"", &format!(r#""whereClause":{sums},"op""#));
    for statement in [nested, deep] {
        let tree = format!(r#"{{"stmts":[{{"stmt":{statement}}}]}}"#);
        let told = refusal(&mut plugin, &Request::new(tree.clone()).parse_tree(tree)).unwrap();
        assert!(told.message().contains("tenant_id"), "{told:?}");
    }
}

#[test]
fn wide_statements_are_examined_or_refused_in_no_time() {
    let mut plugin = with_rule(&json!({
        "type": "require_predicate", "tables": ["orders"], "column": "tenant_id", "value": {"constant": 42},
    }));
    let table = |alias: usize| {
        format!(r#"{{"RangeVar":{{"relname":"orders","alias":{{"aliasname":"o{alias}"}},"relpersistence":"p"}}}}"#)
    };
    let column = |alias: usize| {
        format!(
            r#"{{"ColumnRef":{{"fields":[{{"String":{{"sval":"o{alias}"}}}},{{"String":{{"sval":"tenant_id"}}}}]}}}}"#
        )
    };
    let equals = |left: String, right: String| {
        format!(
            r#"{{"A_Expr":{{"kind":"AEXPR_OP","name":[{{"String":{{"sval":"="}}}}],"lexpr":{left},"rexpr":{right}}}}}"#
        )
    };
    let join = |parts: &dyn Fn(usize) -> String, count: usize| (0..count).map(parts).collect::<Vec<_>>().join(",");
    for tables in [1_000, 20_000] {
        let chain = join(&|index| equals(column(index), column(index + 1)), tables - 1);
        let tree = format!(
            r#"{{"stmts":[{{"stmt":{{"SelectStmt":{{"fromClause":[{}],"whereClause":{{"BoolExpr":{{"boolop":"AND_EXPR","args":[{chain}]}}}},"op":"SETOP_NONE"}}}}}}]}}"#,
            join(&table, tables),
        );
        let request = Request::new(format!("chain of {tables}")).parse_tree(tree);
        let started = std::time::Instant::now();
        assert!(refusal(&mut plugin, &request).is_some());
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
    let mut joined: Vec<String> = (0..4_096).map(table).collect();
    while joined.len() > 1 {
        joined = joined
            .chunks(2)
            .map(|pair| {
                format!(
                    r#"{{"JoinExpr":{{"jointype":"JOIN_INNER","isNatural":true,"larg":{},"rarg":{}}}}}"#,
                    pair[0], pair[1]
                )
            })
            .collect();
    }
    let bush = &joined[0];
    let tree = format!(r#"{{"stmts":[{{"stmt":{{"SelectStmt":{{"fromClause":[{bush}],"op":"SETOP_NONE"}}}}}}]}}"#);
    let started = std::time::Instant::now();
    assert!(refusal(&mut plugin, &Request::new("a bush of joins").parse_tree(tree)).is_some());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let query = r#"{"SelectStmt":{"op":"SETOP_NONE"}}"#;
    let with = join(&|index| format!(r#"{{"CommonTableExpr":{{"ctename":"c{index}","ctequery":{query}}}}}"#), 50_000);
    let tree =
        format!(r#"{{"stmts":[{{"stmt":{{"SelectStmt":{{"withClause":{{"ctes":[{with}]}},"op":"SETOP_NONE"}}}}}}]}}"#);
    let told = refusal(&mut plugin, &Request::new("many WITH queries").parse_tree(tree)).unwrap();
    assert!(told.message().contains("so many WITH queries"), "{told:?}");
}

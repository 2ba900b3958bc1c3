//! Texts made to slip through: hidden names, deep nesting, huge statements, trees that no grammar made.

use super::*;
use serde_json::json;

#[test]
fn names_are_seen_however_they_are_written() {
    for sql in [
        "SELECT * FROM \"users\"",
        "SELECT * FROM U&\"\\0075sers\"",
        "SELECT/**/*/**/FROM/**/users",
        "SELECT * FROM pg_catalog.pg_class, users",
        "SELECT * FROM users, LATERAL (SELECT 1) x",
        "SELECT 1 WHERE 1 IN (SELECT (SELECT id FROM users LIMIT 1))",
        "SELECT * FROM ROWS FROM (generate_series(1, (SELECT max(id) FROM users)))",
        "SELECT * FROM xmltable('/a' PASSING (SELECT x FROM users) COLUMNS a int) t",
        "SELECT * FROM json_table((SELECT x FROM users), '$' COLUMNS (id int PATH '$')) t",
        "SELECT * FROM accounts TABLESAMPLE SYSTEM ((SELECT max(id) FROM users))",
        "SELECT sum(x) OVER (PARTITION BY (SELECT max(id) FROM users)) FROM accounts",
        "SELECT x FROM accounts WINDOW w AS (ORDER BY (SELECT max(id) FROM users))",
        "SELECT 1 ORDER BY (SELECT max(id) FROM users)",
        "SELECT 1 UNION SELECT 2 LIMIT (SELECT max(id) FROM users)",
        "VALUES (1), ((SELECT max(id) FROM users))",
        "INSERT INTO accounts VALUES (1) ON CONFLICT (x) DO UPDATE SET x = (SELECT max(id) FROM users)",
        "INSERT INTO accounts VALUES (1) RETURNING (SELECT max(id) FROM users)",
        "UPDATE accounts SET x[(SELECT max(id) FROM users)] = 1",
        "MERGE INTO accounts a USING accounts b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = (SELECT max(id) FROM users)",
        "DELETE FROM accounts RETURNING (SELECT max(id) FROM users)",
        "WITH x AS (SELECT * FROM users) SELECT 1 FROM accounts",
        "EXPLAIN (ANALYZE) INSERT INTO accounts SELECT * FROM users",
    ] {
        missing(sql);
    }
}

#[test]
fn a_union_of_hundreds_is_read() {
    let one = parse("SELECT 1 UNION ALL SELECT id FROM users WHERE id = 5");
    let sharding = sharding(CONFIG);
    let mut select = one["stmts"][0]["stmt"]["SelectStmt"].clone();
    let arm = select["rarg"].clone();
    for _ in 0..900 {
        let mut union = serde_json::Map::new();
        union.insert("op".to_owned(), "SETOP_UNION".into());
        union.insert("larg".to_owned(), select);
        union.insert("rarg".to_owned(), arm.clone());
        select = union.into();
    }
    let mut tree = json!({"stmts": [{"stmt": {"SelectStmt": null}}]});
    tree["stmts"][0]["stmt"]["SelectStmt"] = select;
    let plan = Plan::of_tree(&sharding, &tree).unwrap();
    assert_eq!(plan.route(&sharding, &bound(), SHARDS), int(5));
}

/// `{"kind": {"field": inner, …rest}}`, the inner tree moved, since copying it at each step would take long.
fn wrap(kind: &str, field: &str, inner: serde_json::Value, rest: serde_json::Value) -> serde_json::Value {
    let mut fields = rest;
    fields[field] = inner;
    let mut node = json!({});
    node[kind] = fields;
    node
}

/// As deep as the SDK lets a tree be, which is a thousand levels of JSON.
#[test]
fn the_deepest_trees_do_not_exhaust_the_stack() {
    // Half of what the host gives plugins; built for release they need a quarter of that.
    const STACK_BYTES: usize = 4 << 20;
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(read_the_deepest_trees);
    thread.unwrap().join().unwrap();
}

fn read_the_deepest_trees() {
    let sharding = sharding(CONFIG);
    let table = json!({"RangeVar": {"relname": "users"}});
    let condition = parse("SELECT * FROM users WHERE id = 5")["stmts"][0]["stmt"]["SelectStmt"]["whereClause"].clone();

    let mut joins = table.clone();
    let mut alternatives = condition.clone();
    let mut queries = parse("SELECT * FROM users WHERE id = 5")["stmts"][0]["stmt"].clone();
    for _ in 0..480 {
        joins = wrap("JoinExpr", "larg", joins, json!({"jointype": "JOIN_LEFT", "rarg": table, "quals": condition}));
    }
    for level in 0..320 {
        let mut parts = json!([null, condition]);
        parts[0] = alternatives;
        let operator = if level % 2 == 0 { "OR_EXPR" } else { "AND_EXPR" };
        alternatives = wrap("BoolExpr", "args", parts, json!({"boolop": operator}));
    }
    for _ in 0..160 {
        let from = wrap("RangeSubselect", "subquery", queries, json!({"alias": {"aliasname": "q"}}));
        let mut list = json!([null]);
        list[0] = from;
        queries = wrap("SelectStmt", "fromClause", list, json!({}));
    }
    let plain = json!({"SelectStmt": {"fromClause": [table], "whereClause": condition}});
    let (mut of_joins, mut of_alternatives) = (plain.clone(), plain);
    of_joins["SelectStmt"]["fromClause"][0] = joins;
    of_alternatives["SelectStmt"]["whereClause"] = alternatives;
    for (statement, answers) in [(of_joins, false), (of_alternatives, true), (queries, true)] {
        let mut tree = json!({"stmts": [{"stmt": null}]});
        tree["stmts"][0]["stmt"] = statement;
        let answer = Plan::of_tree(&sharding, &tree).unwrap().route(&sharding, &bound(), SHARDS);
        assert_eq!(answer == int(5), answers, "{answer:?}");
    }
}

fn parse(sql: &str) -> serde_json::Value {
    TREES.get(sql)
}

#[test]
fn a_join_of_thousands_ends_in_a_refusal_and_soon() {
    let tree = parse("SELECT * FROM users a NATURAL JOIN users b WHERE id = 5");
    let sharding = sharding(CONFIG);
    let mut select = tree["stmts"][0]["stmt"]["SelectStmt"].clone();
    let joined = select["fromClause"][0]["JoinExpr"]["rarg"].clone();
    let from: Vec<_> = (0..6_000).map(|_| joined.clone()).collect();
    select["fromClause"] = from.into();
    let started = std::time::Instant::now();
    let plan = Plan::of_tree(&sharding, &json!({"stmts": [{"stmt": {"SelectStmt": select}}]})).unwrap();
    assert!(matches!(plan.route(&sharding, &bound(), SHARDS), Answer::Refuse(_)));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn a_long_list_is_read() {
    let sharding = sharding(CONFIG);
    let mut tree = parse("SELECT * FROM users WHERE id IN (5)");
    let items = &mut tree["stmts"][0]["stmt"]["SelectStmt"]["whereClause"]["A_Expr"]["rexpr"]["List"]["items"];
    *items = vec![items[0].clone(); 50_000].into();
    let plan = Plan::of_tree(&sharding, &tree).unwrap();
    assert_eq!(plan.route(&sharding, &bound(), SHARDS), int(5));
}

#[test]
fn a_tree_of_unknown_shape_is_never_a_key() {
    let sharding = sharding(CONFIG);
    for statement in [
        json!({"NewStmt": {"relation": {"relname": "users"}}}),
        json!({"SelectStmt": {"fromClause": [{"NewItem": {"relation": {"RangeVar": {"relname": "users"}}}}]}}),
        json!({"SelectStmt": {"fromClause": [{"RangeVar": {"relname": "users"}}], "whereClause": {"NewExpr": {}}}}),
        json!({"SelectStmt": {"fromClause": {"RangeVar": {"relname": "users"}}}}),
        json!({"SelectStmt": {"newClause": [{"RangeVar": {"relname": "users"}}]}}),
        json!({"InsertStmt": {"relation": {"relname": "users"}, "cols": "id", "selectStmt": []}}),
        json!({"UpdateStmt": {"relation": {"relname": "users"}, "whereClause": 5}}),
        json!({"MergeStmt": {"relation": {"relname": "users"}, "mergeWhenClauses": {}}}),
    ] {
        let plan = Plan::of_tree(&sharding, &json!({"stmts": [{"stmt": statement}]})).unwrap();
        assert!(matches!(plan.route(&sharding, &bound(), SHARDS), Answer::Refuse(_)), "{statement}");
    }
    assert!(Plan::of_tree(&sharding, &json!({"stmts": []})).is_none());
}

#[test]
fn what_no_grammar_read_is_refused_when_it_may_mean_a_sharded_table() {
    let sharding = sharding(CONFIG);
    let refused = |plan: Plan| match plan.route(&sharding, &bound(), SHARDS) {
        Answer::Refuse(refusal) => Some(refusal.sqlstate),
        _ => None,
    };
    assert_eq!(refused(Plan::of_syntax_error(&sharding, b"SELEC * FROM Users", "syntax error")), Some("42601"));
    assert_eq!(refused(Plan::of_syntax_error(&sharding, b"SELEC * FROM accounts", "syntax error")), None);
    assert_eq!(refused(Plan::of_unparsed(&sharding, b"SELECT * FROM USERS")), Some("0A000"));
    assert_eq!(refused(Plan::of_unparsed(&sharding, b"SELECT 1")), None);
    assert_eq!(refused(Plan::of_too_deep(&sharding, b"SELECT ((((1 FROM users")), Some("54001"));
}

#[test]
fn the_first_shard_is_for_keys_that_are_missing_only() {
    let first = sharding(&CONFIG.replacen('{', r#"{"on_missing_key": "first","#, 1));
    let route = |sql, given: &Bound| plan_with(&first, sql).route(&first, given, SHARDS);
    for sql in [
        "SELECT * FROM users",
        "INSERT INTO users DEFAULT VALUES",
        "TRUNCATE users",
        "COPY users FROM STDIN",
        "CREATE TABLE users (id bigint)",
    ] {
        assert_eq!(route(sql, &bound()), Answer::Shard(0), "{sql}");
    }
    assert_eq!(route("SELECT * FROM users WHERE id = $1", &bound().typed(1700, "5")), Answer::Shard(0));
    assert_eq!(route("SELECT * FROM users u, posts p WHERE u.id = 5", &bound()), int(5));
    for sql in [
        "SELECT * FROM users WHERE id IN (5, 9)",
        "SELECT * FROM users WHERE id = 'x'",
        "UPDATE users SET id = 9 WHERE id = 5",
        "UPDATE users SET id = id + 1 WHERE id = 5",
        "INSERT INTO countries VALUES (1)",
    ] {
        assert!(matches!(route(sql, &bound()), Answer::Refuse(_)), "{sql}");
    }
}

#[test]
fn with_one_shard_every_key_is_there() {
    let sharding = sharding(CONFIG);
    let route = |sql| plan_with(&sharding, sql).route(&sharding, &bound(), 1);
    assert_eq!(route("SELECT * FROM users WHERE id IN (5, 9)"), Answer::Shard(0));
    assert!(matches!(route("SELECT * FROM users"), Answer::Refuse(_)));
}

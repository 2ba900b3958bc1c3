use super::{allows, refuses, refuses_with, with_rule};
use serde_json::json;

#[test]
fn denied_functions_are_refused_wherever_they_are_called() {
    let mut plugin =
        with_rule(&json!({"type": "deny_functions", "functions": ["pg_read_file", "app.danger*", "pg_sleep"]}));
    refuses(
        &mut plugin,
        &[
            "SELECT pg_read_file('x')",
            "SELECT pg_catalog.PG_READ_FILE('x')",
            "SELECT 1 WHERE length(pg_sleep(1)::text) = 0",
            "SELECT * FROM pg_read_file('x') f",
            "INSERT INTO t VALUES (pg_sleep(1))",
            "SELECT app.dangerous(1)",
            "CALL pg_sleep(1)",
            "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION app.dangerous()",
            "CREATE INDEX ON t (app.dangerous(a))",
        ],
    );
    allows(
        &mut plugin,
        &["SELECT dangerous(1)", "SELECT other.dangerous(1)", "SELECT 'pg_sleep(1)'", "SELECT lower('X')"],
    );
    refuses_with(&mut plugin, "function \"pg_sleep\" may not be called", &["SELECT pg_sleep(1)"]);
}

#[test]
fn only_some_functions_can_be_allowed() {
    let mut plugin =
        with_rule(&json!({"type": "deny_functions", "functions": ["*"], "except": ["pg_catalog.*", "app.total"]}));
    allows(
        &mut plugin,
        &[
            "SELECT lower('X'), count(*), extract(year FROM now()) FROM t",
            "SELECT app.total(1)",
            "SELECT pg_catalog.upper('x')",
        ],
    );
    refuses(
        &mut plugin,
        &["SELECT total(1)", "SELECT app.other(1)", "SELECT public.lower('x')", "SELECT \"Lower\"('x')"],
    );
}

//! Which value the column must have.

use super::{TREES, allows, refusal, refuses, statement, with_rule};
use pooler_plugin::oid;
use pooler_plugin::testing::{Request, Runner};
use serde_json::{Value, json};

fn plugin(value: Value) -> Runner {
    with_rule(
        &json!({"type": "require_predicate", "tables": ["orders", "items"], "column": "tenant_id", "value": value}),
    )
}

fn asks(sql: &str) -> Request {
    statement(sql)
}

#[test]
fn literals_must_be_the_constant() {
    let mut plugin = plugin(json!({"constant": 42}));
    allows(
        &mut plugin,
        &[
            "SELECT * FROM orders WHERE tenant_id = 42",
            "SELECT * FROM orders WHERE tenant_id = '42'",
            "SELECT * FROM orders WHERE tenant_id = ' 42 '::int8",
            "SELECT * FROM orders WHERE tenant_id = 7 AND tenant_id = 42",
            "SELECT * FROM orders WHERE tenant_id IN (42, '42')",
            "SELECT * FROM orders o JOIN items i USING (tenant_id) WHERE tenant_id = 42",
            "INSERT INTO orders (tenant_id) VALUES (42), (42)",
            "INSERT INTO orders (tenant_id) SELECT tenant_id FROM items i WHERE i.tenant_id = 42",
            "UPDATE orders SET a = 1 WHERE tenant_id = 42",
            "UPDATE orders SET tenant_id = 42, a = 1 WHERE tenant_id = 42",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 42) ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = excluded.tenant_id",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM orders WHERE tenant_id = 43",
            "SELECT * FROM orders WHERE tenant_id = '43'",
            "SELECT * FROM orders WHERE tenant_id IN (42, 43)",
            "SELECT * FROM orders WHERE tenant_id = 42::bit(4)::int",
            "SELECT * FROM orders WHERE tenant_id = '42'::varchar(1)::int",
            "SELECT * FROM orders WHERE tenant_id = 42.4",
            "SELECT * FROM orders WHERE tenant_id = 42::evil.int4",
            "SELECT * FROM orders WHERE tenant_id = 21 + 21",
            "SELECT * FROM orders WHERE tenant_id = current_setting('app.tenant')::int",
            "SELECT * FROM orders WHERE tenant_id = NULL",
            "SELECT * FROM orders o JOIN items i ON i.tenant_id = 43 WHERE o.tenant_id = 42",
            "INSERT INTO orders (tenant_id) VALUES (42), (43)",
            "INSERT INTO orders (tenant_id) VALUES (DEFAULT)",
            "INSERT INTO orders (tenant_id) VALUES (NULL)",
            "INSERT INTO orders (tenant_id) SELECT 43",
            "INSERT INTO orders (tenant_id) SELECT 42 UNION SELECT 43",
            "INSERT INTO orders (tenant_id) SELECT other.tenant_id FROM other, items i WHERE i.tenant_id = 42",
            "UPDATE orders SET tenant_id = 43 WHERE tenant_id = 42",
            "UPDATE orders SET (a, tenant_id) = (42, 43) WHERE tenant_id = 42",
            "UPDATE orders SET (a, tenant_id) = (SELECT 42, 42) WHERE tenant_id = 42",
            "MERGE INTO orders o USING s ON o.tenant_id = 42 WHEN MATCHED THEN UPDATE SET tenant_id = 43",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 42) ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = 43",
            "COPY orders (tenant_id) FROM STDIN",
            // The argument comes with EXECUTE, where nobody looks.
            "PREPARE p AS SELECT * FROM orders WHERE tenant_id = $1",
            "EXECUTE p (42)",
        ],
    );
    allows(
        &mut self::plugin(json!("any")),
        &["PREPARE p AS SELECT * FROM orders WHERE tenant_id = $1", "EXECUTE p (42)"],
    );
}

const BY_PARAMETER: &str = "SELECT * FROM orders WHERE tenant_id = $1 AND id > 7";

#[test]
fn parameters_must_be_the_constant_in_text_and_in_binary() {
    let mut plugin = plugin(json!({"constant": 42}));
    TREES.get(BY_PARAMETER);
    let passes = [
        asks(BY_PARAMETER).text("42"),
        asks(BY_PARAMETER).binary(oid::INT2, 42i16.to_be_bytes()),
        asks(BY_PARAMETER).binary(oid::INT4, 42i32.to_be_bytes()),
        asks(BY_PARAMETER).binary(oid::INT8, 42i64.to_be_bytes()),
        asks(BY_PARAMETER).binary(0, 42i32.to_be_bytes()),
        asks(BY_PARAMETER).prepare_only(),
    ];
    for request in &passes {
        assert_eq!(refusal(&mut plugin, request), None, "{request:?}");
    }
    let fails = [
        asks(BY_PARAMETER).text("43"),
        asks(BY_PARAMETER).text(""),
        asks(BY_PARAMETER).text("42 OR 1=1"),
        asks(BY_PARAMETER).null(),
        asks(BY_PARAMETER).binary(oid::INT4, 43i32.to_be_bytes()),
        asks(BY_PARAMETER).binary(oid::INT4, [42]),
        asks(BY_PARAMETER).binary(oid::FLOAT8, 42i64.to_be_bytes()),
        asks(BY_PARAMETER).binary(oid::TEXT, "42"),
        asks(BY_PARAMETER),
    ];
    for request in &fails {
        assert!(refusal(&mut plugin, request).is_some(), "{request:?}");
    }
}

#[test]
fn every_parameter_of_an_insert_counts() {
    let mut plugin = plugin(json!({"constant": 42}));
    let sql = "INSERT INTO orders (id, tenant_id) VALUES (1, $1), (2, $2)";
    assert_eq!(refusal(&mut plugin, &asks(sql).text("42").text("42")), None);
    assert!(refusal(&mut plugin, &asks(sql).text("42").text("43")).is_some());
    assert!(refusal(&mut plugin, &asks(sql).text("43").text("42")).is_some());
}

#[test]
fn a_text_constant_is_compared_exactly() {
    let mut plugin = plugin(json!({"constant": "042"}));
    allows(
        &mut plugin,
        &["SELECT * FROM orders WHERE tenant_id = '042'", "SELECT * FROM orders WHERE tenant_id = '042'::text"],
    );
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM orders WHERE tenant_id = '42'",
            "SELECT * FROM orders WHERE tenant_id = 42",
            "SELECT * FROM orders WHERE tenant_id = '042'::int4::text",
            "SELECT * FROM orders WHERE tenant_id = lower('042')",
        ],
    );
    assert_eq!(refusal(&mut plugin, &asks(BY_PARAMETER).text("042")), None);
    assert_eq!(refusal(&mut plugin, &asks(BY_PARAMETER).binary(oid::TEXT, "042")), None);
    assert!(refusal(&mut plugin, &asks(BY_PARAMETER).text("42")).is_some());
}

#[test]
fn a_uuid_is_compared_in_its_binary_form() {
    let mut plugin = plugin(json!({"constant": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}));
    let bytes = [0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11];
    assert_eq!(refusal(&mut plugin, &asks(BY_PARAMETER).binary(oid::UUID, bytes)), None);
    assert!(refusal(&mut plugin, &asks(BY_PARAMETER).binary(oid::UUID, [0; 16])).is_some());
}

#[test]
fn the_session_can_say_the_value() {
    let mut plugin = plugin(json!({"session": "user"}));
    let sql = "SELECT * FROM orders WHERE tenant_id = 'acme'";
    assert_eq!(refusal(&mut plugin, &asks(sql).user("acme")), None);
    assert!(refusal(&mut plugin, &asks(sql).user("other")).is_some());
    assert!(refusal(&mut plugin, &asks(sql).user("other").prepare_only()).is_some());
    assert_eq!(refusal(&mut plugin, &asks(BY_PARAMETER).user("acme").text("acme")), None);
    assert!(refusal(&mut plugin, &asks(BY_PARAMETER).user("acme").text("other")).is_some());
    let mut plugin = self::plugin(json!({"session": "database"}));
    assert_eq!(refusal(&mut plugin, &asks(sql).database("acme")), None);
    assert!(refusal(&mut plugin, &asks(sql).database("other")).is_some());
}

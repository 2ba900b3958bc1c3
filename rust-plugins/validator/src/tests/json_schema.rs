use super::{allows, refusal, refuses, refuses_with, statement, with_rule};
use pooler_plugin::oid;
use pooler_plugin::testing::Runner;
use serde_json::{Value, json};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0}, "mail": {"type": "string", "format": "email"}},
        "required": ["age"],
        "additionalProperties": false,
    })
}

fn plugin() -> Runner {
    with_rule(&json!({"type": "json_schema", "tables": ["docs"], "column": "data", "schema": schema()}))
}

#[test]
fn literals_must_fit_the_schema() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            r#"INSERT INTO docs (id, data) VALUES (1, '{"age": 5}')"#,
            r#"INSERT INTO docs (data) VALUES ('{"age": 5}'::jsonb), (CAST('{"age": 6}' AS json)), (jsonb '{"age": 7}')"#,
            r#"INSERT INTO docs (data) VALUES (E'{"age"\x3a 5}')"#,
            r#"INSERT INTO docs (data) SELECT '{"age": 5}'"#,
            "INSERT INTO docs (data) VALUES (NULL), (DEFAULT)",
            "INSERT INTO docs (id) VALUES (1)",
            "INSERT INTO docs DEFAULT VALUES",
            r#"UPDATE docs SET data = '{"age": 5}' WHERE id = 1"#,
            r#"UPDATE docs SET (id, data) = (1, '{"age": 5}')"#,
            "UPDATE docs SET id = 2",
            r#"INSERT INTO docs (data) VALUES ('{"age": 5}') ON CONFLICT (id) DO UPDATE SET data = excluded.data"#,
            "SELECT data FROM docs",
            "DELETE FROM docs",
            "INSERT INTO other VALUES ('x')",
            "COPY docs (id) FROM STDIN",
        ],
    );
    refuses(
        &mut plugin,
        &[
            r#"INSERT INTO docs (id, data) VALUES (1, '{"age": -5}')"#,
            r#"INSERT INTO docs (data) VALUES ('{"age": 5}'), ('{}')"#,
            r#"INSERT INTO docs (data) VALUES ('{"age": 5, "x": 1}'::jsonb)"#,
            r#"INSERT INTO docs (data) VALUES ('{"age": 5, "mail": "nonsense"}')"#,
            "INSERT INTO docs (data) VALUES ('null')",
            "INSERT INTO docs (data) VALUES ('{')",
            "INSERT INTO docs (data) VALUES ('')",
            r#"INSERT INTO docs (data) SELECT '{"age": 5}' UNION ALL SELECT '{}'"#,
            "UPDATE docs SET data = '{}'",
            "UPDATE docs SET (id, data) = (1, '{}')",
            r#"INSERT INTO docs (data) VALUES ('{"age": 5}') ON CONFLICT (id) DO UPDATE SET data = '{}'"#,
            "WITH x AS (INSERT INTO docs (data) VALUES ('{}') RETURNING *) SELECT * FROM x",
            "MERGE INTO docs d USING s ON d.id = s.id WHEN MATCHED THEN UPDATE SET data = '{}'",
            "MERGE INTO docs d USING s ON d.id = s.id WHEN NOT MATCHED THEN INSERT (data) VALUES ('{}')",
        ],
    );
    refuses_with(&mut plugin, "At /age:", &[r#"INSERT INTO docs (id, data) VALUES (1, '{"age": -5}')"#]);
    refuses_with(&mut plugin, "It is not valid JSON", &["INSERT INTO docs (data) VALUES ('{')"]);
}

#[test]
fn what_cannot_be_seen_is_refused() {
    refuses(
        &mut plugin(),
        &[
            r#"INSERT INTO docs VALUES (1, '{"age": 5}')"#,
            "INSERT INTO docs SELECT * FROM other",
            "INSERT INTO docs (data) SELECT * FROM other",
            "INSERT INTO docs (id, data) SELECT x.*, '{\"age\": 5}' FROM x",
            "INSERT INTO docs (data) SELECT data FROM other",
            "INSERT INTO docs (data) TABLE other",
            "INSERT INTO docs (data) VALUES (jsonb_build_object('age', 5))",
            "INSERT INTO docs (data) VALUES ('{\"age\": 5}'::jsonb || '{}')",
            "INSERT INTO docs (data) VALUES (to_jsonb($1))",
            "INSERT INTO docs (data) VALUES ((SELECT '{\"age\": 5}'))",
            "INSERT INTO docs (data) VALUES ('{\"age\": 5}'::varchar(3)::json)",
            "INSERT INTO docs (data) VALUES ('{\"age\": 5}'::evil.jsonb)",
            "INSERT INTO docs (data['age']) VALUES ('5')",
            "UPDATE docs SET data = data || '{}'",
            "UPDATE docs SET data['age'] = '5'",
            "UPDATE docs SET data = jsonb_set(data, '{age}', '5')",
            "UPDATE docs SET data = o.data FROM other o",
            "UPDATE docs SET (id, data) = (SELECT 1, '{\"age\": 5}')",
            "INSERT INTO docs (data) VALUES ('{\"age\": 5}') ON CONFLICT (id) DO UPDATE SET data = docs.data",
            "MERGE INTO docs d USING s ON d.id = s.id WHEN NOT MATCHED THEN INSERT (data) VALUES (s.data)",
            "MERGE INTO docs d USING s ON d.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1, '{\"age\": 5}')",
            "COPY docs FROM STDIN",
            "COPY docs (id, data) FROM STDIN",
            "PREPARE p AS INSERT INTO docs (data) VALUES ($1)",
        ],
    );
}

const BY_PARAMETER: &str = "INSERT INTO docs (id, data) VALUES ($1, $2)";

fn jsonb(text: &str) -> Vec<u8> {
    [&[1], text.as_bytes()].concat()
}

#[test]
fn parameters_must_fit_in_text_and_in_binary() {
    let mut plugin = plugin();
    let asks = || statement(BY_PARAMETER).text("1");
    let good = r#"{"age": 5}"#;
    let passes = [
        asks().text(good),
        asks().binary(oid::JSONB, jsonb(good)),
        asks().binary(oid::JSON, good),
        asks().binary(oid::TEXT, good),
        asks().binary(0, jsonb(good)),
        asks().binary(0, good),
        asks().null(),
        statement(BY_PARAMETER).prepare_only(),
    ];
    for request in &passes {
        assert_eq!(refusal(&mut plugin, request), None, "{request:?}");
    }
    let fails = [
        asks().text("{}"),
        asks().text("not json"),
        asks().binary(oid::JSONB, jsonb("{}")),
        asks().binary(oid::JSONB, [2, b'{', b'}']),
        asks().binary(oid::JSON, jsonb(good)),
        asks().binary(oid::JSON, "{}"),
        asks().binary(0, jsonb("{}")),
        asks().binary(oid::BYTEA, good),
        asks().binary(0, [0xff]),
        asks(),
    ];
    for request in &fails {
        assert!(refusal(&mut plugin, request).is_some(), "{request:?}");
    }
}

#[test]
fn casts_around_a_parameter_do_not_hide_it() {
    let mut plugin = plugin();
    for sql in [
        "INSERT INTO docs (data) VALUES ($1::jsonb)",
        "INSERT INTO docs (data) VALUES (CAST($1::text AS json))",
        "UPDATE docs SET data = $1::json",
    ] {
        assert_eq!(refusal(&mut plugin, &statement(sql).text(r#"{"age": 5}"#)), None, "{sql}");
        assert!(refusal(&mut plugin, &statement(sql).text("{}")).is_some(), "{sql}");
    }
}

#[test]
fn null_can_be_refused() {
    let rule =
        json!({"type": "json_schema", "tables": ["docs"], "column": "data", "schema": schema(), "allow_null": false});
    let mut plugin = with_rule(&rule);
    refuses(&mut plugin, &["INSERT INTO docs (data) VALUES (NULL)"]);
    assert!(refusal(&mut plugin, &statement(BY_PARAMETER).text("1").null()).is_some());
}

#[test]
fn a_schema_may_be_json_in_a_string() {
    let rule = json!({"type": "json_schema", "tables": ["docs"], "column": "data", "schema": schema().to_string()});
    refuses(&mut with_rule(&rule), &["INSERT INTO docs (data) VALUES ('null')"]);
}

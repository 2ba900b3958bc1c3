//! The npm package's schema of the configuration says what the plugin says.

use super::start;
use crate::kinds::Kind;
use serde_json::{Value, json};

fn schema() -> Value {
    let text = include_str!("../../../../packages/plugin-validator/config.schema.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_schema_lists_the_kinds_of_statements_that_there_are() {
    let schema = schema();
    let listed = schema.pointer("/definitions/denyStatements/properties/statements/items/enum").unwrap();
    let listed: Vec<&str> = listed.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // Serde names all of them when it does not know one.
    let told = serde_json::from_value::<Kind>(json!("nothing")).unwrap_err().to_string();
    let known: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_schema_lists_the_keys_of_each_rule() {
    let schema = schema();
    let rules = [
        ("denyTables", json!({"type": "deny_tables", "tables": ["t"]})),
        ("denyStatements", json!({"type": "deny_statements", "statements": ["do"]})),
        ("denyFunctions", json!({"type": "deny_functions", "functions": ["f"]})),
        ("requirePredicate", json!({"type": "require_predicate", "tables": ["t"], "column": "c"})),
        ("jsonSchema", json!({"type": "json_schema", "tables": ["t"], "column": "c", "schema": {}})),
    ];
    for (definition, smallest) in rules {
        let properties = schema.pointer(&format!("/definitions/{definition}/properties")).unwrap().as_object().unwrap();
        let mut rule = smallest.as_object().unwrap().clone();
        for key in properties.keys().filter(|key| *key != "users" && !smallest.as_object().unwrap().contains_key(*key))
        {
            let value = match key.as_str() {
                "use" => json!("read"),
                "value" => json!({"session": "user"}),
                "allow_null" => json!(false),
                "sqlstate" => json!("P0001"),
                "except_users" | "databases" | "except" => json!(["x"]),
                _ => json!("text"),
            };
            rule.insert(key.clone(), value);
        }
        start(&json!({"rules": [rule]}));
        start(&json!({"rules": [smallest]}));
    }
    let top: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(top, ["allow_functions", "rules", "search_path", "unseen_code"]);
}

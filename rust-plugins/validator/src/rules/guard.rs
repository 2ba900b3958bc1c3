//! What would evade the rules about tables: code that cannot be seen, and another search_path.

use super::Rules;
use crate::config::UnseenCode;
use crate::finding::{By, Finding};
use crate::kinds::Kind;
use crate::model::{Call, Model, SearchPath};
use parse_tree::pattern::identifier;

/// Functions of PostgreSQL and its extensions that run SQL, or read tables or files, by names that they are given as text.
const RUN_TEXT: &[&str] = &[
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "crosstabn",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "dblink",
    "dblink_exec",
    "dblink_open",
    "dblink_send_query",
    "get_raw_page",
    "lo_export",
    "lo_import",
    "pg_logical_slot_get_binary_changes",
    "pg_logical_slot_get_changes",
    "pg_logical_slot_peek_binary_changes",
    "pg_logical_slot_peek_changes",
    "pg_read_binary_file",
    "pg_read_file",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_stat",
    "xpath_table",
];

pub(super) fn examine(rules: &Rules, model: &Model<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if rules.unseen_code == UnseenCode::Refuse {
        if model.hidden_code {
            findings.push(refusal(
                "code in a string cannot be checked against the rules for tables".to_owned(),
                "unseen_code = \"allow\" in the configuration of the validator plugin lets it pass unchecked.",
            ));
        }
        if model.kinds.contains(&Kind::Execute) && rules.looks_at_values() {
            findings.push(refusal(
                "arguments of EXECUTE cannot be checked against the rules for values".to_owned(),
                "Prepare statements by the protocol, as drivers do, instead of by PREPARE and EXECUTE.",
            ));
        }
        if let Some(call) = model.calls.iter().find(|call| runs_text(call) && !is_allowed(rules, call)) {
            findings.push(refusal(
                format!("what function \"{}\" does cannot be checked against the rules for tables", call.name.name),
                "allow_functions in the configuration of the validator plugin lets it pass unchecked.",
            ));
        }
    }
    let changes_settings = model.tables.iter().any(|used| used.table.name == "pg_settings" && used.writes);
    if changes_settings || !model.search_paths.iter().all(|path| is_known(rules, path)) {
        findings.push(refusal(
            "search_path may only hold schemas that the rules for tables know".to_owned(),
            "search_path in the configuration of the validator plugin lists them.",
        ));
    }
    findings
}

fn refusal(message: String, hint: &str) -> Finding {
    Finding { by: By::Guard, message, detail: None, hint: Some(hint.to_owned()), check: None }
}

fn runs_text(call: &Call<'_>) -> bool {
    let name = call.name.name;
    // With three arguments it rewrites by them; with two, by the result of a query in a string.
    RUN_TEXT.contains(&name) || name == "ts_rewrite" && call.arguments.len() == 2
}

fn is_allowed(rules: &Rules, call: &Call<'_>) -> bool {
    rules.allow_functions.iter().any(|pattern| rules.schemas.function(pattern, call.name))
}

fn is_known(rules: &Rules, path: &SearchPath<'_>) -> bool {
    match path {
        SearchPath::Schemas(schemas) => schemas.iter().all(|schema| rules.schemas.contains(schema)),
        SearchPath::List(list) => {
            list.split(',').all(|part| identifier(part.trim()).is_ok_and(|schema| rules.schemas.contains(&schema)))
        }
        SearchPath::Hidden => false,
    }
}

//! Where a statement has vectors that say where it goes. Reads parse trees, and decides nothing.

use serde_json::Value;

/// A vector of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A parameter, 0-based.
    Parameter(usize),
    /// A literal.
    Text(String),
}

/// What a statement does with the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// Nothing that a shard follows from.
    None,
    /// It searches near these, or inserts them.
    Vectors(Vec<Operand>),
    /// It changes the column.
    Update,
}

/// The operators of pgvector: L2, inner product, cosine, L1.
const OPERATORS: [&str; 4] = ["<->", "<#>", "<=>", "<+>"];

pub(crate) fn find(statement: &Value, table: &str, column: &str) -> Use {
    let is_target = |node: &Value| node["relation"]["relname"] == table;
    let sets_column =
        |targets: &Value| list(targets).any(|target| target["ResTarget"]["name"] == column);
    let insert = &statement["InsertStmt"];
    if is_target(insert) {
        if sets_column(&insert["onConflictClause"]["targetList"]) {
            return Use::Update;
        }
        return inserted(insert, column);
    }
    let update = &statement["UpdateStmt"];
    if is_target(update) && sets_column(&update["targetList"]) {
        return Use::Update;
    }
    let mut found = Vec::new();
    searched(statement, column, &mut found);
    if found.is_empty() {
        Use::None
    } else {
        Use::Vectors(found)
    }
}

fn inserted(insert: &Value, column: &str) -> Use {
    let place = list(&insert["cols"]).position(|target| target["ResTarget"]["name"] == column);
    let Some(place) = place else { return Use::None };
    let rows = list(&insert["selectStmt"]["SelectStmt"]["valuesLists"]);
    let operands: Vec<_> = rows
        .filter_map(|row| operand(&row["List"]["items"][place]))
        .collect();
    if operands.is_empty() {
        Use::None
    } else {
        Use::Vectors(operands)
    }
}

/// `embedding <-> $1`, either way round, anywhere.
fn searched(node: &Value, column: &str, found: &mut Vec<Operand>) {
    let expression = &node["A_Expr"];
    if list(&expression["name"]).any(|name| {
        OPERATORS
            .iter()
            .any(|operator| name["String"]["sval"] == *operator)
    }) {
        let (left, right) = (&expression["lexpr"], &expression["rexpr"]);
        for (one, other) in [(left, right), (right, left)] {
            let last = list(&one["ColumnRef"]["fields"]).last();
            if last.is_some_and(|field| field["String"]["sval"] == column) {
                found.extend(operand(other).filter(|operand| !found.contains(operand)));
            }
        }
    }
    match node {
        Value::Object(fields) => fields
            .values()
            .for_each(|value| searched(value, column, found)),
        Value::Array(items) => items
            .iter()
            .for_each(|value| searched(value, column, found)),
        _ => {}
    }
}

/// Casts do not matter.
fn operand(node: &Value) -> Option<Operand> {
    if let Some(number) = node["ParamRef"]["number"].as_u64() {
        return usize::try_from(number)
            .ok()?
            .checked_sub(1)
            .map(Operand::Parameter);
    }
    if let Some(text) = node["A_Const"]["sval"]["sval"].as_str() {
        return Some(Operand::Text(text.to_owned()));
    }
    node["TypeCast"]["arg"]
        .is_object()
        .then(|| operand(&node["TypeCast"]["arg"]))
        .flatten()
}

fn list(node: &Value) -> impl Iterator<Item = &Value> {
    node.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::{Operand, Use, find};
    use serde_json::{Value, json};

    fn name(text: &str) -> Value {
        json!({"String": {"sval": text}})
    }

    #[test]
    fn finds_what_is_searched_for() {
        let cast = json!({"TypeCast": {"arg": {"A_Const": {"sval": {"sval": "[1,2]"}}}}});
        let column = json!({"ColumnRef": {"fields": [name("i"), name("embedding")]}});
        let expression = json!({"A_Expr": {"name": [name("<=>")], "lexpr": cast, "rexpr": column}});
        let select = json!({"SelectStmt": {"whereClause": {"any": [expression, expression]}}});
        let vector = Use::Vectors(vec![Operand::Text("[1,2]".to_owned())]);
        assert_eq!(find(&select, "items", "embedding"), vector);
        assert_eq!(find(&select, "items", "other"), Use::None);
    }

    #[test]
    fn finds_what_is_inserted_and_updated() {
        let target = |column: &str| json!({"ResTarget": {"name": column}});
        let row = |number: u32| json!({"List": {"items": [{"A_Const": {}}, {"ParamRef": {"number": number}}]}});
        let mut insert = json!({"InsertStmt": {
            "relation": {"relname": "items"},
            "cols": [target("id"), target("embedding")],
            "selectStmt": {"SelectStmt": {"valuesLists": [row(1), row(3)]}},
        }});
        let vectors = Use::Vectors(vec![Operand::Parameter(0), Operand::Parameter(2)]);
        assert_eq!(find(&insert, "items", "embedding"), vectors);
        insert["InsertStmt"]["onConflictClause"] = json!({"targetList": [target("embedding")]});
        assert_eq!(find(&insert, "items", "embedding"), Use::Update);
        let update = json!({"UpdateStmt": {"relation": {"relname": "items"}, "targetList": [target("embedding")]}});
        assert_eq!(find(&update, "items", "embedding"), Use::Update);
        assert_eq!(find(&update, "items", "name"), Use::None);
    }
}

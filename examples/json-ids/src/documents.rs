//! Where a statement writes a column, and with which parameters. Reads parse trees, and decides nothing.

use serde_json::Value;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// The column stays as it is.
    None,
    /// Byte in the text, and number of the parameter.
    Parameters(Vec<(usize, u64)>),
    /// It is written in a way that is not known.
    Unknown,
}

pub(crate) fn find(statement: &Value, table: &str, column: &str) -> Documents {
    let is_target =
        |node: &Value| node["relation"]["relname"] == table && node["withClause"].is_null();
    let (insert, update) = (&statement["InsertStmt"], &statement["UpdateStmt"]);
    let values: Option<Vec<&Value>> = if is_target(insert) {
        inserted(insert, column)
    } else if is_target(update) {
        Some(set(&update["targetList"], column).collect())
    } else if statement["DeleteStmt"].is_object() {
        Some(Vec::new())
    } else {
        None
    };
    let Some(values) = values else {
        return Documents::Unknown;
    };
    let places: Option<Vec<_>> = values
        .into_iter()
        .filter(|value| !is_empty(value))
        .map(parameter)
        .collect();
    match places {
        None => Documents::Unknown,
        Some(places) if places.is_empty() => Documents::None,
        Some(places) => Documents::Parameters(places),
    }
}

/// `None` when nobody knows.
fn inserted<'a>(insert: &'a Value, column: &str) -> Option<Vec<&'a Value>> {
    let conflict = set(&insert["onConflictClause"]["targetList"], column);
    // What EXCLUDED has was checked where it came from.
    let mut values: Vec<_> = conflict
        .filter(|value| value["ColumnRef"]["fields"][0]["String"]["sval"] != "excluded")
        .collect();
    if insert["selectStmt"].is_null() {
        return Some(values); // DEFAULT VALUES
    }
    let place =
        list(insert["cols"].as_array()?).position(|target| target["ResTarget"]["name"] == column);
    let Some(place) = place else {
        return Some(values);
    };
    for row in insert["selectStmt"]["SelectStmt"]["valuesLists"].as_array()? {
        values.push(&row["List"]["items"][place]);
    }
    Some(values)
}

fn set<'a>(targets: &'a Value, column: &str) -> impl Iterator<Item = &'a Value> {
    let targets = targets.as_array().map_or(&[][..], Vec::as_slice);
    list(targets)
        .filter(move |target| target["ResTarget"]["name"] == column)
        .map(|target| &target["ResTarget"]["val"])
}

/// NULL and DEFAULT have no ids.
fn is_empty(value: &Value) -> bool {
    value["A_Const"]["isnull"] == true || value["SetToDefault"].is_object()
}

fn parameter(value: &Value) -> Option<(usize, u64)> {
    let value = if value["TypeCast"].is_object() {
        &value["TypeCast"]["arg"]
    } else {
        value
    };
    let place = usize::try_from(value["ParamRef"]["location"].as_u64()?).ok()?;
    Some((place, value["ParamRef"]["number"].as_u64()?))
}

fn list(items: &[Value]) -> impl Iterator<Item = &Value> {
    items.iter()
}

#[cfg(test)]
mod tests {
    use super::{Documents, find};
    use serde_json::{Value, json};

    fn insert(rows: &[Value]) -> Value {
        let rows: Vec<_> = rows
            .iter()
            .map(|value| json!({"List": {"items": [{}, value]}}))
            .collect();
        let cols = ["id", "document"].map(|name| json!({"ResTarget": {"name": name}}));
        json!({"InsertStmt": {
            "relation": {"relname": "orders"},
            "cols": cols,
            "selectStmt": {"SelectStmt": {"valuesLists": rows}},
        }})
    }

    #[test]
    fn finds_parameters_and_nothing_else() {
        let one = json!({"ParamRef": {"number": 2, "location": 10}});
        let cast = json!({"TypeCast": {"arg": {"ParamRef": {"number": 4, "location": 20}}}});
        let statement = insert(&[one, cast, json!({"A_Const": {"isnull": true}})]);
        assert_eq!(
            find(&statement, "orders", "document"),
            Documents::Parameters(vec![(10, 2), (20, 4)])
        );
        assert_eq!(find(&statement, "orders", "name"), Documents::None);
        assert_eq!(find(&statement, "others", "document"), Documents::Unknown);
        let literal = insert(&[json!({"A_Const": {"sval": {"sval": "{}"}}})]);
        assert_eq!(find(&literal, "orders", "document"), Documents::Unknown);
    }

    #[test]
    fn a_conflict_may_take_what_was_inserted() {
        let mut statement = insert(&[json!({"ParamRef": {"number": 1, "location": 9}})]);
        let target = |value: Value| json!({"targetList": [{"ResTarget": {"name": "document", "val": value}}]});
        let excluded = json!({"ColumnRef": {"fields": [{"String": {"sval": "excluded"}}, {"String": {"sval": "document"}}]}});
        statement["InsertStmt"]["onConflictClause"] = target(excluded);
        assert_eq!(
            find(&statement, "orders", "document"),
            Documents::Parameters(vec![(9, 1)])
        );
        statement["InsertStmt"]["onConflictClause"] = target(json!({"FuncCall": {}}));
        assert_eq!(find(&statement, "orders", "document"), Documents::Unknown);
    }
}

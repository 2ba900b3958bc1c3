//! Nodes of the tree. JSON has them in two forms: `{"Kind": {fields}}` where any kind may stand, and bare `{fields}` where
//! the grammar allows one kind only. Kinds begin with a capital letter, fields do not. What has its default value is left out.

use serde_json::{Map, Value};

/// The fields of a node. A missing field reads as its default: empty, false, 0.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(&'a Map<String, Value>);

/// A node that says its kind.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    pub kind: &'a str,
    pub fields: Fields<'a>,
}

impl<'a> Node<'a> {
    /// `None` for what is no node: a bare struct, a list, a scalar, and `{}`, which stands for NULL in lists.
    pub fn of(value: &'a Value) -> Option<Self> {
        let object = value.as_object()?;
        let (kind, fields) = object.iter().next().filter(|_| object.len() == 1)?;
        let fields = fields.as_object().filter(|_| kind.starts_with(|first: char| first.is_ascii_uppercase()))?;
        Some(Node { kind, fields: Fields(fields) })
    }

    /// The same, when it is of this kind.
    pub fn of_kind(value: &'a Value, kind: &str) -> Option<Fields<'a>> {
        Node::of(value).filter(|node| node.kind == kind).map(|node| node.fields)
    }

    pub fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Fields)
    }

    pub fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field)
    }

    pub fn has(self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    pub fn text(self, field: &str) -> &'a str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn flag(self, field: &str) -> bool {
        self.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    pub fn number(self, field: &str) -> i64 {
        self.get(field).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A field that holds a node of any kind.
    pub fn node(self, field: &str) -> Option<Node<'a>> {
        self.get(field).and_then(Node::of)
    }

    /// A field whose kind the grammar fixes, so that the JSON does not say it.
    pub fn bare(self, field: &str) -> Option<Fields<'a>> {
        self.get(field).and_then(Fields::of)
    }

    /// The elements of a list; none when the field is missing.
    pub fn list(self, field: &str) -> &'a [Value] {
        self.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The nodes of a list, NULL elements left out.
    pub fn nodes(self, field: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.list(field).iter().filter_map(Node::of)
    }

    /// Every field with its value.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.0.iter().map(|(field, value)| (field.as_str(), value))
    }
}

/// The one statement of `{"version":…,"stmts":[{"stmt":…}]}`; `None` when there is not exactly one.
pub fn statement(tree: &Value) -> Option<&Value> {
    match Fields::of(tree)?.list("stmts") {
        [only] => Fields::of(only)?.get("stmt").filter(|statement| Node::of(statement).is_some()),
        _ => None,
    }
}

/// Calls `visit` with each value directly below this one.
pub fn for_each_child<'a>(value: &'a Value, mut visit: impl FnMut(&'a Value)) {
    match value {
        Value::Object(fields) => fields.values().for_each(visit),
        Value::Array(elements) => elements.iter().for_each(&mut visit),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_one_capitalised_key_with_fields() {
        let value = json!({"SelectStmt": {"op": "SETOP_NONE"}});
        let node = Node::of(&value).unwrap();
        assert!(node.is("SelectStmt"));
        assert_eq!(node.fields.text("op"), "SETOP_NONE");
        for other in [
            json!({}),
            json!({"relname": "t"}),
            json!({"relname": {}}),
            json!({"A": {}, "B": {}}),
            json!([]),
            json!("A"),
        ] {
            assert!(Node::of(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn missing_fields_read_as_defaults() {
        let value = json!({"A_Const": {}});
        let fields = Node::of_kind(&value, "A_Const").unwrap();
        assert_eq!((fields.text("x"), fields.flag("x"), fields.number("x"), fields.list("x").len()), ("", false, 0, 0));
        assert!(fields.node("x").is_none() && fields.bare("x").is_none());
    }

    #[test]
    fn only_a_tree_of_one_statement_has_a_statement() {
        let one = json!({"version": 180004, "stmts": [{"stmt": {"SelectStmt": {}}}]});
        assert!(statement(&one).is_some());
        let two = json!({"stmts": [{"stmt": {"SelectStmt": {}}}, {"stmt": {"SelectStmt": {}}}]});
        assert!(statement(&two).is_none());
        assert!(statement(&json!({"stmts": []})).is_none());
        assert!(statement(&json!({"stmts": [{}]})).is_none());
        assert!(statement(&json!(null)).is_none());
    }
}

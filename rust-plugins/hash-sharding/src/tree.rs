//! Shorthands for reading the parse tree, where the analysis wants a node's kind and fields as a pair, or a list of names.

use parse_tree::{Fields, Name, Node};
use serde_json::Value;

/// Kind and fields of a node.
pub(crate) fn tagged(node: &Value) -> Option<(&str, Fields<'_>)> {
    Node::of(node).map(|node| (node.kind, node.fields))
}

/// The fields of a node when it is of that kind.
pub(crate) fn body<'t>(node: &'t Value, kind: &str) -> Option<Fields<'t>> {
    Node::of_kind(node, kind)
}

/// A text that may be missing.
pub(crate) fn text<'t>(fields: Fields<'t>, field: &str) -> Option<&'t str> {
    fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The text of a String node.
pub(crate) fn string(node: &Value) -> Option<&str> {
    body(node, "String").map(|string| string.text("sval"))
}

/// A list of String nodes. None when something else is among them (`*`, a subscript).
pub(crate) fn names<'t>(fields: Fields<'t>, field: &str) -> Option<Vec<&'t str>> {
    fields.list(field).iter().map(string).collect()
}

/// Whether a name, of an operator or a function, is PostgreSQL's own.
pub(crate) fn is_builtin(fields: Fields<'_>, field: &str, name: &str) -> bool {
    Name::of(fields.list(field)).is_some_and(|found| found.is_builtin(name))
}

/// The elements of a List node.
pub(crate) fn items(node: &Value) -> &[Value] {
    body(node, "List").map_or(&[], |list| list.list("items"))
}

/// Calls `visit` with every object of the tree, until it says that what is below is of no interest.
pub(crate) fn each_object<'t>(root: &'t Value, mut visit: impl FnMut(&'t Value, Fields<'t>) -> bool) {
    // A list of what is left instead of recursion: expressions may be deep.
    let mut left = vec![root];
    while let Some(value) = left.pop() {
        let goes_on = match Fields::of(value) {
            Some(fields) => visit(value, fields),
            None => value.is_array(),
        };
        if goes_on {
            parse_tree::for_each_child(value, |child| {
                if child.is_object() || child.is_array() {
                    left.push(child);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_lists_of_strings_only() {
        let node = json!({"fields": [{"String": {"sval": "a"}}, {"A_Star": {}}], "name": [{"String": {"sval": "="}}]});
        let fields = Fields::of(&node).unwrap();
        assert_eq!(names(fields, "fields"), None);
        assert_eq!(names(fields, "name"), Some(vec!["="]));
        assert!(is_builtin(fields, "name", "=") && !is_builtin(fields, "fields", "a"));
    }

    #[test]
    fn every_object_is_visited_but_those_below_a_no() {
        let tree = json!({"A": {"x": [{"b": 1}, {"stop": {"c": 1}}]}});
        let mut seen = Vec::new();
        each_object(&tree, |_, fields| {
            seen.extend(fields.iter().map(|(name, _)| name.to_owned()));
            !fields.has("stop")
        });
        seen.sort();
        assert_eq!(seen, ["A", "b", "stop", "x"]);
    }
}

//! Names as the grammar leaves them: folded to lower case unless they were quoted, Unicode escapes resolved.

use crate::node::{Fields, Node};
use serde_json::Value;

/// A name that may be qualified: `name`, `schema.name`, `catalog.schema.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    pub schema: Option<&'a str>,
    pub name: &'a str,
}

impl<'a> Name<'a> {
    /// From the list of String nodes that stands for it; a catalog is dropped, since it can only be the current database.
    pub fn of(list: &'a [Value]) -> Option<Self> {
        let mut parts = Vec::with_capacity(3);
        for part in list {
            parts.push(Node::of_kind(part, "String")?.text("sval"));
        }
        let name = parts.pop()?;
        Some(Name { schema: parts.pop(), name })
    }

    /// Whether it is this name of PostgreSQL's own, bare or qualified with pg_catalog.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.name == name && self.schema.is_none_or(|schema| schema == "pg_catalog")
    }
}

/// A table, view or other relation that a statement names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    pub catalog: Option<&'a str>,
    pub schema: Option<&'a str>,
    pub name: &'a str,
    pub alias: Option<&'a str>,
    /// `t AS a (x, y)`: its columns go by other names.
    pub renames_columns: bool,
    /// CREATE TEMPORARY.
    pub temporary: bool,
}

impl<'a> Relation<'a> {
    /// Only a RangeVar has a field `relname`.
    pub fn of_fields(fields: Fields<'a>) -> Option<Self> {
        let name = fields.get("relname")?.as_str()?;
        let alias = fields.bare("alias");
        Some(Relation {
            catalog: fields.get("catalogname").and_then(Value::as_str),
            schema: fields.get("schemaname").and_then(Value::as_str),
            name,
            alias: alias.map(|alias| alias.text("aliasname")),
            renames_columns: alias.is_some_and(|alias| !alias.list("colnames").is_empty()),
            temporary: fields.text("relpersistence") == "t",
        })
    }

    /// The name that columns are qualified with.
    pub fn visible_name(&self) -> &'a str {
        self.alias.unwrap_or(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn strings(parts: &[&str]) -> Value {
        parts.iter().map(|part| json!({"String": {"sval": part}})).collect()
    }

    #[test]
    fn names_may_be_qualified_and_lose_their_catalog() {
        let read = |parts: &[&str]| {
            let list = strings(parts);
            Name::of(list.as_array().unwrap()).map(|name| (name.schema.map(str::to_owned), name.name.to_owned()))
        };
        assert_eq!(read(&["f"]), Some((None, "f".into())));
        assert_eq!(read(&["s", "f"]), Some((Some("s".into()), "f".into())));
        assert_eq!(read(&["c", "s", "f"]), Some((Some("s".into()), "f".into())));
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn builtin_names_are_bare_or_in_pg_catalog() {
        let name = |schema| Name { schema, name: "lower" };
        assert!(name(None).is_builtin("lower") && name(Some("pg_catalog")).is_builtin("lower"));
        assert!(!name(Some("public")).is_builtin("lower") && !name(None).is_builtin("upper"));
    }

    #[test]
    fn a_relation_goes_by_its_alias() {
        let value = json!({"schemaname": "s", "relname": "t", "alias": {"aliasname": "a", "colnames": [{"String": {"sval": "x"}}]}});
        let relation = Relation::of_fields(Fields::of(&value).unwrap()).unwrap();
        assert_eq!(
            (relation.schema, relation.name, relation.visible_name(), relation.renames_columns),
            (Some("s"), "t", "a", true)
        );
        assert!(Relation::of_fields(Fields::of(&json!({"aliasname": "a"})).unwrap()).is_none());
    }
}

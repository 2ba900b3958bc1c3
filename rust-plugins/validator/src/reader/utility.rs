//! Everything that is neither a query nor a change of rows: COPY, DDL, settings.

use super::{Context, Reader, table_of};
use crate::model::{Insert, Operation, SearchPath, Source, Table, Target};
use parse_tree::{Constant, Fields, Node, Relation, constant};
use serde_json::Value;

impl<'a> Reader<'a> {
    pub(super) fn utility(&mut self, statement: Node<'a>, context: &Context<'a>) {
        let fields = statement.fields;
        match statement.kind {
            "CopyStmt" => self.copy(fields, context),
            "TruncateStmt" => self.truncate(fields, context),
            // $1 is an argument of EXECUTE, not a parameter of this statement.
            "PrepareStmt" => self.contained(fields, &Context { parameters: false, ..context.clone() }),
            "ExplainStmt" | "DeclareCursorStmt" | "CreateTableAsStmt" | "ViewStmt" => self.contained(fields, context),
            "CreateFunctionStmt" => self.function(fields, context),
            "DoStmt" => self.model.hidden_code = true,
            "VariableSetStmt" => self.setting(fields),
            "AlterRoleSetStmt" | "AlterDatabaseSetStmt" | "AlterSystemStmt" => {
                if let Some(setting) = fields.bare("setstmt") {
                    self.setting(setting);
                }
            }
            "DropOwnedStmt" | "ReassignOwnedStmt" | "AlterTableMoveAllStmt" => self.model.schemas.push(None),
            _ => self.definition(fields, context),
        }
    }

    /// A statement with a query in it, which counts as a statement of its own.
    fn contained(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        match fields.node("query") {
            Some(query) => self.statement(query, context),
            None => self.model.unknown = Some("query"),
        }
        self.walk_fields(fields, &["query"], context);
    }

    fn copy(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        let Some(relation) = fields.bare("relation").and_then(Relation::of_fields) else {
            return self.contained(fields, context);
        };
        let table = table_of(&relation);
        if fields.flag("is_from") {
            self.uses(table, false, true, Operation::CopyFrom);
            let names = fields.nodes("attlist").map(|column| column.fields.text("sval"));
            let columns: Vec<_> = names.map(|name| Target { name, part: false }).collect();
            let columns = (!columns.is_empty()).then_some(columns);
            self.model.inserts.push(Insert { table, columns, source: Source::Copy, conflict: None });
        } else {
            self.uses(table, true, false, Operation::CopyTo);
        }
        self.walk_fields(fields, &["relation", "attlist"], context);
    }

    fn truncate(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        for relation in fields.list("relations") {
            match Node::of_kind(relation, "RangeVar").and_then(Relation::of_fields) {
                Some(relation) => self.uses(table_of(&relation), false, true, Operation::Truncate),
                None => self.model.unknown = Some("TRUNCATE"),
            }
        }
        self.walk_fields(fields, &["relations"], context);
    }

    /// A body that SQL parses is read; one in a string is not seen.
    fn function(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        if fields.nodes("options").any(|option| option.fields.text("defname") == "as") {
            self.model.hidden_code = true;
        }
        self.walk_fields(fields, &["funcname"], &Context { parameters: false, ..context.clone() });
    }

    fn setting(&mut self, fields: Fields<'a>) {
        let name = fields.text("name").to_ascii_lowercase();
        // Back to what the session began with.
        if name != "search_path" || matches!(fields.text("kind"), "VAR_SET_DEFAULT" | "VAR_RESET" | "VAR_RESET_ALL") {
            return;
        }
        let schemas: Option<Vec<_>> = fields
            .list("args")
            .iter()
            .map(|argument| match constant(argument) {
                Some(Constant::Text(schema)) => Some(schema),
                _ => None,
            })
            .collect();
        let seen = schemas.filter(|schemas| !schemas.is_empty());
        self.model.search_paths.push(seen.map_or(SearchPath::Hidden, SearchPath::Schemas));
    }

    /// DDL names its objects as RangeVars, which are found anyway, or as lists of strings.
    fn definition(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        let object_type = match (fields.text("removeType"), fields.text("renameType"), fields.text("objectType")) {
            ("", "", "") => fields.text("objtype"),
            ("", "", object) => object,
            ("", rename, _) => rename,
            (remove, ..) => remove,
        };
        let whole_schema = object_type == "OBJECT_SCHEMA" || fields.text("targtype") == "ACL_TARGET_ALL_IN_SCHEMA";
        let names = fields.list("objects").iter().chain(fields.get("object"));
        for name in names {
            self.object(name, object_type, whole_schema);
        }
        if object_type == "OBJECT_SCHEMA" && fields.has("subname") {
            self.model.schemas.push(Some(fields.text("subname")));
        }
        for object in fields.nodes("pubobjects") {
            match object.fields.text("pubobjtype") {
                "PUBLICATIONOBJ_TABLES_IN_SCHEMA" => self.model.schemas.push(Some(object.fields.text("name"))),
                "PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA" => self.model.schemas.push(None),
                _ => {}
            }
        }
        if fields.flag("for_all_tables") {
            self.model.schemas.push(None);
        }
        // The function of a trigger.
        if fields.has("funcname") {
            self.call(fields, context);
        }
        self.walk_fields(fields, &[], context);
    }

    pub(super) fn object(&mut self, name: &'a Value, object_type: &str, whole_schema: bool) {
        if let Some(string) = Node::of_kind(name, "String") {
            if whole_schema {
                self.model.schemas.push(Some(string.text("sval")));
            }
            return;
        }
        let Some(list) = Node::of_kind(name, "List") else { return };
        let mut parts: Vec<_> =
            list.nodes("items").filter(|part| part.is("String")).map(|part| part.fields.text("sval")).collect();
        // Last comes the name of something that belongs to a table.
        if matches!(
            object_type,
            "OBJECT_COLUMN" | "OBJECT_RULE" | "OBJECT_TRIGGER" | "OBJECT_POLICY" | "OBJECT_TABCONSTRAINT"
        ) {
            parts.pop();
        }
        if let Some(name) = parts.pop() {
            self.uses(Table { schema: parts.pop(), name }, true, true, Operation::Other);
        }
    }
}

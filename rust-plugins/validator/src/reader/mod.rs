//! Reads a parse tree into a [`Model`]. Every part of the tree is visited; what has no meaning of its own here is searched
//! for tables, functions and statements all the same.

mod changes;
mod conditions;
mod query;
mod utility;

use crate::kinds::add_kinds;
use crate::model::{Call, Model, Operation, Outer, SearchPath, Table, TableUse};
use crate::seen::{Content, see};
use parse_tree::{Constant, Fields, Name, Node, Relation, for_each_child};
use serde_json::Value;
use std::rc::Rc;

/// The model of a statement; `None` when the tree does not hold exactly one.
pub(crate) fn read(tree: &Value) -> Option<Model<'_>> {
    let statement = Node::of(parse_tree::statement(tree)?)?;
    let mut reader = Reader { model: Model::default() };
    reader.statement(statement, &Context { with: None, outer: None, parameters: true });
    Some(reader.model)
}

struct Reader<'a> {
    model: Model<'a>,
}

/// What holds where a part of the tree stands.
#[derive(Clone)]
struct Context<'a> {
    with: Option<Rc<With<'a>>>,
    outer: Option<Outer>,
    /// Whether $1 is a parameter of the protocol.
    parameters: bool,
}

/// Names of WITH queries, inner ones first.
struct With<'a> {
    name: &'a str,
    number: usize,
    around: Option<Rc<With<'a>>>,
}

/// More than anybody needs, few enough that a hostile statement takes no noticeable time.
const MAX_WITH_QUERIES: usize = 1_000;
const MAX_FROM_ITEMS: usize = 1_000;

impl<'a> Context<'a> {
    fn is_with_query(&self, name: &str) -> bool {
        let mut next = self.with.as_deref();
        while let Some(with) = next {
            if with.name == name {
                return true;
            }
            next = with.around.as_deref();
        }
        false
    }

    fn with_query(&self, name: &'a str) -> Context<'a> {
        let number = self.with.as_ref().map_or(1, |with| with.number + 1);
        Context { with: Some(Rc::new(With { name, number, around: self.with.clone() })), ..self.clone() }
    }

    fn has_too_many_with_queries(&self, more: usize) -> bool {
        self.with.as_ref().map_or(0, |with| with.number) + more > MAX_WITH_QUERIES
    }

    fn inside(&self, level: usize, scope: Rc<[usize]>) -> Context<'a> {
        Context { outer: Some(Outer { level, scope }), ..self.clone() }
    }
}

impl<'a> Reader<'a> {
    /// A statement in its own right, or one that another one contains.
    fn statement(&mut self, statement: Node<'a>, context: &Context<'a>) {
        if !add_kinds(statement, &mut self.model.kinds) {
            self.model.unknown = Some(statement.kind);
        }
        let fields = statement.fields;
        match statement.kind {
            "SelectStmt" => {
                self.query(fields, context);
            }
            "InsertStmt" => self.insert(fields, context),
            "UpdateStmt" => self.update(fields, context),
            "DeleteStmt" => self.delete(fields, context),
            "MergeStmt" => self.merge(fields, context),
            _ => self.utility(statement, context),
        }
    }

    /// Any part of a statement.
    fn walk(&mut self, value: &'a Value, context: &Context<'a>) {
        if let Some(node) = Node::of(value) {
            match node.kind {
                "SelectStmt" => {
                    self.query(node.fields, context);
                    return;
                }
                // CREATE FUNCTION … SET: holds while the function runs.
                "DefElem" if node.fields.text("defname") == "set" => return,
                // CREATE SEQUENCE … OWNED BY table.column.
                "DefElem" if node.fields.text("defname") == "owned_by" => {
                    if let Some(name) = node.fields.get("arg") {
                        self.object(name, "OBJECT_COLUMN", false);
                    }
                }
                kind if kind.ends_with("Stmt") => return self.statement(node, context),
                _ => {}
            }
        } else if let Some(fields) = Fields::of(value) {
            if let Some(relation) = Relation::of_fields(fields) {
                return self.uses(table_of(&relation), true, true, Operation::Other);
            }
            if fields.has("funcname") {
                self.call(fields, context);
            }
        }
        for_each_child(value, |child| self.walk(child, context));
    }

    /// Every field but these.
    fn walk_fields(&mut self, fields: Fields<'a>, except: &[&str], context: &Context<'a>) {
        for (_, value) in fields.iter().filter(|(field, _)| !except.contains(field)) {
            self.walk(value, context);
        }
    }

    fn uses(&mut self, table: Table<'a>, reads: bool, writes: bool, operation: Operation) {
        self.model.tables.push(TableUse { table, reads, writes, operation });
    }

    fn call(&mut self, fields: Fields<'a>, context: &Context<'a>) {
        let Some(name) = Name::of(fields.list("funcname")) else {
            self.model.unknown = Some("function name");
            return;
        };
        let arguments: Vec<_> = fields.list("args").iter().map(|value| see(value, context.parameters)).collect();
        if name.is_builtin("set_config") {
            self.set_config(&arguments);
        }
        self.model.calls.push(Call { name, arguments });
    }

    fn set_config(&mut self, arguments: &[crate::seen::Seen<'a>]) {
        let text = |index: usize| match arguments.get(index).map(|seen| (seen.content, seen.casts.is_empty())) {
            Some((Content::Constant(Constant::Text(text)), true)) => Some(text),
            _ => None,
        };
        match text(0).map(str::to_ascii_lowercase).as_deref() {
            Some("search_path") => {
                self.model.search_paths.push(text(1).map_or(SearchPath::Hidden, SearchPath::List));
            }
            Some("role" | "session_authorization") => {
                self.model.kinds.insert(crate::kinds::Kind::SetRole);
            }
            Some(_) => {}
            None => self.model.search_paths.push(SearchPath::Hidden),
        }
    }
}

fn table_of<'a>(relation: &Relation<'a>) -> Table<'a> {
    Table { schema: relation.schema, name: relation.name }
}

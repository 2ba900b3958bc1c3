//! What a statement may do, read from its parse tree. Knows nothing of sessions and routes.

use crate::names::Names;
use parse_tree::functions::{Effect, builtin};
use parse_tree::{Fields, Name, Node, Relation, boolean_option, for_each_child};
use serde_json::Value;

/// Ordered: a statement is as bad as its worst part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Says nothing about where to go: SET, SHOW, transaction control.
    Open,
    Read,
    /// May write, unless a READ ONLY transaction forbids it: a function that nobody knows.
    Unknown,
    Write,
}

// parsenodes.h
const CURSOR_OPT_HOLD: i64 = 0x20;

/// The access of the whole tree; what is no single statement can do anything.
pub(crate) fn access(tree: &Value, names: &Names) -> Access {
    parse_tree::statement(tree).and_then(Node::of).map_or(Access::Write, |statement| of_statement(statement, names))
}

fn of_statement(statement: Node<'_>, names: &Names) -> Access {
    let fields = statement.fields;
    match statement.kind {
        "SelectStmt" => of_query(statement, names),
        "ExplainStmt" => of_explain(fields, names),
        "CopyStmt" => of_copy(fields, names),
        // Held over the transaction's end it lives in a session, and the session's server is none of ours.
        "DeclareCursorStmt" if fields.number("options") & CURSOR_OPT_HOLD != 0 => Access::Write,
        "DeclareCursorStmt" => inner(fields, names),
        "TransactionStmt" => match fields.text("kind") {
            "TRANS_STMT_PREPARE" | "TRANS_STMT_COMMIT_PREPARED" | "TRANS_STMT_ROLLBACK_PREPARED" => Access::Write,
            _ => Access::Open,
        },
        // Settings follow the session. SHOW alone thus goes to the primary, like the drivers that ask for transaction_read_only
        // to find out whether they may write.
        "VariableSetStmt" | "VariableShowStmt" | "DiscardStmt" | "DeallocateStmt" | "FetchStmt" | "ClosePortalStmt" => {
            Access::Open
        }
        _ => Access::Write,
    }
}

/// The statement inside EXPLAIN, COPY or DECLARE CURSOR.
fn inner(fields: Fields<'_>, names: &Names) -> Access {
    fields.node("query").map_or(Access::Write, |query| of_statement(query, names))
}

fn of_explain(fields: Fields<'_>, names: &Names) -> Access {
    let mut analyze = false;
    for option in fields.nodes("options").filter(|option| option.fields.text("defname") == "analyze") {
        analyze = boolean_option(option.fields).unwrap_or(true);
    }
    // What is only planned is not done; EXECUTE needs the session that prepared.
    let planned = fields.node("query").is_some_and(|query| !query.is("ExecuteStmt") && !executes(query));
    if !analyze && planned { Access::Read } else { inner(fields, names) }
}

/// CREATE TABLE … AS EXECUTE.
fn executes(query: Node<'_>) -> bool {
    query.fields.node("query").is_some_and(|query| query.is("ExecuteStmt"))
}

fn of_copy(fields: Fields<'_>, names: &Names) -> Access {
    // A file or program is one of the server's, and means the primary's.
    if fields.flag("is_from") || fields.flag("is_program") || fields.has("filename") {
        return Access::Write;
    }
    match fields.bare("relation").and_then(Relation::of_fields) {
        Some(relation) => of_relation(&relation, names),
        None => inner(fields, names),
    }
}

fn of_query(query: Node<'_>, names: &Names) -> Access {
    let fields = query.fields;
    if fields.has("intoClause") || fields.has("lockingClause") {
        return Access::Write;
    }
    worst(fields.iter().map(|(_, value)| value), names)
}

/// Anything inside a query: expressions, subqueries, WITH.
fn of_part(value: &Value, names: &Names) -> Access {
    if let Some(node) = Node::of(value) {
        match node.kind {
            "SelectStmt" => return of_query(node, names),
            "RangeTableSample" => return of_names(&node, "method", names).max(children(value, names)),
            kind if kind.ends_with("Stmt") => return Access::Write,
            _ => {}
        }
    }
    let Some(fields) = Fields::of(value) else { return children(value, names) };
    if fields.has("lockingClause") || fields.has("intoClause") {
        return Access::Write;
    }
    if let Some(relation) = Relation::of_fields(fields) {
        return of_relation(&relation, names);
    }
    if fields.has("funcname") {
        let own = Name::of(fields.list("funcname")).map_or(Access::Write, |name| of_function(name, names));
        return own.max(children(value, names));
    }
    children(value, names)
}

fn children(value: &Value, names: &Names) -> Access {
    let mut access = Access::Read;
    for_each_child(value, |child| {
        if access < Access::Write {
            access = access.max(of_part(child, names));
        }
    });
    access
}

fn worst<'a>(values: impl Iterator<Item = &'a Value>, names: &Names) -> Access {
    values.map(|value| of_part(value, names)).max().unwrap_or(Access::Read).max(Access::Read)
}

fn of_names(node: &Node<'_>, field: &str, names: &Names) -> Access {
    Name::of(node.fields.list(field)).map_or(Access::Write, |name| of_function(name, names))
}

fn of_function(name: Name<'_>, names: &Names) -> Access {
    if names.writes(name) {
        return Access::Write;
    }
    if names.only_reads(name) {
        return Access::Read;
    }
    match builtin(name.name).filter(|_| name.is_builtin(name.name)) {
        Some(Effect::Reads) => Access::Read,
        Some(Effect::Acts) => Access::Write,
        None => Access::Unknown,
    }
}

fn of_relation(relation: &Relation<'_>, names: &Names) -> Access {
    let temporary = relation.schema.is_some_and(|schema| schema == "pg_temp" || schema.starts_with("pg_temp_"));
    if temporary || names.on_primary(relation) { Access::Write } else { Access::Read }
}

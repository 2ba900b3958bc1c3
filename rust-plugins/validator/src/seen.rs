//! Values as they can be seen in a statement: literals and parameters with the casts around them.

use parse_tree::{Constant, Fields, Node, TypeName, constant, for_each_child};
use serde_json::Value;

/// A value, and the types it is cast to, innermost first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen<'a> {
    pub(crate) content: Content<'a>,
    pub(crate) casts: Vec<TypeName<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Content<'a> {
    Constant(Constant<'a>),
    /// 0-based: 0 is $1.
    Parameter(usize),
    /// DEFAULT.
    Default,
    /// An expression.
    Hidden,
}

/// Reads an expression. Where `parameters` is false ($1 in PREPARE means an argument of EXECUTE), they are hidden.
pub(crate) fn see(expression: &Value, parameters: bool) -> Seen<'_> {
    let mut casts = Vec::new();
    let mut inner = expression;
    while let Some(cast) = Node::of_kind(inner, "TypeCast") {
        let (Some(argument), Some(target)) = (cast.get("arg"), cast.bare("typeName").and_then(TypeName::of_fields))
        else {
            return Seen { content: Content::Hidden, casts };
        };
        casts.push(target);
        inner = argument;
    }
    casts.reverse();
    Seen { content: content(inner, parameters), casts }
}

fn content(expression: &Value, parameters: bool) -> Content<'_> {
    if let Some(constant) = constant(expression) {
        return Content::Constant(constant);
    }
    match Node::of(expression) {
        Some(node) if node.is("SetToDefault") => Content::Default,
        Some(node) if node.is("ParamRef") && parameters => parameter(node.fields),
        _ => Content::Hidden,
    }
}

fn parameter(fields: Fields<'_>) -> Content<'_> {
    match usize::try_from(fields.number("number")) {
        Ok(number @ 1..) => Content::Parameter(number - 1),
        _ => Content::Hidden,
    }
}

/// Whether the expression is the same for every row: no column, no subquery.
pub(crate) fn is_fixed(expression: &Value) -> bool {
    if Node::of(expression)
        .is_some_and(|node| matches!(node.kind, "ColumnRef" | "SubLink" | "SetToDefault" | "CurrentOfExpr"))
    {
        return false;
    }
    let mut fixed = true;
    for_each_child(expression, |child| fixed = fixed && is_fixed(child));
    fixed
}

/// Whether any column is named in it.
pub(crate) fn names_a_column(expression: &Value) -> bool {
    if Node::of(expression).is_some_and(|node| matches!(node.kind, "ColumnRef" | "CurrentOfExpr")) {
        return true;
    }
    let mut found = false;
    for_each_child(expression, |child| found = found || names_a_column(child));
    found
}

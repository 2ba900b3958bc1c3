//! Conditions: the equalities that must hold, out of AND-ed conditions. Everything else a condition may say is left out,
//! which can only make a rule stricter.

use super::query::operand_of_column;
use super::{Context, Reader};
use crate::model::{Equality, Operand};
use crate::seen::{is_fixed, see};
use parse_tree::{Fields, Name, Node};
use serde_json::Value;
use std::rc::Rc;

impl<'a> Reader<'a> {
    pub(super) fn conditions(
        &mut self,
        condition: &'a Value,
        level: usize,
        scope: &Rc<[usize]>,
        restricts: &Rc<[usize]>,
        context: &Context<'a>,
    ) {
        let Some(node) = Node::of(condition) else { return };
        let fields = node.fields;
        match (node.kind, fields.text("boolop"), fields.text("kind")) {
            ("BoolExpr", "AND_EXPR", _) => {
                for part in fields.list("args") {
                    self.conditions(part, level, scope, restricts, context);
                }
            }
            ("A_Expr", _, "AEXPR_OP") if is_equals(fields) => {
                let (Some(left), Some(right)) = (fields.get("lexpr"), fields.get("rexpr")) else { return };
                for (left, right) in pairs(left, right) {
                    if let (Some(left), Some(right)) = (operand(left, context), operand(right, context)) {
                        self.equality(level, scope, restricts, left, right);
                    }
                }
            }
            ("A_Expr", _, "AEXPR_IN") if is_equals(fields) => {
                let list = fields.get("rexpr").and_then(|value| Node::of_kind(value, "List"));
                let (Some(left), Some(list)) = (fields.get("lexpr").and_then(operand_of_column), list) else { return };
                let values = list.list("items");
                if values.iter().all(is_fixed) {
                    let values = values.iter().map(|value| see(value, context.parameters)).collect();
                    self.equality(level, scope, restricts, left, Operand::Values(values));
                }
            }
            _ => {}
        }
    }

    fn equality(
        &mut self,
        level: usize,
        scope: &Rc<[usize]>,
        restricts: &Rc<[usize]>,
        left: Operand<'a>,
        right: Operand<'a>,
    ) {
        let equality = Equality { scope: Rc::clone(scope), restricts: Rc::clone(restricts), left, right };
        self.model.levels[level].equalities.push(equality);
    }
}

/// `=`, or `OPERATOR(pg_catalog.=)`; one of another schema may mean anything.
fn is_equals(fields: Fields<'_>) -> bool {
    Name::of(fields.list("name")).is_some_and(|name| name.is_builtin("="))
}

/// `(a, b) = (1, 2)` is `a = 1 AND b = 2`.
fn pairs<'a>(left: &'a Value, right: &'a Value) -> Vec<(&'a Value, &'a Value)> {
    match (Node::of_kind(left, "RowExpr"), Node::of_kind(right, "RowExpr")) {
        (Some(left), Some(right)) if left.list("args").len() == right.list("args").len() => {
            left.list("args").iter().zip(right.list("args")).collect()
        }
        (None, None) => vec![(left, right)],
        _ => Vec::new(),
    }
}

fn operand<'a>(value: &'a Value, context: &Context<'a>) -> Option<Operand<'a>> {
    operand_of_column(value).or_else(|| is_fixed(value).then(|| Operand::Values(vec![see(value, context.parameters)])))
}

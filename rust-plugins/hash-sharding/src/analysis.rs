//! From the parse tree of one statement to what its sharding keys require. Runs once per distinct text, may be slow, and
//! must be right: whatever it does not understand counts as "key not found", never as a guess.

mod conditions;
mod facts;
mod from;
mod levels;
mod modify;
mod query;
mod scope;
mod state;
mod values;
mod with;

use crate::config::{Known, Sharding};
use crate::refusal::{Refusal, Use};
use crate::tree::{each_object, items, string, tagged, text};
use parse_tree::Fields;
use serde_json::Value;
use state::Analysis;
use with::Env;

pub(crate) use state::{Missing, Purpose, Requirement};

#[derive(Debug, Default)]
pub(crate) struct Analyzed {
    /// A sharded table is named in the statement.
    pub(crate) touched: bool,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) missing: Vec<Missing>,
    /// Never to be run, whatever the parameters are.
    pub(crate) refusal: Option<Refusal>,
}

/// `statement` is a node such as SelectStmt.
pub(crate) fn analyze(sharding: &Sharding, statement: &Value) -> Analyzed {
    let mut analysis = Analysis::new(sharding);
    analysis.statement(statement);
    analysis.account_for_all(statement);
    let too_complex = analysis.facts.exhausted() && analysis.touched;
    Analyzed {
        touched: analysis.touched,
        requirements: analysis.requirements,
        missing: analysis.missing,
        refusal: if too_complex { Some(Refusal::too_complex()) } else { analysis.refusal },
    }
}

impl<'a> Analysis<'a> {
    fn statement(&mut self, statement: &'a Value) {
        match tagged(statement) {
            Some(("SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt", _)) => {
                let (level, _) = self.query(statement, &Env { outer: None, ctes: None });
                self.conclude(&level);
            }
            Some(("ExplainStmt" | "DeclareCursorStmt" | "CopyStmt" | "CreateTableAsStmt", outer)) => {
                if let Some(query) = outer.get("query") {
                    self.statement(query);
                }
                if let Some(range) = outer.get("relation").filter(|_| !outer.flag("is_from")) {
                    self.copied_out(range);
                }
            }
            Some(("PrepareStmt", outer)) => {
                // They come with EXECUTE.
                self.parameters = false;
                if let Some(query) = outer.get("query") {
                    self.statement(query);
                }
            }
            _ => {}
        }
    }

    /// Every table that is named anywhere must have been dealt with: what is left is used in a way that says no key.
    fn account_for_all(&mut self, statement: &'a Value) {
        let used = match tagged(statement) {
            Some(("CopyStmt", _)) => Use::Copy,
            _ => Use::Table,
        };
        each_object(statement, |value, fields| {
            if fields.has("relname") && self.accounted.insert(value) {
                self.left_over(text(fields, "schemaname"), fields.text("relname"), used);
            }
            if let Some(("DropStmt" | "CommentStmt" | "SecLabelStmt", named)) = tagged(value) {
                self.dropped(named);
            }
            true
        });
    }

    /// COPY … TO reads: from a table that every shard holds whole, on any of them.
    fn copied_out(&mut self, range: &'a Value) {
        let known =
            Fields::of(range).map(|fields| self.sharding.known(text(fields, "schemaname"), fields.text("relname")));
        if matches!(known, Some(Known::Reference(_))) {
            self.accounted.insert(range);
        }
    }

    fn left_over(&mut self, schema: Option<&str>, relation: &str, used: Use) {
        match self.sharding.known(schema, relation) {
            Known::Sharded(table) => {
                self.touched = true;
                self.missing.push(Missing { table, used, reason: String::new() });
            }
            Known::Reference(name) => self.refuse(Refusal::reference_write(name)),
            Known::Other => {}
        }
    }

    /// DROP and COMMENT name tables by lists of strings; a policy, rule or trigger has its table before its own name.
    fn dropped(&mut self, statement: Fields<'a>) {
        let kind = text(statement, "removeType").or_else(|| text(statement, "objtype")).unwrap_or("");
        let inner = match kind {
            "OBJECT_TABLE" | "OBJECT_VIEW" | "OBJECT_MATVIEW" | "OBJECT_FOREIGN_TABLE" => 0,
            "OBJECT_POLICY" | "OBJECT_RULE" | "OBJECT_TRIGGER" | "OBJECT_COLUMN" | "OBJECT_TABCONSTRAINT" => 1,
            _ => return,
        };
        for object in statement.list("objects").iter().chain(statement.get("object")) {
            let parts: Option<Vec<_>> = items(object).iter().map(string).collect();
            let parts = parts.unwrap_or_default();
            match parts.len().checked_sub(inner).map(|count| &parts[..count]) {
                Some([relation]) => self.left_over(None, relation, Use::Table),
                Some([.., schema, relation]) => self.left_over(Some(schema), relation, Use::Table),
                _ => {}
            }
        }
    }
}

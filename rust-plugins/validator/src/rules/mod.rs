//! The rules: made from the configuration, and asked about the model of a statement.

mod deny_functions;
mod deny_statements;
mod deny_tables;
mod guard;
mod json_schema;
mod require_predicate;

pub(crate) use json_schema::JsonRule;

use crate::config::{Common, Config, RuleConfig, UnseenCode};
use crate::finding::{By, Finding, SessionValues};
use crate::kinds::Kind;
use crate::model::{Model, Table};
use crate::scope::Schemas;
use parse_tree::Pattern;

/// All rules of a configuration.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) schemas: Schemas,
    unseen_code: UnseenCode,
    allow_functions: Vec<Pattern>,
    list: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    common: Common,
    pub(crate) kind: RuleKind,
}

#[derive(Debug)]
pub(crate) enum RuleKind {
    DenyTables(deny_tables::DenyTables),
    DenyStatements(deny_statements::DenyStatements),
    DenyFunctions(deny_functions::DenyFunctions),
    RequirePredicate(require_predicate::RequirePredicate),
    JsonSchema(JsonRule),
}

/// What a rule says about a statement; the rule's number is added later.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<(String, Option<String>, Option<crate::finding::Check>)>);

impl Found {
    pub(crate) fn refuse(&mut self, message: String) {
        self.0.push((message, None, None));
    }

    pub(crate) fn refuse_with_detail(&mut self, message: String, detail: String) {
        self.0.push((message, Some(detail), None));
    }

    pub(crate) fn check(&mut self, message: String, check: crate::finding::Check) {
        self.0.push((message, None, Some(check)));
    }
}

impl Rules {
    /// # Errors
    /// Which rule is wrong, and what is.
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        if let Some(schema) = config.search_path.iter().find(|schema| schema.starts_with('$') || schema.is_empty()) {
            return Err(format!("search_path: \"{schema}\" is no schema: list schemas by their names"));
        }
        let list = config.rules.into_iter().enumerate();
        Ok(Rules {
            schemas: Schemas::new(config.search_path),
            unseen_code: config.unseen_code,
            allow_functions: patterns("allow_functions", &config.allow_functions)?,
            list: list
                .map(|(index, rule)| Rule::new(rule).map_err(|error| format!("rules[{index}].{error}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Everything that rules say about a statement, whoever sends it.
    pub(crate) fn examine(&self, model: &Model<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.list.iter().any(Rule::is_about_tables) {
            findings.extend(guard::examine(self, model));
        }
        for (index, rule) in self.list.iter().enumerate() {
            let mut found = Found::default();
            match &rule.kind {
                RuleKind::DenyTables(rule) => rule.examine(&self.schemas, model, &mut found),
                RuleKind::DenyStatements(rule) => rule.examine(model, &mut found),
                RuleKind::DenyFunctions(rule) => rule.examine(&self.schemas, model, &mut found),
                RuleKind::RequirePredicate(rule) => rule.examine(self, model, &mut found),
                RuleKind::JsonSchema(rule) => rule.examine(&self.schemas, model, &mut found),
            }
            findings.extend(found.0.into_iter().map(|(message, detail, check)| Finding {
                by: By::Rule(index),
                message,
                detail,
                hint: None,
                check,
            }));
        }
        findings
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Rule> {
        self.list.get(index)
    }

    /// The rule that objects to several statements in one string.
    pub(crate) fn against_several_statements(&self, session: SessionValues<'_>) -> Option<usize> {
        self.list.iter().position(|rule| match &rule.kind {
            RuleKind::DenyStatements(statements) => {
                statements.denies(Kind::MultipleStatements) && rule.holds_for(session)
            }
            _ => false,
        })
    }

    pub(crate) fn holds(&self, by: By, session: SessionValues<'_>) -> bool {
        match by {
            By::Rule(index) => self.list.get(index).is_some_and(|rule| rule.holds_for(session)),
            By::Guard => self.list.iter().any(|rule| rule.is_about_tables() && rule.holds_for(session)),
        }
    }

    /// Whether some rule depends on parameters.
    fn looks_at_values(&self) -> bool {
        self.list.iter().any(|rule| match &rule.kind {
            RuleKind::JsonSchema(_) => true,
            RuleKind::RequirePredicate(rule) => rule.looks_at_values(),
            _ => false,
        })
    }

    /// Whether some rule says that the table has this column.
    fn has_column(&self, table: Table<'_>, column: &str) -> bool {
        self.list.iter().any(|rule| match &rule.kind {
            RuleKind::RequirePredicate(rule) => rule.column == column && self.schemas.any_may_mean(&rule.tables, table),
            _ => false,
        })
    }
}

impl Rule {
    fn new(config: RuleConfig) -> Result<Self, String> {
        let (common, kind) = match config {
            RuleConfig::DenyTables(mut rule) => {
                (rule.take_common(), RuleKind::DenyTables(deny_tables::DenyTables::new(&rule)?))
            }
            RuleConfig::DenyStatements(mut rule) => {
                (rule.take_common(), RuleKind::DenyStatements(deny_statements::DenyStatements::new(&rule)?))
            }
            RuleConfig::DenyFunctions(mut rule) => {
                (rule.take_common(), RuleKind::DenyFunctions(deny_functions::DenyFunctions::new(&rule)?))
            }
            RuleConfig::RequirePredicate(mut rule) => {
                (rule.take_common(), RuleKind::RequirePredicate(require_predicate::RequirePredicate::new(rule)?))
            }
            RuleConfig::JsonSchema(mut rule) => (rule.take_common(), RuleKind::JsonSchema(JsonRule::new(rule)?)),
        };
        if let Some(sqlstate) = &common.sqlstate {
            check_sqlstate(sqlstate)?;
        }
        if !common.users.is_empty() && !common.except_users.is_empty() {
            return Err("users: cannot stand together with except_users".to_owned());
        }
        Ok(Rule { common, kind })
    }

    fn is_about_tables(&self) -> bool {
        match self.kind {
            RuleKind::DenyTables(_) | RuleKind::RequirePredicate(_) | RuleKind::JsonSchema(_) => true,
            RuleKind::DenyStatements(_) | RuleKind::DenyFunctions(_) => false,
        }
    }

    fn holds_for(&self, session: SessionValues<'_>) -> bool {
        let lists = |list: &[String], value: &str| list.iter().any(|listed| listed == value);
        let common = &self.common;
        (common.users.is_empty() || lists(&common.users, session.user))
            && !lists(&common.except_users, session.user)
            && (common.databases.is_empty() || lists(&common.databases, session.database))
    }

    pub(crate) fn sqlstate(&self) -> Option<&str> {
        self.common.sqlstate.as_deref()
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.common.message.as_deref()
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.common.hint.as_deref()
    }

    /// For the client: which rule it was.
    pub(crate) fn title(&self, index: usize) -> String {
        match &self.common.name {
            Some(name) => format!("Rule \"{name}\""),
            None => format!("Rule {}", index + 1),
        }
    }
}

/// Five digits or capital letters, and no success, warning or "no data".
fn check_sqlstate(sqlstate: &str) -> Result<(), String> {
    let valid = sqlstate.len() == 5 && sqlstate.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if valid && !["00", "01", "02"].contains(&&sqlstate[..2]) {
        return Ok(());
    }
    Err(format!("sqlstate: \"{sqlstate}\" is no SQLSTATE of an error, such as \"42501\""))
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, String> {
    texts.iter().map(|text| Pattern::parse(text).map_err(|error| format!("{key}: {error}"))).collect()
}

/// Like [`patterns`], where an empty list would mean that the rule does nothing.
fn some_patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, String> {
    if texts.is_empty() {
        return Err(format!("{key}: must not be empty"));
    }
    patterns(key, texts)
}

/// A table as messages name it.
fn named(table: Table<'_>) -> String {
    match table.schema {
        Some(schema) => format!("\"{schema}.{}\"", table.name),
        None => format!("\"{}\"", table.name),
    }
}

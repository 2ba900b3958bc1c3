//! The plugin: examines each text once, and each execution by what was found.

use crate::config::Config;
use crate::execution::{Execution, Outcome};
use crate::finding::{By, Finding, SessionValues};
use crate::kinds::Kind;
use crate::reader::read;
use crate::rules::{RuleKind, Rules};
use pooler_plugin::{Error, Host, Input, Output, Plugin, Protocol, Query, Refusal, StatementKind, export_plugin};

#[derive(Debug)]
pub struct Validator {
    rules: Rules,
}

/// What is known of a text.
#[derive(Debug)]
pub enum Examined {
    Empty,
    /// It cannot be judged: refused for everyone.
    Unreadable(Refusal),
    Findings(Findings),
}

/// What rules object to, or will have to look at with each execution.
#[derive(Debug)]
pub struct Findings(Vec<Finding>);

const INSUFFICIENT_PRIVILEGE: &str = "42501";
const SYNTAX_ERROR: &str = "42601";
const STATEMENT_TOO_COMPLEX: &str = "54001";
const FEATURE_NOT_SUPPORTED: &str = "0A000";

impl Plugin for Validator {
    type Config = Config;
    type Statement = Examined;

    fn new(_host: &Host<'_>, config: Config) -> Result<Self, Error> {
        Ok(Validator { rules: Rules::new(config)? })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Examined, Error> {
        Ok(self.examine(&query).unwrap_or_else(Examined::Unreadable))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Examined>) -> Output {
        let refusal = match (statement, input.query()) {
            (Some(Examined::Empty), _) => None,
            (Some(Examined::Unreadable(refusal)), _) => Some(refusal.clone()),
            (Some(Examined::Findings(findings)), Some(query)) => self.judge(&input, query, &findings.0),
            _ => Some(Refusal::new(FEATURE_NOT_SUPPORTED, "the validator plugin was not shown the statement")),
        };
        refusal.map_or_else(Output::skip, Output::error)
    }
}

impl Validator {
    fn examine(&self, query: &Query<'_>) -> Result<Examined, Refusal> {
        if !query.facts().parsed() {
            return Err(unparsed(query));
        }
        if query.kind() == StatementKind::Empty {
            return Ok(Examined::Empty);
        }
        let tree = query.parse_tree_value().map_err(|error| {
            Refusal::new(STATEMENT_TOO_COMPLEX, error.to_string())
                .hint("The validator plugin refuses what it cannot examine.")
        })?;
        let model = tree.as_ref().and_then(read).ok_or_else(|| not_understood("its parse tree is missing"))?;
        if let Some(unknown) = model.unknown {
            return Err(not_understood(&format!("it does not know {unknown}")));
        }
        Ok(Examined::Findings(Findings(self.rules.examine(&model))))
    }

    fn judge(&self, input: &Input<'_>, query: Query<'_>, findings: &[Finding]) -> Option<Refusal> {
        let several = input.several_statements() && input.protocol() == Protocol::Simple;
        if findings.is_empty() && !several {
            return None;
        }
        let session = input.session();
        let (user, database) = (session.user(), session.database());
        let values = SessionValues { user: &user, database: &database };
        if several {
            if let Some(index) = self.rules.against_several_statements(values) {
                let message = format!("{} are not allowed", Kind::MultipleStatements.describe());
                return Some(self.refusal(By::Rule(index), &message, None, None));
            }
        }
        let execution = Execution { query, prepare_only: input.prepare_only(), session: values };
        findings.iter().filter(|finding| self.rules.holds(finding.by, values)).find_map(|finding| {
            let outcome = match &finding.check {
                None => Outcome::Failed(finding.detail.clone()),
                Some(check) => execution.run(check, self.json_rule(finding.by)),
            };
            match outcome {
                Outcome::Passed => None,
                Outcome::Failed(detail) => {
                    Some(self.refusal(finding.by, &finding.message, detail.as_deref(), finding.hint.as_deref()))
                }
            }
        })
    }

    fn json_rule(&self, by: By) -> Option<&crate::rules::JsonRule> {
        let By::Rule(index) = by else { return None };
        match &self.rules.get(index)?.kind {
            RuleKind::JsonSchema(rule) => Some(rule),
            _ => None,
        }
    }

    /// The rule's own words where it has some; ours then become the detail.
    fn refusal(&self, by: By, message: &str, detail: Option<&str>, hint: Option<&str>) -> Refusal {
        let rule = match by {
            By::Rule(index) => self.rules.get(index).map(|rule| (rule, rule.title(index))),
            By::Guard => None,
        };
        let Some((rule, title)) = rule else {
            let refusal = Refusal::new(INSUFFICIENT_PRIVILEGE, message);
            return hint.map_or(refusal.clone(), |hint| refusal.hint(hint));
        };
        let own = rule.message().map(|_| message);
        let details: Vec<_> = own.map(|own| format!("{own}.")).into_iter().chain(detail.map(str::to_owned)).collect();
        let detail =
            details.into_iter().chain([format!("{title} of the validator plugin refuses it.")]).collect::<Vec<_>>();
        let sqlstate = rule.sqlstate().unwrap_or(INSUFFICIENT_PRIVILEGE);
        let refusal = Refusal::new(sqlstate, rule.message().unwrap_or(message)).detail(detail.join(" "));
        match rule.hint().or(hint) {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}

/// PostgreSQL's own words for what its grammar refuses.
fn unparsed(query: &Query<'_>) -> Refusal {
    if query.facts().syntax_error() {
        let message = query.parse_error().unwrap_or_else(|| "syntax error".into());
        return Refusal::new(SYNTAX_ERROR, message)
            .hint("The validator plugin refuses what PostgreSQL's grammar does not accept.");
    }
    Refusal::new(FEATURE_NOT_SUPPORTED, "this statement cannot be parsed, so its rules cannot be checked").hint(
        "The validator plugin refuses what it cannot examine. Statements are parsed with standard_conforming_strings = on, \
         and in UTF8 or a client encoding that keeps ASCII apart.",
    )
}

fn not_understood(reason: &str) -> Refusal {
    Refusal::new(FEATURE_NOT_SUPPORTED, format!("the validator plugin does not understand this statement: {reason}"))
        .hint("It refuses what it cannot examine.")
}

export_plugin!(Validator {
    name: "validator",
    capabilities: INSPECT | EVERY_STATEMENT | FACTS | PARSE_TREE,
    grammar: 17..=18
});

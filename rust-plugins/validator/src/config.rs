//! The plugin's configuration. `config.schema.json` of the npm package says the same for editors and for the host.

use crate::kinds::Kind;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where PostgreSQL looks for names without a schema.
    pub(crate) search_path: Vec<String>,
    pub(crate) unseen_code: UnseenCode,
    /// Functions that may be called although they run SQL that cannot be seen.
    pub(crate) allow_functions: Vec<String>,
    pub(crate) rules: Vec<RuleConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            search_path: vec!["public".to_owned()],
            unseen_code: UnseenCode::Refuse,
            allow_functions: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// What becomes of DO, CREATE FUNCTION with a body in a string, and functions that run SQL that they are given as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnseenCode {
    Refuse,
    Allow,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum RuleConfig {
    DenyTables(DenyTables),
    DenyStatements(DenyStatements),
    DenyFunctions(DenyFunctions),
    RequirePredicate(RequirePredicate),
    JsonSchema(JsonSchema),
}

/// What every rule has.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) name: Option<String>,
    pub(crate) users: Vec<String>,
    pub(crate) except_users: Vec<String>,
    pub(crate) databases: Vec<String>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) hint: Option<String>,
}

// `flatten` and `deny_unknown_fields` exclude each other, hence the repetition by macro.
macro_rules! rule {
    ($rule:ident { $( $(#[$attribute:meta])* $field:ident : $type:ty ),* $(,)? }) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $rule {
            $( $(#[$attribute])* pub(crate) $field: $type, )*
            name: Option<String>,
            #[serde(default)]
            users: Vec<String>,
            #[serde(default)]
            except_users: Vec<String>,
            #[serde(default)]
            databases: Vec<String>,
            sqlstate: Option<String>,
            message: Option<String>,
            hint: Option<String>,
        }

        impl $rule {
            pub(crate) fn take_common(&mut self) -> Common {
                Common {
                    name: self.name.take(),
                    users: std::mem::take(&mut self.users),
                    except_users: std::mem::take(&mut self.except_users),
                    databases: std::mem::take(&mut self.databases),
                    sqlstate: self.sqlstate.take(),
                    message: self.message.take(),
                    hint: self.hint.take(),
                }
            }
        }
    };
}

rule!(DenyTables {
    tables: Vec<String>,
    #[serde(default, rename = "use")]
    usage: Usage,
});

rule!(DenyStatements { statements: Vec<Kind> });

rule!(DenyFunctions {
    functions: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
});

rule!(RequirePredicate {
    tables: Vec<String>,
    column: String,
    #[serde(default)]
    value: Required,
});

rule!(JsonSchema {
    tables: Vec<String>,
    column: String,
    /// The schema itself, or its JSON as text.
    schema: Value,
    #[serde(default = "yes")]
    allow_null: bool,
});

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Usage {
    #[default]
    Any,
    Read,
    Write,
}

/// What the column must equal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Required {
    #[default]
    Any,
    Constant(Scalar),
    Session(SessionValue),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Integer(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionValue {
    User,
    Database,
}

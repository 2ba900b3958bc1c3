//! Kinds of statements that are not allowed.

use super::Found;
use crate::config;
use crate::kinds::Kind;
use crate::model::Model;

#[derive(Debug)]
pub(crate) struct DenyStatements {
    kinds: Vec<Kind>,
}

impl DenyStatements {
    pub(super) fn new(config: &config::DenyStatements) -> Result<Self, String> {
        if config.statements.is_empty() {
            return Err("statements: must not be empty".to_owned());
        }
        Ok(DenyStatements { kinds: config.statements.clone() })
    }

    pub(super) fn denies(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    pub(super) fn examine(&self, model: &Model<'_>, found: &mut Found) {
        if let Some(kind) = self.kinds.iter().find(|kind| model.kinds.contains(kind)) {
            found.refuse(format!("{} is not allowed", kind.describe()));
        }
    }
}

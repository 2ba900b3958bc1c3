//! Functions that may not be called by name.

use super::{Found, patterns, some_patterns};
use crate::config;
use crate::model::Model;
use crate::scope::Schemas;
use parse_tree::Pattern;

#[derive(Debug)]
pub(crate) struct DenyFunctions {
    functions: Vec<Pattern>,
    except: Vec<Pattern>,
}

impl DenyFunctions {
    pub(super) fn new(config: &config::DenyFunctions) -> Result<Self, String> {
        Ok(DenyFunctions {
            functions: some_patterns("functions", &config.functions)?,
            except: patterns("except", &config.except)?,
        })
    }

    pub(super) fn examine(&self, schemas: &Schemas, model: &Model<'_>, found: &mut Found) {
        for call in &model.calls {
            let listed = |list: &[Pattern]| list.iter().any(|pattern| schemas.function(pattern, call.name));
            if listed(&self.functions) && !listed(&self.except) {
                found.refuse(format!("function \"{}\" may not be called", call.name.name));
                return;
            }
        }
    }
}

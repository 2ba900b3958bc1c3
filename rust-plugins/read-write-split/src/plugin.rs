//! From what a statement may do to the role of its transaction.

use crate::access::{Access, access};
use crate::config::Config;
use crate::names::Names;
use pooler_plugin::{Error, Host, Input, Output, Plugin, Query, Role, Route, StatementKind, export_plugin};
use std::time::Duration;

#[derive(Debug)]
pub struct ReadWriteSplit {
    names: Names,
    read_your_writes: Option<Duration>,
}

impl Plugin for ReadWriteSplit {
    type Config = Config;
    type Statement = Access;

    fn new(_host: &Host<'_>, config: Config) -> Result<Self, Error> {
        let names = Names::new(&config.read_only_functions, &config.write_functions, &config.primary_tables)?;
        Ok(ReadWriteSplit { names, read_your_writes: config.read_your_writes })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Access, Error> {
        if !query.facts().parsed() {
            return Ok(Access::Write);
        }
        if query.kind() == StatementKind::Empty {
            return Ok(Access::Open);
        }
        // A tree that is missing or nested too deeply tells nothing.
        let tree = query.parse_tree_value().ok().flatten();
        Ok(tree.map_or(Access::Write, |tree| access(&tree, &self.names)))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Access>) -> Output {
        // Any server can describe a statement.
        if input.prepare_only() || input.decided_role().is_some() {
            return Output::skip();
        }
        match self.role(&input, statement.copied().unwrap_or(Access::Write)) {
            Role::Open => Output::skip(),
            role => Output::forward(Route::only_role(role)),
        }
    }
}

impl ReadWriteSplit {
    fn role(&self, input: &Input<'_>, access: Access) -> Role {
        let reads = match (access, input.in_transaction(), input.read_only()) {
            (Access::Open, ..) => return Role::Open,
            (Access::Write, ..) => false,
            // PostgreSQL itself forbids the writing.
            (Access::Read | Access::Unknown, true, true) => true,
            // The transaction's next statement may write.
            (Access::Read | Access::Unknown, true, false) => false,
            (Access::Read, false, _) => true,
            (Access::Unknown, false, _) => false,
        };
        if reads && !self.has_just_written(input) { Role::Read } else { Role::Write }
    }

    fn has_just_written(&self, input: &Input<'_>) -> bool {
        match (self.read_your_writes, input.ms_since_write()) {
            (Some(window), Some(since)) => Duration::from_millis(since.into()) < window,
            _ => false,
        }
    }
}

export_plugin!(ReadWriteSplit {
    name: "read-write-split",
    capabilities: FACTS | PARSE_TREE | LITERALS,
    grammar: 17..=18
});

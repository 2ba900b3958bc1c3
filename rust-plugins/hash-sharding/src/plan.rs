//! What one statement needs to be routed, and the routing of one execution of it: no allocation but for a refusal, well
//! under a microsecond for a few keys.

use crate::analysis::{Analyzed, Purpose, analyze};
use crate::config::{OnMissingKey, Sharding};
use crate::hash::shard_of;
use crate::refusal::Refusal;
use crate::source::{Arguments, Failure, Source};
use serde_json::Value;

#[derive(Debug)]
pub struct Plan(Kind);

#[derive(Debug)]
enum Kind {
    /// No sharded table is named.
    Untouched,
    Refused(Box<Refusal>),
    Keys(Keys),
}

#[derive(Debug)]
struct Keys {
    keys: Box<[Key]>,
    /// Keys that are not found send the statement to the first shard, unless others say where to.
    first: bool,
}

#[derive(Debug)]
struct Key {
    source: Source,
    table: usize,
    purpose: Purpose,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to do with sharded tables.
    Skip,
    /// No row of a sharded table can matter: every shard answers alike.
    AnyShard,
    Shard(u32),
    Refuse(Box<Refusal>),
}

impl Plan {
    pub fn untouched() -> Self {
        Self(Kind::Untouched)
    }

    /// From a parse tree `{"version":…,"stmts":[one]}`. None when there is not one statement in it.
    pub fn of_tree(sharding: &Sharding, tree: &Value) -> Option<Self> {
        Some(Self::of_statement(sharding, analyze(sharding, parse_tree::statement(tree)?)))
    }

    /// For a tree that is nested too deeply to be looked at.
    pub fn of_too_deep(sharding: &Sharding, sql: &[u8]) -> Self {
        if sharding.may_be_named_in(sql) { Self::refused(Refusal::too_complex()) } else { Self(Kind::Untouched) }
    }

    /// For a statement that the grammar refuses. PostgreSQL says so better; but a newer server than the grammar may take it.
    pub fn of_syntax_error(sharding: &Sharding, sql: &[u8], message: &str) -> Self {
        if sharding.may_be_named_in(sql) {
            Self::refused(Refusal::syntax_error(message))
        } else {
            Self(Kind::Untouched)
        }
    }

    /// For a statement that was not read at all.
    pub fn of_unparsed(sharding: &Sharding, sql: &[u8]) -> Self {
        if sharding.may_be_named_in(sql) { Self::refused(Refusal::unparsed()) } else { Self(Kind::Untouched) }
    }

    fn refused(refusal: Refusal) -> Self {
        Self(Kind::Refused(Box::new(refusal)))
    }

    fn of_statement(sharding: &Sharding, analyzed: Analyzed) -> Self {
        if let Some(refusal) = analyzed.refusal {
            return Self::refused(refusal);
        }
        if !analyzed.touched {
            return Self(Kind::Untouched);
        }
        let first = sharding.on_missing_key == OnMissingKey::First;
        if let Some(missing) = analyzed.missing.first().filter(|_| !first) {
            return Self::refused(Refusal::missing_key(&sharding.tables[missing.table], &missing.reason, missing.used));
        }
        let mut keys: Vec<Key> = Vec::new();
        for requirement in &analyzed.requirements {
            for source in &*requirement.sources {
                // Joined tables often have the same key: it is hashed once.
                let known = keys.iter().take(64).any(|key| key.source == *source && key.purpose == requirement.purpose);
                if !known {
                    keys.push(Key { source: source.clone(), table: requirement.table, purpose: requirement.purpose });
                }
            }
        }
        // So that a key that moves is compared with where its row is.
        keys.sort_by_key(|key| key.purpose == Purpose::KeyChange);
        Self(Kind::Keys(Keys { keys: keys.into(), first: !analyzed.missing.is_empty() }))
    }

    /// Where this execution goes.
    #[inline]
    pub fn route(&self, sharding: &Sharding, arguments: &impl Arguments, shards: u32) -> Answer {
        match &self.0 {
            Kind::Untouched => Answer::Skip,
            Kind::Refused(refusal) => Answer::Refuse(refusal.clone()),
            Kind::Keys(keys) => keys.route(sharding, arguments, shards),
        }
    }
}

enum Stop {
    Failure(Failure),
    Another(u32, u32),
}

impl Keys {
    #[inline]
    fn route(&self, sharding: &Sharding, arguments: &impl Arguments, shards: u32) -> Answer {
        let mut found: Option<u32> = None;
        let mut first = self.first;
        for key in &self.keys {
            let mut another = None;
            let result = key.source.each(arguments, |hash| {
                let shard = shard_of(hash, shards);
                match found {
                    None => found = Some(shard),
                    Some(known) if known != shard => another = another.or(Some((known, shard))),
                    Some(_) => {}
                }
                Ok(())
            });
            let stop = match (result, another) {
                (Err(failure), _) => Stop::Failure(failure),
                (Ok(()), Some((known, shard))) => Stop::Another(known, shard),
                (Ok(()), None) => continue,
            };
            match self.stopped(key, &stop, sharding) {
                None => first = true,
                Some(refusal) => return Answer::Refuse(Box::new(refusal)),
            }
        }
        match found {
            Some(shard) => Answer::Shard(shard),
            None if first => Answer::Shard(0),
            None => Answer::AnyShard,
        }
    }

    /// None when the configuration lets a key be missing.
    #[cold]
    fn stopped(&self, key: &Key, stop: &Stop, sharding: &Sharding) -> Option<Refusal> {
        let table = &sharding.tables[key.table];
        match *stop {
            Stop::Failure(failure) => {
                let may_be_missing = failure.is_missing_key() && key.purpose != Purpose::KeyChange;
                let passes = may_be_missing && sharding.on_missing_key == OnMissingKey::First;
                (!passes).then(|| Refusal::failure(table, &failure, &sharding.server_encoding))
            }
            Stop::Another(known, shard) if key.purpose == Purpose::KeyChange => {
                Some(Refusal::key_moves(table, known, shard))
            }
            Stop::Another(known, shard) => Some(Refusal::several_shards(table, known, shard)),
        }
    }
}

//! Pooler plugin that finds the shard of a statement by PostgreSQL's own hash partitioning.
//!
//! `analysis` turns the parse tree of each distinct text into a `plan`, once; `plan` finds the shard of each execution.

#![deny(unsafe_code)]

mod analysis;
mod array;
mod config;
mod encoding;
pub mod hash;
pub mod key;
mod plan;
#[cfg(test)]
mod plan_tests;
mod plugin;
mod refusal;
mod source;
mod tree;

pub use plugin::HashSharding;

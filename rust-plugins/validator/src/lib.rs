//! Pooler plugin that refuses statements which break the configured rules.
//!
//! A statement's parse tree is read into a model (`reader`), which rules examine once for each text (`rules`); what depends
//! on parameters and session is checked with each execution (`execution`). What cannot be read is refused.

#![deny(unsafe_code)]

mod bound;
mod config;
mod execution;
mod finding;
mod kinds;
mod model;
mod plugin;
mod reader;
mod rules;
mod scope;
mod seen;
#[cfg(test)]
mod tests;

pub use plugin::Validator;

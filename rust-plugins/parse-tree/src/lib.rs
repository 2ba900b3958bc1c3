//! Reads the parse trees that the host gives to plugins: libpg_query's JSON of PostgreSQL's own grammar.
//!
//! It knows how the JSON spells nodes, names and constants, and which functions PostgreSQL brings along. It decides nothing:
//! what a statement may do and where it goes is the plugins' business.

#![forbid(unsafe_code)]

mod constant;
pub mod functions;
mod name;
mod node;
pub mod pattern;
#[cfg(feature = "testing")]
pub mod testing;

pub use constant::{Constant, TypeName, boolean_option, constant};
pub use name::{Name, Relation};
pub use node::{Fields, Node, for_each_child, statement};
pub use pattern::Pattern;

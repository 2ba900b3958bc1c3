//! SDK for native plugins of Pooler, the PostgreSQL connection pooler.
//!
//! A plugin is a shared library that is asked about statements and answers with one of five verdicts. The shortest
//! one is a function:
//!
//! ```
//! use pooler_plugin::*;
//!
//! #[route]
//! fn route_query(input: Input) -> Output {
//!     if let Some(query) = input.query() {
//!         if let Some(id) = query.parameter(0) {            // $1
//!             if let Some(text) = id.as_str() { /* text format */ }
//!             else { let _bytes = id.as_bytes(); /* binary format */ }
//!         }
//!         let route = if query.starts_with("SELECT") { Route::read_any() } else { Route::write_any() };
//!         return Output::forward(route);
//!     }
//!     Output::skip()
//! }
//! # fn main() {}
//! ```
//!
//! With state, configuration, and what is worth remembering about each statement text, implement [`Plugin`] and
//! name it in [`export_plugin!`]. One that has to wait, for a remote service or a table, is a [`BlockingPlugin`].
//! [`testing`] runs a plugin without a pooler.
//!
//! What the SDK takes care of: frames are checked before anything is read from them, panics become a status and a
//! message, answers that do not fit the host's buffer are kept until it has made room, configuration errors name
//! the field. A plugin needs no `unsafe`.
#![deny(missing_docs)]

#[cfg(panic = "abort")]
compile_error!(
    "a Pooler plugin must be built with panic = \"unwind\": with \"abort\" a panic would end the pooler's worker. \
     Remove panic = \"abort\" from [profile.*] in Cargo.toml."
);

// `#[route]` names the crate as its users do, also in this crate's own tests.
extern crate self as pooler_plugin;

mod blocking;
mod client;
mod cluster;
mod decode;
mod encode;
mod entry;
mod entry_blocking;
mod entry_common;
mod entry_hooks;
mod error;
mod export;
mod export_blocking;
mod facts;
mod frame;
mod input;
pub mod oid;
mod output;
mod pairs;
mod panics;
mod parameter;
mod parse_tree;
mod plugin;
mod query;
mod query_end;
mod route;
mod row;
mod rows;
mod server;
mod session;
pub mod sys;
pub mod testing;

pub use blocking::BlockingPlugin;
pub use client::{Accept, Client, ClientAnswer, ClientEnd};
pub use cluster::{Cluster, ClusterHost};
pub use decode::{
    Array, Date, Decimal, Decode, DecodeError, Dimension, Format, RawValue, Time, Timestamp, TimestampTz, Uuid, Vector,
};
pub use error::Error;
pub use export::{capability, hook};
pub use facts::{Facts, Function, StatementKind, Table};
pub use input::{Input, Protocol};
pub use output::{NewParameter, Output, Refusal, Rewrite};
pub use pairs::Pairs;
pub use parameter::Parameter;
pub use parse_tree::PARSE_TREE_DEPTH;
pub use plugin::{Host, NoConfig, Plugin};
pub use pooler_plugin_macros::{client_connect, plugin, query_end, route, server_connect};
pub use query::Query;
pub use query_end::QueryEnd;
pub use route::{Role, Route, Shard};
pub use row::{Row, RowAnswer, RowChange};
pub use rows::{Column, Rows, Value};
pub use server::{First, Server, ServerAnswer};
pub use session::Session;

/// What the macros expand to. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{Info, SDK, StaticInfo, nul_terminated};
    pub use crate::export_blocking::blocking;

    /// Behind a `Plugin`.
    pub mod serial {
        pub use crate::entry::{create, destroy, fetch_output, forget_statement, learn_statement, route_query};
        pub use crate::entry_hooks::{
            client_connect, client_disconnect, query_end, reload, result_row, server_connect,
        };
    }

    /// Behind a `BlockingPlugin`.
    pub mod blocking_calls {
        pub use crate::entry_blocking::{
            client_connect, create, destroy, fetch_output, forget_statement, learn_statement, reload, route_query,
            server_connect,
        };
    }
}

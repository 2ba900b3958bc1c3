//! What a plugin is: a state made from its configuration, what it learns about statement texts, and its answers.

use crate::client::{Client, ClientAnswer, ClientEnd};
use crate::error::Error;
use crate::frame::{BadFrame, Frame, Record, first_size};
use crate::input::Input;
use crate::output::Output;
use crate::query::Query;
use crate::query_end::QueryEnd;
use crate::row::{Row, RowAnswer};
use crate::server::{Server, ServerAnswer};
use crate::sys;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::mem::offset_of;

/// A plugin with state and configuration; [`export_plugin!`](crate::export_plugin) makes it one that the host can load.
///
/// One value exists per entry of the host's configuration and worker process. Its methods are called from one
/// thread and never at the same time. A panic in one of them is caught and fails that query; the value stays in
/// use, so leave it consistent before anything that may panic.
///
/// ```
/// use pooler_plugin::*;
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     schema: String,
/// }
///
/// struct Audit {
///     config: Config,
///     seen: u64,
/// }
///
/// impl Plugin for Audit {
///     type Config = Config;
///     /// Whether a statement writes to the schema: worked out once for each text.
///     type Statement = bool;
///
///     fn new(_host: &Host<'_>, config: Config) -> Result<Self, Error> {
///         Ok(Audit { config, seen: 0 })
///     }
///
///     fn learn(&mut self, query: Query<'_>) -> Result<bool, Error> {
///         Ok(query.tables().any(|table| table.written() && table.schema() == Some(&self.config.schema)))
///     }
///
///     fn route(&mut self, _input: Input<'_>, statement: Option<&bool>) -> Output {
///         self.seen += 1;
///         match statement {
///             Some(true) => Output::error(Refusal::new("42501", "this schema is not written to")),
///             _ => Output::skip(),
///         }
///     }
/// }
///
/// export_plugin!(Audit { name: "audit", capabilities: INSPECT | FACTS });
/// # fn main() {}
/// ```
pub trait Plugin: Sized + 'static {
    /// What `[plugins.config]` holds; [`NoConfig`] when it shall hold nothing.
    type Config: DeserializeOwned;

    /// What is remembered about each statement text; `()` when that is nothing.
    type Statement: 'static;

    /// Makes the state. Called before the worker takes clients.
    ///
    /// # Errors
    /// Stop the start (or the reload) of the pooler, with the message.
    fn new(host: &Host<'_>, config: Self::Config) -> Result<Self, Error>;

    /// Looks at a statement text that was not seen before; there are no parameters, and the parse tree is there when
    /// the capability `PARSE_TREE` asks for it. What is returned is handed to [`Plugin::route`] for every execution
    /// and dropped when the host forgets the text. It must depend on the text alone: all sessions share it.
    ///
    /// # Errors
    /// Fail the query that brought the text; it is learned again with the next one. What is worth a proper answer
    /// to the client belongs into `Statement`, and is answered in `route`.
    fn learn(&mut self, query: Query<'_>) -> Result<Self::Statement, Error>;

    /// Decides about one statement. `statement` is what [`Plugin::learn`] returned for its text.
    fn route(&mut self, input: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        let _ = (input, statement);
        Output::Skip
    }

    /// Decides about a client that wants in, before it has proved anything. A failure refuses it.
    ///
    /// Called with the hook `CLIENT_CONNECT`, as the methods below are called with theirs.
    fn client_connect(&mut self, client: Client<'_>) -> ClientAnswer {
        let _ = client;
        ClientAnswer::Skip
    }

    /// Hears that a client has left, once for each that [`Plugin::client_connect`] let in.
    ///
    /// # Errors
    /// Are counted and logged.
    fn client_disconnect(&mut self, end: ClientEnd<'_>) -> Result<(), Error> {
        let _ = end;
        Ok(())
    }

    /// Decides what a new connection to a server runs first, or that it is not used. A failure means the latter.
    fn server_connect(&mut self, server: Server<'_>) -> ServerAnswer {
        let _ = server;
        ServerAnswer::Skip
    }

    /// Hears that a statement has ended, after its client has been answered. `statement` is what [`Plugin::learn`]
    /// returned for its text, if the plugin was asked about it.
    ///
    /// # Errors
    /// Are counted and logged.
    fn query_end(&mut self, end: QueryEnd<'_>, statement: Option<&Self::Statement>) -> Result<(), Error> {
        let _ = (end, statement);
        Ok(())
    }

    /// Decides about a row of a statement whose rows it asked for: see [`Output::with_rows`]. A failure fails the
    /// statement; its client gets no further row.
    fn result_row(&mut self, row: Row<'_>, statement: Option<&Self::Statement>) -> RowAnswer {
        let _ = (row, statement);
        RowAnswer::Keep
    }

    /// Takes another configuration, or the same once more: the pooler has read its file again. Prepare everything before
    /// anything is changed: after an error, and after one of another plugin, the configuration before is in force again,
    /// and the host may say so by calling this with it.
    ///
    /// # Errors
    /// Refuse the configuration, with the message.
    fn reload(&mut self, host: &Host<'_>, config: Self::Config) -> Result<(), Error> {
        let _ = (host, config);
        Ok(())
    }
}

/// The configuration of a plugin that takes none: an empty `[plugins.config]`, or none at all.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Who loads the plugin, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    record: Record<'a>,
    config: &'a [u8],
}

impl<'a> Host<'a> {
    /// Reads a frame that begins with `pooler_create_input`.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BadFrame> {
        let record = Frame(bytes).header(first_size::<sys::CreateInput>())?;
        record.slice(offset_of!(sys::CreateInput, name))?;
        let config = record.slice(offset_of!(sys::CreateInput, config))?.unwrap_or(b"{}");
        Ok(Host { record, config })
    }

    /// The name of the entry in the host's configuration.
    pub fn name(&self) -> Cow<'a, str> {
        let name = self.record.bytes(offset_of!(sys::CreateInput, name));
        String::from_utf8_lossy(name.unwrap_or_default())
    }

    /// 0-based number of the worker process.
    pub fn worker(&self) -> u32 {
        self.record.u32(offset_of!(sys::CreateInput, worker))
    }

    /// The PostgreSQL major whose grammar the host parses with.
    pub fn grammar(&self) -> u32 {
        self.record.u32(offset_of!(sys::CreateInput, grammar))
    }

    /// The minor version of the contract that the host speaks.
    pub fn abi_minor(&self) -> u32 {
        self.record.u32(offset_of!(sys::CreateInput, host_minor))
    }

    /// The configuration as JSON, as the host sent it.
    pub fn config_json(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.config)
    }

    /// The configuration as the plugin's type; what is wrong is said with the path of the field.
    pub(crate) fn config<C: DeserializeOwned>(&self) -> Result<C, Error> {
        // By way of a value: errors then say what is wrong without a line and column of JSON that nobody wrote.
        let value: serde_json::Value = serde_json::from_slice(self.config)
            .map_err(|error| Error::new(format!("config is not valid JSON: {error}")))?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." => Error::new(format!("config: {}", error.inner())),
                path => Error::new(format!("config: {path}: {}", error.inner())),
            }
        })
    }
}

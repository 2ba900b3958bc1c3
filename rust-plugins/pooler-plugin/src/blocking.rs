//! A plugin that may wait: the same questions as `Plugin`, asked by several threads at a time. Knows no threads itself.

use crate::client::{Client, ClientAnswer};
use crate::error::Error;
use crate::input::Input;
use crate::output::Output;
use crate::plugin::Host;
use crate::query::Query;
use crate::server::{Server, ServerAnswer};
use serde::de::DeserializeOwned;

/// A plugin that may wait, for a remote service or a table; `#[plugin]` or [`export_blocking_plugin!`](crate::export_blocking_plugin)
/// makes it one that the host can load.
///
/// Whoever asks waits as long as the plugin does, and nobody else. The host calls [`route`](BlockingPlugin::route),
/// [`client_connect`](BlockingPlugin::client_connect) and [`server_connect`](BlockingPlugin::server_connect) on threads of a pool, as
/// many at a time for one value as `max_concurrent` of the entry says, and gives them up after `deadline`: the session then
/// gets an error. A thread cannot be stopped, though: such a call keeps its place until it returns. So give everything that
/// you wait for a time limit of your own, shorter than `deadline`.
///
/// The other methods are called on the one thread that serves all sessions, also while calls run: they must not wait, and
/// must not take a lock that a call holds while it waits.
///
/// The hooks `query_end`, `client_disconnect` and `result_row` do not go together with waiting, and are not here.
///
/// A panic is caught and fails that call; the value stays in use. A `Mutex` that was held then is poisoned.
///
/// ```
/// use pooler_plugin::*;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// # fn ask_somebody(_: &str) -> Result<bool, Error> { Ok(true) }
///
/// #[derive(Default)]
/// struct Approval {
///     asked: AtomicU64,
/// }
///
/// #[plugin(name = "approval", capabilities = FACTS | EVERY_STATEMENT)]
/// impl BlockingPlugin for Approval {
///     type Config = NoConfig;
///     /// Whether a statement writes: worked out once for each text.
///     type Statement = bool;
///
///     fn new(_host: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
///         Ok(Approval::default())
///     }
///
///     fn learn(&self, query: Query<'_>) -> Result<bool, Error> {
///         Ok(query.facts().writes())
///     }
///
///     /// Statements that only read are not asked about.
///     fn wants(&self, writes: &bool) -> bool {
///         *writes
///     }
///
///     fn route(&self, input: Input<'_>, _writes: Option<&bool>) -> Output {
///         self.asked.fetch_add(1, Ordering::Relaxed);
///         match ask_somebody(&input.session().user()) {
///             Ok(true) => Output::skip(),
///             Ok(false) => Refusal::new("42501", "this was not approved").into(),
///             Err(error) => error.into(),
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub trait BlockingPlugin: Sized + Sync + 'static {
    /// What `[plugins.config]` holds; [`NoConfig`](crate::NoConfig) when it shall hold nothing.
    type Config: DeserializeOwned;

    /// What is remembered about each statement text; `()` when that is nothing. Calls on several threads read it, and it may
    /// be dropped on any of them.
    type Statement: Send + Sync + 'static;

    /// Makes the state. Called before the worker takes clients.
    ///
    /// # Errors
    /// Stop the start (or the reload) of the pooler, with the message.
    fn new(host: &Host<'_>, config: Self::Config) -> Result<Self, Error>;

    /// Looks at a statement text that was not seen before, as [`Plugin::learn`](crate::Plugin::learn) does. Must not wait.
    ///
    /// # Errors
    /// Fail the query that brought the text; it is learned again with the next one.
    fn learn(&self, query: Query<'_>) -> Result<Self::Statement, Error>;

    /// Whether the host shall ask about a statement at all. It is asked once, with what [`learn`](BlockingPlugin::learn) returned;
    /// when the answer is no, the statement goes past the plugin as if [`route`](BlockingPlugin::route) had said
    /// [`Output::skip`], and takes no place among `max_concurrent`. So whoever only reads is not held up by those who wait.
    fn wants(&self, statement: &Self::Statement) -> bool {
        let _ = statement;
        true
    }

    /// Decides about one statement. May wait. `statement` is what [`learn`](BlockingPlugin::learn) returned for its text.
    fn route(&self, input: Input<'_>, statement: Option<&Self::Statement>) -> Output {
        let _ = (input, statement);
        Output::Skip
    }

    /// Decides about a client that wants in, before it has proved anything. May wait. A failure refuses it.
    fn client_connect(&self, client: Client<'_>) -> ClientAnswer {
        let _ = client;
        ClientAnswer::Skip
    }

    /// Decides what a new connection to a server runs first, or that it is not used. May wait. A failure means the latter.
    fn server_connect(&self, server: Server<'_>) -> ServerAnswer {
        let _ = server;
        ServerAnswer::Skip
    }

    /// Takes another configuration, or the same once more, as [`Plugin::reload`](crate::Plugin::reload) does. Must not wait.
    /// Calls that run go on with what they have: `RwLock<Arc<Config>>`, cloned at a call's start, does that.
    ///
    /// # Errors
    /// Refuse the configuration, with the message.
    fn reload(&self, host: &Host<'_>, config: Self::Config) -> Result<(), Error> {
        let _ = (host, config);
        Ok(())
    }
}

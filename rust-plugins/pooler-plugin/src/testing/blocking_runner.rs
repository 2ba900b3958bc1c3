//! Plays the host of a plugin that may wait: any number of threads ask it at a time, while statements are learned and forgotten.

use super::hooks::{client_answer, server_answer};
use super::runner::{Hook, call_hook, create_frame, create_state, exported, learned, verdict};
use super::{ClientRequest, Exports, Failure, FrameBuffer, Request, ServerRequest};
use crate::blocking::BlockingPlugin;
use crate::client::ClientAnswer;
use crate::output::Output;
use crate::server::ServerAnswer;
use crate::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A plugin that may wait and runs without a pooler. Share it between threads, as in [`std::thread::scope`].
///
/// ```
/// use pooler_plugin::testing::{BlockingRunner, Request};
/// use pooler_plugin::*;
///
/// struct Slow;
///
/// impl BlockingPlugin for Slow {
///     type Config = NoConfig;
///     type Statement = ();
///     fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
///         Ok(Slow)
///     }
///     fn learn(&self, _: Query<'_>) -> Result<(), Error> {
///         Ok(())
///     }
///     fn route(&self, _: Input<'_>, _: Option<&()>) -> Output {
///         std::thread::sleep(std::time::Duration::from_millis(1));
///         Output::skip()
///     }
/// }
///
/// let plugin = BlockingRunner::start::<Slow>("{}").unwrap();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| assert_eq!(plugin.route(&Request::new("SELECT 1")), Ok(Output::skip())));
///     }
/// });
/// ```
#[derive(Debug)]
pub struct BlockingRunner {
    exports: Exports,
    state: *mut c_void,
    capacity: usize,
    /// The statements that are learned. Whoever holds it is "the one thread".
    statements: Mutex<HashMap<u64, Known>>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    /// How many calls about it are under way.
    calls: usize,
    /// The plugin does not want to be asked about it.
    not_mine: bool,
}

// SAFETY: `state` is that of a plugin that may be called by several threads at a time; what may not is called under the lock.
unsafe impl Sync for BlockingRunner {}
// SAFETY: it may be created and destroyed on different threads, as the host's contract has it for such plugins.
unsafe impl Send for BlockingRunner {}

impl BlockingRunner {
    /// Creates a plugin with `[plugins.config]` as JSON.
    ///
    /// # Errors
    /// When the plugin refuses it.
    pub fn start<P: BlockingPlugin>(config_json: &str) -> Result<Self, Failure> {
        BlockingRunner::create(Exports::of_blocking::<P>(), config_json)
    }

    /// Creates the plugin of a shared library.
    ///
    /// # Errors
    /// When it cannot be loaded, does not say that it may wait, or refuses the configuration.
    pub fn load(path: &Path, config_json: &str) -> Result<Self, Failure> {
        let exports = Exports::load(path).map_err(|message| Failure { status: sys::FAILED, message })?;
        match exports.info() {
            Some((info, ..)) if info.capabilities & sys::CAP_BLOCKING != 0 => {
                BlockingRunner::create(exports, config_json)
            }
            _ => Err(Failure { status: sys::FAILED, message: "it does not say that it may wait".to_owned() }),
        }
    }

    fn create(exports: Exports, config_json: &str) -> Result<Self, Failure> {
        let state = create_state(&exports, config_json)?;
        Ok(BlockingRunner {
            exports,
            state,
            capacity: 64 << 10,
            statements: Mutex::default(),
            returned: Condvar::new(),
        })
    }

    /// Sets the capacity of the output frames, 64 KiB without it. Answers that do not fit are fetched.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(size_of::<sys::Output>());
    }

    /// Asks the plugin, and lets it learn the statement first when its id is new. What it does not want to be asked about is skipped.
    ///
    /// # Errors
    /// When a hook fails, or the answer is malformed.
    pub fn route(&self, request: &Request) -> Result<Output, Failure> {
        let id = request.statement_id();
        let mut statements = self.lock();
        if !statements.contains_key(&id) {
            self.learn_locked(&mut statements, request)?;
        }
        let known = statements.entry(id).or_default();
        if known.not_mine {
            return Ok(Output::Skip);
        }
        known.calls += 1;
        drop(statements);
        let route_query = exported(self.exports.route_query, "pooler_route_query");
        let answer = route_query.and_then(|hook| self.call(&request.frame(), hook)).and_then(verdict);
        if let Some(known) = self.lock().get_mut(&id) {
            known.calls -= 1;
        }
        self.returned.notify_all();
        answer
    }

    /// Lets the plugin learn the statement.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn learn(&self, request: &Request) -> Result<(), Failure> {
        self.learn_locked(&mut self.lock(), request)
    }

    /// Lets the plugin forget the statement, when the last call about it has returned.
    pub fn forget(&self, request: &Request) {
        let id = request.statement_id();
        let busy = |statements: &mut HashMap<u64, Known>| statements.get(&id).is_some_and(|known| known.calls > 0);
        let mut statements = self.returned.wait_while(self.lock(), busy).unwrap_or_else(PoisonError::into_inner);
        if let (Some(_), Some(forget)) = (statements.remove(&id), self.exports.forget_statement) {
            // SAFETY: `state` came from this plugin; nobody asks about the statement, nor learns one.
            unsafe { forget(self.state, id) };
        }
    }

    /// A client wants in.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn client_connect(&self, client: &ClientRequest) -> Result<ClientAnswer, Failure> {
        let hook = exported(self.exports.client_connect, "pooler_client_connect")?;
        let (status, output) = self.call(&client.frame(), hook)?;
        client_answer(status, &output)
    }

    /// There is a new connection to a server.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn server_connect(&self, server: &ServerRequest) -> Result<ServerAnswer, Failure> {
        let hook = exported(self.exports.server_connect, "pooler_server_connect")?;
        let (status, output) = self.call(&server.frame(), hook)?;
        server_answer(status, &output)
    }

    /// The configuration was read again.
    ///
    /// # Errors
    /// When the plugin refuses it.
    pub fn reload(&self, config_json: &str) -> Result<(), Failure> {
        let hook = exported(self.exports.reload, "pooler_reload")?;
        let _one_thread = self.lock();
        self.call(&create_frame(config_json), hook).map(|_| ())
    }

    fn learn_locked(&self, statements: &mut HashMap<u64, Known>, request: &Request) -> Result<(), Failure> {
        let mut not_mine = false;
        if let Some(learn) = self.exports.learn_statement {
            let answer = self.call(&request.learn_frame(), learn);
            not_mine = matches!(answer, Ok((sys::NOT_MINE, _)));
            if !not_mine {
                learned(answer)?;
            }
        }
        statements.entry(request.statement_id()).or_default().not_mine = not_mine;
        Ok(())
    }

    fn call<I>(&self, input: &FrameBuffer, hook: Hook<I>) -> Result<(sys::Status, FrameBuffer), Failure> {
        // SAFETY: `state` came from this plugin, which may be called by several threads; what may not is called under the lock.
        unsafe { call_hook(&self.exports, self.state, self.capacity, input, hook) }.0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlockingRunner {
    fn drop(&mut self) {
        // SAFETY: `state` came from this plugin and is not used again; nobody else has the runner.
        unsafe { (self.exports.destroy)(self.state) };
    }
}

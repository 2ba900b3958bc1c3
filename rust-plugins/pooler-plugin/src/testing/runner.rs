//! Plays the host: creates a plugin's state, lets it learn, asks it, fetches what did not fit, destroys it.

use super::{Exports, FrameBuffer, Request, answer};
use crate::output::Output;
use crate::plugin::Plugin;
use crate::sys;
use std::collections::HashSet;
use std::ffi::c_void;
use std::fmt;
use std::mem::{offset_of, size_of};
use std::path::Path;

/// As in the host: no answer may want more.
const LARGEST_OUTPUT: usize = 64 << 20;

/// A hook that did not answer with a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `POOLER_FAILED`, `POOLER_PANICKED`, `POOLER_BAD_INPUT`, or a verdict whose frame is malformed.
    pub status: sys::Status,
    /// The plugin's words.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}: {}", self.status, self.message)
    }
}

impl std::error::Error for Failure {}

/// A plugin that runs without a pooler.
#[derive(Debug)]
pub struct Runner {
    pub(super) exports: Exports,
    pub(super) state: *mut c_void,
    learned: HashSet<u64>,
    capacity: usize,
    fetches: usize,
}

impl Runner {
    /// Creates a plugin with `[plugins.config]` as JSON.
    ///
    /// # Errors
    /// When the plugin refuses it.
    pub fn start<P: Plugin>(config_json: &str) -> Result<Self, Failure> {
        Runner::create(Exports::of::<P>(), config_json)
    }

    /// Creates the plugin of a shared library.
    ///
    /// # Errors
    /// When it cannot be loaded, or refuses the configuration.
    pub fn load(path: &Path, config_json: &str) -> Result<Self, Failure> {
        let exports = Exports::load(path).map_err(|message| Failure { status: sys::FAILED, message })?;
        Runner::create(exports, config_json)
    }

    /// Creates a plugin from its entry points.
    ///
    /// # Errors
    /// When the plugin refuses the configuration.
    pub fn create(exports: Exports, config_json: &str) -> Result<Self, Failure> {
        let state = create_state(&exports, config_json)?;
        Ok(Runner { exports, state, learned: HashSet::new(), capacity: 64 << 10, fetches: 0 })
    }

    /// Sets the capacity of the output frame, 64 KiB without it. Answers that do not fit are fetched.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(size_of::<sys::Output>());
    }

    /// How many answers had to be fetched.
    pub fn fetches(&self) -> usize {
        self.fetches
    }

    /// Asks the plugin, and lets it learn the statement first when its id is new.
    ///
    /// # Errors
    /// When a hook fails, or the answer is malformed.
    pub fn route(&mut self, request: &Request) -> Result<Output, Failure> {
        if !self.learned.contains(&request.statement_id()) {
            self.learn(request)?;
        }
        self.route_frame(&request.frame())
    }

    /// Lets the plugin learn the statement.
    ///
    /// # Errors
    /// When the plugin fails.
    pub fn learn(&mut self, request: &Request) -> Result<(), Failure> {
        self.learn_frame(&request.learn_frame())?;
        self.learned.insert(request.statement_id());
        Ok(())
    }

    /// Lets the plugin forget the statement.
    pub fn forget(&mut self, request: &Request) {
        let id = request.statement_id();
        if let (true, Some(forget)) = (self.learned.remove(&id), self.exports.forget_statement) {
            // SAFETY: `state` came from this plugin, and no other hook is under way.
            unsafe { forget(self.state, id) };
        }
    }

    /// Asks the plugin with a frame as it is, which may be malformed.
    ///
    /// # Errors
    /// When the hook fails, or the answer is malformed.
    pub fn route_frame(&mut self, input: &FrameBuffer) -> Result<Output, Failure> {
        let route_query = exported(self.exports.route_query, "pooler_route_query")?;
        self.call(input, route_query).and_then(verdict)
    }

    /// Calls a hook, and fetches what did not fit; a status below 0 is a failure.
    pub(super) fn call<I>(
        &mut self,
        input: &FrameBuffer,
        hook: Hook<I>,
    ) -> Result<(sys::Status, FrameBuffer), Failure> {
        // SAFETY: `state` came from this plugin, and no other hook is under way.
        let (answer, fetched) = unsafe { call_hook(&self.exports, self.state, self.capacity, input, hook) };
        self.fetches += usize::from(fetched);
        answer
    }

    /// Lets the plugin learn from a frame as it is, which may be malformed.
    ///
    /// # Errors
    /// When the hook fails.
    pub fn learn_frame(&mut self, input: &FrameBuffer) -> Result<(), Failure> {
        let Some(learn) = self.exports.learn_statement else { return Ok(()) };
        learned(self.call(input, learn))
    }
}

/// The answer of `pooler_learn_statement`.
pub(super) fn learned(answer: Result<(sys::Status, FrameBuffer), Failure>) -> Result<(), Failure> {
    match answer? {
        (sys::OK, _) => Ok(()),
        (status, output) => Err(Failure { status, message: answer::message(output.bytes()) }),
    }
}

/// The answer of `pooler_route_query`.
pub(super) fn verdict((status, output): (sys::Status, FrameBuffer)) -> Result<Output, Failure> {
    answer::read(status, output.bytes()).map_err(|bad| Failure { status, message: bad.to_string() })
}

/// What a library lacks.
pub(super) fn exported<F>(hook: Option<F>, symbol: &str) -> Result<F, Failure> {
    hook.ok_or_else(|| Failure { status: sys::FAILED, message: format!("it has no {symbol}") })
}

impl Drop for Runner {
    fn drop(&mut self) {
        // SAFETY: `state` came from this plugin and is not used again.
        unsafe { (self.exports.destroy)(self.state) };
    }
}

/// A hook with an input and an output.
pub(super) type Hook<I> = unsafe extern "C" fn(*mut c_void, *const I, u32, *mut sys::Output, u32) -> sys::Status;

/// Calls `pooler_create`.
pub(super) fn create_state(exports: &Exports, config_json: &str) -> Result<*mut c_void, Failure> {
    let input = create_frame(config_json);
    let mut output = output_frame(4096);
    let mut state = std::ptr::null_mut();
    // SAFETY: two frames with their lengths, and a place for the state.
    let status = unsafe {
        (exports.create)(
            input.bytes().as_ptr().cast(),
            input.len() as u32,
            output.bytes_mut().as_mut_ptr().cast(),
            output.len() as u32,
            &mut state,
        )
    };
    match status {
        sys::OK => Ok(state),
        status => Err(Failure { status, message: answer::message(output.bytes()) }),
    }
}

/// Calls a hook, and fetches what did not fit; a status below 0 is a failure. Says whether it fetched.
///
/// # Safety
/// `state` came from these exports, and the plugin may be called now.
pub(super) unsafe fn call_hook<I>(
    exports: &Exports,
    state: *mut c_void,
    capacity: usize,
    input: &FrameBuffer,
    hook: Hook<I>,
) -> (Result<(sys::Status, FrameBuffer), Failure>, bool) {
    let mut fetched = false;
    let mut output = output_frame(capacity);
    // SAFETY: what the caller vouches for; both frames have their lengths.
    let mut status = unsafe {
        hook(
            state,
            input.bytes().as_ptr().cast(),
            input.len() as u32,
            output.bytes_mut().as_mut_ptr().cast(),
            output.len() as u32,
        )
    };
    if let (sys::NEEDS_SPACE, Some(fetch_output)) = (status, exports.fetch_output) {
        let wanted = needed(&output);
        if wanted <= output.len() || wanted > LARGEST_OUTPUT {
            let message = format!("it wants {wanted} bytes for its answer, it had {}", output.len());
            return (Err(Failure { status, message }), false);
        }
        fetched = true;
        let number = cookie(&output); // a plugin that may wait knows by it which answer is meant
        output = output_frame(wanted);
        output.put_u64(offset_of!(sys::Output, cookie), number);
        // SAFETY: as above.
        status = unsafe { fetch_output(state, output.bytes_mut().as_mut_ptr().cast(), output.len() as u32) };
    }
    match status {
        failed if failed < 0 => (Err(Failure { status, message: answer::message(output.bytes()) }), fetched),
        status => (Ok((status, output)), fetched),
    }
}

/// What `pooler_create` and `pooler_reload` are given.
pub(super) fn create_frame(config_json: &str) -> FrameBuffer {
    let mut input = FrameBuffer::default();
    input.reserve(size_of::<sys::CreateInput>());
    input.put_u32(offset_of!(sys::CreateInput, size), size_of::<sys::CreateInput>() as u32);
    input.put_u32(offset_of!(sys::CreateInput, host_minor), sys::ABI_MINOR);
    input.put_u32(offset_of!(sys::CreateInput, grammar), 17);
    input.put_slice(offset_of!(sys::CreateInput, config), Some(config_json.as_bytes()));
    input.put_slice(offset_of!(sys::CreateInput, name), Some(b"plugin-under-test"));
    input
}

/// A zeroed output frame that says its size, as the host prepares it.
fn output_frame(capacity: usize) -> FrameBuffer {
    let mut frame = FrameBuffer::zeroed(capacity.max(size_of::<sys::Output>()));
    frame.put_u32(offset_of!(sys::Output, size), size_of::<sys::Output>() as u32);
    frame
}

fn needed(frame: &FrameBuffer) -> usize {
    let at = offset_of!(sys::Output, needed);
    frame.bytes().get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes) as usize)
}

fn cookie(frame: &FrameBuffer) -> u64 {
    let at = offset_of!(sys::Output, cookie);
    frame.bytes().get(at..).and_then(|rest| rest.first_chunk().copied()).map_or(0, u64::from_ne_bytes)
}

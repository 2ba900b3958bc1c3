//! The exported functions of a plugin that may wait. They are called by several threads with the same state: it is only
//! ever shared, what is learned is read through a lock that is held for a moment, and each answer that waits for space
//! has a number of its own.

use crate::blocking::BlockingPlugin;
use crate::client::Client;
use crate::encode::{Encoded, encode_failure};
use crate::entry_common::{ById, WaitingAnswer, created, done, frame_out, hooks};
use crate::input::Input;
use crate::panics;
use crate::plugin::Host;
use crate::server::Server;
use crate::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What `pooler_create` hands out: the plugin, what it has learned, and answers that wait for more space.
struct Shared<P: BlockingPlugin> {
    plugin: P,
    statements: Statements<P::Statement>,
    waiting: Waiting,
}

/// What was learned, by statement id. Nobody holds the lock while a plugin works: a call takes a reference along.
struct Statements<S>(RwLock<ById<Arc<S>>>);

impl<S> Statements<S> {
    fn get(&self, id: u64) -> Option<Arc<S>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)
    }

    /// What was there before is returned, so that it is dropped without the lock.
    fn set(&self, id: u64, learned: S) -> Option<Arc<S>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(learned))
    }

    fn remove(&self, id: u64) -> Option<Arc<S>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

/// Answers that did not fit, by the number that the host was given. It fetches each of them, also when nobody wants it any more.
#[derive(Default)]
struct Waiting(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    answers: HashMap<u64, WaitingAnswer>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an answer, or keeps it and says under which number.
    fn write(&self, answer: WaitingAnswer, frame: &mut [u8]) -> sys::Status {
        match answer.encode(frame) {
            Encoded::Status(status) => status,
            Encoded::NeedsSpace => {
                let mut kept = self.lock();
                kept.last += 1;
                let number = kept.last;
                set_cookie(frame, number);
                kept.answers.insert(number, answer);
                sys::NEEDS_SPACE
            }
        }
    }

    fn take(&self, number: u64) -> Option<WaitingAnswer> {
        self.lock().answers.remove(&number)
    }
}

const COOKIE: usize = offset_of!(sys::Output, cookie);

fn cookie(frame: &[u8]) -> u64 {
    frame.get(COOKIE..).and_then(|rest| rest.first_chunk().copied()).map_or(0, u64::from_ne_bytes)
}

fn set_cookie(frame: &mut [u8], cookie: u64) {
    if let Some(field) = frame.get_mut(COOKIE..COOKIE + size_of::<u64>()) {
        field.copy_from_slice(&cookie.to_ne_bytes());
    }
}

/// `pooler_create`
///
/// # Safety
/// The contract of the header: `input` and `output` are frames of the given lengths, `state` can be written.
pub unsafe extern "C" fn create<P: BlockingPlugin>(
    input: *const sys::CreateInput,
    input_length: u32,
    output: *mut sys::Output,
    output_capacity: u32,
    state: *mut *mut c_void,
) -> sys::Status {
    let make = |host: &Host<'_>| {
        let plugin = P::new(host, host.config()?)?;
        Ok(Shared { plugin, statements: Statements(RwLock::default()), waiting: Waiting::default() })
    };
    // SAFETY: what the caller vouches for; two frames of one call do not overlap.
    unsafe { created((input.cast(), input_length), (output.cast(), output_capacity), state, make) }
}

/// `pooler_destroy`
///
/// # Safety
/// `state` is null, or came from [`create`] with the same `P` and is not used again; no call is under way.
pub unsafe extern "C" fn destroy<P: BlockingPlugin>(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // A panic in the plugin's own Drop has nobody left to hear it.
    let _ = panics::guard(|| {
        // SAFETY: it was made by Box::into_raw in `create`, and the host gives it up now, when nothing runs.
        drop(unsafe { Box::from_raw(state.cast::<Shared<P>>()) });
    });
}

/// The state of a call.
///
/// # Safety
/// `state` is null, or came from [`create`] with the same `P` and was not destroyed.
unsafe fn shared<'a, P: BlockingPlugin>(state: *mut c_void) -> Option<&'a Shared<P>> {
    // SAFETY: it was made by `create`, and is only ever shared.
    unsafe { state.cast::<Shared<P>>().as_ref() }
}

/// `pooler_forget_statement`
///
/// # Safety
/// `state` came from [`create`] with the same `P` and was not destroyed.
pub unsafe extern "C" fn forget_statement<P: BlockingPlugin>(state: *mut c_void, statement_id: u64) {
    // SAFETY: what the caller vouches for.
    let Some(shared) = (unsafe { shared::<P>(state) }) else { return };
    // A panic in the Drop of what was learned has nobody to hear it.
    let _ = panics::guard(|| drop(shared.statements.remove(statement_id)));
}

/// `pooler_fetch_output`
///
/// # Safety
/// `state` came from [`create`] with the same `P` and was not destroyed; `output` is a frame of the given length.
pub unsafe extern "C" fn fetch_output<P: BlockingPlugin>(
    state: *mut c_void,
    output: *mut sys::Output,
    output_capacity: u32,
) -> sys::Status {
    // SAFETY: the host gives a frame that belongs to this call.
    let output = unsafe { frame_out(output.cast(), output_capacity) };
    // SAFETY: what the caller vouches for.
    let Some(shared) = (unsafe { shared::<P>(state) }) else {
        return encode_failure(sys::BAD_INPUT, "pooler_fetch_output was given no state", output);
    };
    let number = cookie(output);
    set_cookie(output, 0); // it means something else in an answer
    match shared.waiting.take(number) {
        Some(answer) => shared.waiting.write(answer, output),
        None => encode_failure(sys::BAD_INPUT, "no answer with this number waits to be fetched", output),
    }
}

hooks! {
    BlockingPlugin, shared:

    /// `pooler_route_query`
    route_query(Input as Input) |shared, input, output| {
        // Dropped behind the guard, too: it may be the last one who has it.
        let said = panics::guard(|| {
            let statement = input.query().and_then(|query| shared.statements.get(query.id()));
            shared.plugin.route(input, statement.as_deref())
        });
        match said {
            Ok(answer) => shared.waiting.write(WaitingAnswer::Output(answer), output),
            Err(panic) => encode_failure(sys::PANICKED, &panic, output),
        }
    };

    /// `pooler_learn_statement`
    learn_statement(Input as Input) |shared, input, output| {
        let Some(query) = input.query() else {
            return encode_failure(sys::BAD_INPUT, "there is no statement to learn", output);
        };
        let learned = panics::guard(|| {
            drop(shared.statements.remove(query.id())); // what was learned before must not outlive a failure
            let learned = shared.plugin.learn(query)?;
            let wanted = shared.plugin.wants(&learned);
            drop(shared.statements.set(query.id(), learned));
            Ok(wanted)
        });
        match learned {
            // A host that does not know it is older than any that calls plugins like this one.
            Ok(Ok(false)) => sys::NOT_MINE,
            learned => done(learned.map(|learned| learned.map(|_| ())), output),
        }
    };

    /// `pooler_client_connect`
    client_connect(ConnectInput as Client) |shared, client, output| {
        match panics::guard(|| shared.plugin.client_connect(client)) {
            Ok(answer) => shared.waiting.write(WaitingAnswer::Client(answer), output),
            Err(panic) => encode_failure(sys::PANICKED, &panic, output),
        }
    };

    /// `pooler_server_connect`
    server_connect(ServerInput as Server) |shared, server, output| {
        match panics::guard(|| shared.plugin.server_connect(server)) {
            Ok(answer) => shared.waiting.write(WaitingAnswer::Server(answer), output),
            Err(panic) => encode_failure(sys::PANICKED, &panic, output),
        }
    };

    /// `pooler_reload`
    reload(CreateInput as Host) |shared, host, output| {
        done(panics::guard(|| shared.plugin.reload(&host, host.config()?)), output)
    };
}

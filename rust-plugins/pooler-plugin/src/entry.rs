//! The exported functions, generic over the plugin: raw pointers in, a status out, nothing unwinds. What
//! `export_plugin!` and `#[route]` export only calls these. This is where the SDK's unsafe code lives.

use crate::client::ClientAnswer;
use crate::encode::{Encoded, encode, encode_client, encode_failure, encode_row, encode_server};
use crate::input::Input;
use crate::output::Output;
use crate::panics;
use crate::plugin::{Host, Plugin};
use crate::row::RowAnswer;
use crate::server::ServerAnswer;
use crate::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};

/// What `pooler_create` hands out: the plugin, what it has learned, and an answer that waits for more space.
pub(crate) struct State<P: Plugin> {
    pub(crate) plugin: P,
    pub(crate) statements: HashMap<u64, P::Statement, BuildHasherDefault<IdHasher>>,
    pub(crate) waiting: Option<Waiting>,
}

/// An answer that did not fit.
pub(crate) enum Waiting {
    Output(Output),
    Client(ClientAnswer),
    Server(ServerAnswer),
    Row(RowAnswer),
}

impl Waiting {
    fn encode(&self, frame: &mut [u8]) -> Encoded {
        match self {
            Waiting::Output(answer) => encode(answer, frame),
            Waiting::Client(answer) => encode_client(answer, frame),
            Waiting::Server(answer) => encode_server(answer, frame),
            Waiting::Row(answer) => encode_row(answer, frame),
        }
    }
}

/// Statement ids are numbers that the host hands out, so one multiplication spreads them well enough.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

/// A frame to read.
///
/// # Safety
/// `data` is null or points to `length` bytes that nobody changes while the result lives.
pub(crate) unsafe fn frame_in<'a>(data: *const u8, length: u32) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches for pointer, length and exclusive writes.
    unsafe { std::slice::from_raw_parts(data, length as usize) }
}

/// A frame to write.
///
/// # Safety
/// `data` is null or points to `length` initialised bytes that nobody else touches while the result lives.
pub(crate) unsafe fn frame_out<'a>(data: *mut u8, length: u32) -> &'a mut [u8] {
    if data.is_null() {
        return &mut [];
    }
    // SAFETY: the caller vouches for pointer, length and exclusive access.
    unsafe { std::slice::from_raw_parts_mut(data, length as usize) }
}

/// `pooler_create`
///
/// # Safety
/// The contract of the header: `input` and `output` are frames of the given lengths, `state` can be written.
pub unsafe extern "C" fn create<P: Plugin>(
    input: *const sys::CreateInput,
    input_length: u32,
    output: *mut sys::Output,
    output_capacity: u32,
    state: *mut *mut c_void,
) -> sys::Status {
    panics::install_hook();
    // SAFETY: the host gives two frames that do not overlap and belong to this call.
    let (input, output) = unsafe { (frame_in(input.cast(), input_length), frame_out(output.cast(), output_capacity)) };
    if state.is_null() {
        return encode_failure(sys::BAD_INPUT, "pooler_create was given no place for the state", output);
    }
    let host = match Host::read(input) {
        Ok(host) => host,
        Err(bad) => return encode_failure(sys::BAD_INPUT, &bad.to_string(), output),
    };
    match panics::guard(|| P::new(&host, host.config()?)) {
        Ok(Ok(plugin)) => {
            let made = State { plugin, statements: HashMap::default(), waiting: None };
            // SAFETY: `state` is not null, and the host lets it be written.
            unsafe { *state = Box::into_raw(Box::new(made)).cast() };
            sys::OK
        }
        Ok(Err(error)) => encode_failure(sys::FAILED, &error.to_string(), output),
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

/// `pooler_destroy`
///
/// # Safety
/// `state` is null, or came from [`create`] with the same `P` and is not used again.
pub unsafe extern "C" fn destroy<P: Plugin>(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // A panic in the plugin's own Drop has nobody left to hear it.
    let _ = panics::guard(|| {
        // SAFETY: it was made by Box::into_raw in `create`, and the host gives it up now.
        drop(unsafe { Box::from_raw(state.cast::<State<P>>()) });
    });
}

/// `pooler_route_query`
///
/// # Safety
/// `state` came from [`create`] with the same `P`; `input` and `output` are frames of the given lengths; no other
/// hook of this state is under way.
pub unsafe extern "C" fn route_query<P: Plugin>(
    state: *mut c_void,
    input: *const sys::Input,
    input_length: u32,
    output: *mut sys::Output,
    output_capacity: u32,
) -> sys::Status {
    // SAFETY: the host gives two frames that do not overlap and belong to this call.
    let (input, output) = unsafe { (frame_in(input.cast(), input_length), frame_out(output.cast(), output_capacity)) };
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    let Some(state) = (unsafe { state.cast::<State<P>>().as_mut() }) else {
        return encode_failure(sys::BAD_INPUT, "pooler_route_query was given no state", output);
    };
    state.waiting = None;
    let input = match Input::read(input) {
        Ok(input) => input,
        Err(bad) => return encode_failure(sys::BAD_INPUT, &bad.to_string(), output),
    };
    let answer = panics::guard(|| {
        let statement = input.query().and_then(|query| state.statements.get(&query.id()));
        state.plugin.route(input, statement)
    });
    match answer {
        Ok(answer) => match encode(&answer, output) {
            Encoded::Status(status) => status,
            Encoded::NeedsSpace => {
                state.waiting = Some(Waiting::Output(answer));
                sys::NEEDS_SPACE
            }
        },
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

/// `pooler_fetch_output`
///
/// # Safety
/// As [`route_query`], without an input frame.
pub unsafe extern "C" fn fetch_output<P: Plugin>(
    state: *mut c_void,
    output: *mut sys::Output,
    output_capacity: u32,
) -> sys::Status {
    // SAFETY: the host gives a frame that belongs to this call.
    let output = unsafe { frame_out(output.cast(), output_capacity) };
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    let Some(state) = (unsafe { state.cast::<State<P>>().as_mut() }) else {
        return encode_failure(sys::BAD_INPUT, "pooler_fetch_output was given no state", output);
    };
    let Some(answer) = state.waiting.take() else {
        return encode_failure(sys::BAD_INPUT, "no answer waits to be fetched", output);
    };
    match answer.encode(output) {
        Encoded::Status(status) => status,
        Encoded::NeedsSpace => {
            state.waiting = Some(answer);
            sys::NEEDS_SPACE
        }
    }
}

/// `pooler_learn_statement`
///
/// # Safety
/// As [`route_query`].
pub unsafe extern "C" fn learn_statement<P: Plugin>(
    state: *mut c_void,
    input: *const sys::Input,
    input_length: u32,
    output: *mut sys::Output,
    output_capacity: u32,
) -> sys::Status {
    // SAFETY: the host gives two frames that do not overlap and belong to this call.
    let (input, output) = unsafe { (frame_in(input.cast(), input_length), frame_out(output.cast(), output_capacity)) };
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    let Some(state) = (unsafe { state.cast::<State<P>>().as_mut() }) else {
        return encode_failure(sys::BAD_INPUT, "pooler_learn_statement was given no state", output);
    };
    let query = match Input::read(input) {
        Ok(input) => input.query(),
        Err(bad) => return encode_failure(sys::BAD_INPUT, &bad.to_string(), output),
    };
    let Some(query) = query else {
        return encode_failure(sys::BAD_INPUT, "there is no statement to learn", output);
    };
    let learned = panics::guard(|| {
        state.statements.remove(&query.id()); // what was learned before must not outlive a failure
        let learned = state.plugin.learn(query)?;
        state.statements.insert(query.id(), learned);
        Ok::<_, crate::Error>(())
    });
    match learned {
        Ok(Ok(())) => sys::OK,
        Ok(Err(error)) => encode_failure(sys::FAILED, &error.to_string(), output),
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

/// `pooler_forget_statement`
///
/// # Safety
/// `state` came from [`create`] with the same `P`; no other hook of this state is under way.
pub unsafe extern "C" fn forget_statement<P: Plugin>(state: *mut c_void, statement_id: u64) {
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    let Some(state) = (unsafe { state.cast::<State<P>>().as_mut() }) else { return };
    // A panic in the Drop of what was learned has nobody to hear it.
    let _ = panics::guard(|| drop(state.statements.remove(&statement_id)));
}

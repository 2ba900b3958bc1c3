//! What the exported functions of both kinds of plugins have in common: frames out of raw pointers, making the state, the
//! shell around a hook. Knows neither `Plugin` nor `BlockingPlugin`: how a state is reached is their modules' matter.

use crate::client::ClientAnswer;
use crate::encode::{Encoded, encode, encode_client, encode_failure, encode_row, encode_server};
use crate::error::Error;
use crate::frame::BadFrame;
use crate::output::Output;
use crate::panics;
use crate::plugin::Host;
use crate::row::RowAnswer;
use crate::server::ServerAnswer;
use crate::sys;
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};

/// An answer that did not fit.
pub(crate) enum WaitingAnswer {
    Output(Output),
    Client(ClientAnswer),
    Server(ServerAnswer),
    Row(RowAnswer),
}

impl WaitingAnswer {
    pub(crate) fn encode(&self, frame: &mut [u8]) -> Encoded {
        match self {
            WaitingAnswer::Output(answer) => encode(answer, frame),
            WaitingAnswer::Client(answer) => encode_client(answer, frame),
            WaitingAnswer::Server(answer) => encode_server(answer, frame),
            WaitingAnswer::Row(answer) => encode_row(answer, frame),
        }
    }
}

/// Something for each statement id.
pub(crate) type ById<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

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

/// What `pooler_create` does: reads the frame, makes the state, and hands it out as a `Box` of `S`.
///
/// # Safety
/// `input` and `output` are frames of the given lengths that belong to this call and do not overlap; `state` is null or
/// can be written.
pub(crate) unsafe fn created<S>(
    (input, input_length): (*const u8, u32),
    (output, output_capacity): (*mut u8, u32),
    state: *mut *mut c_void,
    make: impl FnOnce(&Host<'_>) -> Result<S, Error>,
) -> sys::Status {
    panics::install_hook();
    // SAFETY: what the caller vouches for.
    let (input, output) = unsafe { (frame_in(input, input_length), frame_out(output, output_capacity)) };
    if state.is_null() {
        return encode_failure(sys::BAD_INPUT, "pooler_create was given no place for the state", output);
    }
    let host = match Host::read(input) {
        Ok(host) => host,
        Err(bad) => return encode_failure(sys::BAD_INPUT, &bad.to_string(), output),
    };
    let made = panics::guard(|| make(&host)).map(|made| {
        made.map(|made| {
            // SAFETY: `state` is not null, and the caller vouches for the rest.
            unsafe { *state = Box::into_raw(Box::new(made)).cast() };
        })
    });
    done(made, output)
}

/// What each hook does: looks at state and frame, calls the plugin, writes what it said.
///
/// # Safety
/// `input` and `output` are frames of the given lengths that belong to this call and do not overlap.
pub(crate) unsafe fn called<'a, S, V>(
    state: Option<S>,
    (input, input_length): (*const u8, u32),
    (output, output_capacity): (*mut u8, u32),
    read: fn(&'a [u8]) -> Result<V, BadFrame>,
    hook: fn(S, V, &mut [u8]) -> sys::Status,
) -> sys::Status {
    // SAFETY: what the caller vouches for.
    let (input, output) = unsafe { (frame_in(input, input_length), frame_out(output, output_capacity)) };
    let Some(state) = state else {
        return encode_failure(sys::BAD_INPUT, "a hook was given no state", output);
    };
    match read(input) {
        Ok(view) => hook(state, view, output),
        Err(bad) => encode_failure(sys::BAD_INPUT, &bad.to_string(), output),
    }
}

/// The status of a call that has nothing to answer.
pub(crate) fn done(result: Result<Result<(), Error>, String>, output: &mut [u8]) -> sys::Status {
    match result {
        Ok(Ok(())) => sys::OK,
        Ok(Err(error)) => encode_failure(sys::FAILED, &error.to_string(), output),
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

/// Exported functions of the plugins that implement a trait; `reach` makes the state of the host's pointer. Each has a
/// name, struct and view of its input, and what is done with state, view and output.
macro_rules! hooks {
    (
        $plugin:ident, $reach:ident:
        $($(#[$doc:meta])* $name:ident($input:ident as $view:ident) $hook:expr;)*
    ) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        /// The contract of the header: `state` came from `pooler_create` of the same `P` and was not destroyed, `input`
        /// and `output` are frames of the given lengths that belong to this call. Unless the plugin is a
        /// [`BlockingPlugin`](crate::BlockingPlugin), no other hook of this state is under way.
        pub unsafe extern "C" fn $name<P: $plugin>(
            state: *mut std::ffi::c_void,
            input: *const $crate::sys::$input,
            input_length: u32,
            output: *mut $crate::sys::Output,
            output_capacity: u32,
        ) -> $crate::sys::Status {
            // SAFETY: what the caller vouches for.
            unsafe {
                $crate::entry_common::called(
                    $reach::<P>(state),
                    (input.cast(), input_length),
                    (output.cast(), output_capacity),
                    $view::read,
                    $hook,
                )
            }
        }
    )* };
}

pub(crate) use hooks;

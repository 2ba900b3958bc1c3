//! The exported functions, generic over the plugin: raw pointers in, a status out, nothing unwinds. What
//! `export_plugin!` and `#[route]` export only calls these. Unsafe code of the SDK lives here and in the `entry_*`
//! modules.

use crate::encode::{Encoded, encode, encode_failure};
use crate::entry_common::{ById, WaitingAnswer, created, done, frame_in, frame_out};
use crate::input::Input;
use crate::panics;
use crate::plugin::{Host, Plugin};
use crate::sys;
use std::ffi::c_void;

/// What `pooler_create` hands out: the plugin, what it has learned, and an answer that waits for more space.
pub(crate) struct State<P: Plugin> {
    pub(crate) plugin: P,
    pub(crate) statements: ById<P::Statement>,
    pub(crate) waiting: Option<WaitingAnswer>,
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
    let make = |host: &Host<'_>| {
        Ok(State { plugin: P::new(host, host.config()?)?, statements: ById::default(), waiting: None })
    };
    // SAFETY: what the caller vouches for; two frames of one call do not overlap.
    unsafe { created((input.cast(), input_length), (output.cast(), output_capacity), state, make) }
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
                state.waiting = Some(WaitingAnswer::Output(answer));
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
        Ok(())
    });
    done(learned, output)
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

//! The exported functions of the hooks beside `pooler_route_query`, generic over the plugin: raw pointers in, a status
//! out, nothing unwinds. Each is a shell around one method of `Plugin`.

use crate::client::{Client, ClientEnd};
use crate::encode::{Encoded, encode_client, encode_failure, encode_row, encode_server};
use crate::entry::{State, Waiting, frame_in, frame_out};
use crate::error::Error;
use crate::frame::BadFrame;
use crate::panics;
use crate::plugin::{Host, Plugin};
use crate::query_end::QueryEnd;
use crate::row::Row;
use crate::server::Server;
use crate::sys;
use std::ffi::c_void;

/// State, input and output of a call.
type Call<'a, P> = (&'a mut State<P>, &'a [u8], &'a mut [u8]);

/// What a call came with; the failure's status when it is none.
///
/// # Safety
/// `state` came from `create` with the same `P`; `input` and `output` are frames of the given lengths; no other hook of
/// this state is under way.
unsafe fn arrive<'a, P: Plugin>(
    state: *mut c_void,
    input: *const u8,
    input_length: u32,
    output: *mut u8,
    output_capacity: u32,
) -> Result<Call<'a, P>, sys::Status> {
    // SAFETY: the host gives two frames that do not overlap and belong to this call.
    let (input, output) = unsafe { (frame_in(input, input_length), frame_out(output, output_capacity)) };
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    match unsafe { state.cast::<State<P>>().as_mut() } {
        Some(state) => {
            state.waiting = None;
            Ok((state, input, output))
        }
        None => Err(encode_failure(sys::BAD_INPUT, "a hook was given no state", output)),
    }
}

/// Writes an answer, or keeps it until there is space.
fn answer<P: Plugin, A>(
    state: &mut State<P>,
    output: &mut [u8],
    answer: Result<A, String>,
    encode: fn(&A, &mut [u8]) -> Encoded,
    keep: fn(A) -> Waiting,
) -> sys::Status {
    match answer {
        Ok(answer) => match encode(&answer, output) {
            Encoded::Status(status) => status,
            Encoded::NeedsSpace => {
                state.waiting = Some(keep(answer));
                sys::NEEDS_SPACE
            }
        },
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

/// The status of a hook that has nothing to answer.
pub(crate) fn done(output: &mut [u8], result: Result<Result<(), Error>, String>) -> sys::Status {
    match result {
        Ok(Ok(())) => sys::OK,
        Ok(Err(error)) => encode_failure(sys::FAILED, &error.to_string(), output),
        Err(panic) => encode_failure(sys::PANICKED, &panic, output),
    }
}

fn bad(output: &mut [u8], bad: &BadFrame) -> sys::Status {
    encode_failure(sys::BAD_INPUT, &bad.to_string(), output)
}

/// What each hook does: arrive, read the frame, call the plugin, write what it said.
///
/// # Safety
/// As [`arrive`].
unsafe fn called<'a, P: Plugin, V>(
    state: *mut c_void,
    (input, input_length): (*const u8, u32),
    (output, output_capacity): (*mut u8, u32),
    read: fn(&'a [u8]) -> Result<V, BadFrame>,
    hook: fn(&mut State<P>, V, &mut [u8]) -> sys::Status,
) -> sys::Status {
    // SAFETY: what the caller vouches for.
    match unsafe { arrive::<P>(state, input, input_length, output, output_capacity) } {
        Err(status) => status,
        Ok((state, input, output)) => match read(input) {
            Err(why) => bad(output, &why),
            Ok(view) => hook(state, view, output),
        },
    }
}

/// The exported functions: name, struct and view of the input, and what is done with it.
macro_rules! hooks {
    ($($(#[$doc:meta])* $name:ident($input:ident as $view:ident) $hook:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        /// The contract of the header: `state` came from [`create`](crate::entry::create) with the same `P`, `input` and
        /// `output` are frames of the given lengths, no other hook of this state is under way.
        pub unsafe extern "C" fn $name<P: Plugin>(
            state: *mut c_void,
            input: *const sys::$input,
            input_length: u32,
            output: *mut sys::Output,
            output_capacity: u32,
        ) -> sys::Status {
            // SAFETY: what the caller vouches for.
            unsafe {
                called::<P, _>(
                    state,
                    (input.cast(), input_length),
                    (output.cast(), output_capacity),
                    $view::read,
                    $hook,
                )
            }
        }
    )* };
}

hooks! {
    /// `pooler_client_connect`
    client_connect(ConnectInput as Client) |state, client, output| {
        let said = panics::guard(|| state.plugin.client_connect(client));
        answer(state, output, said, encode_client, Waiting::Client)
    };

    /// `pooler_client_disconnect`
    client_disconnect(DisconnectInput as ClientEnd) |state, end, output| {
        done(output, panics::guard(|| state.plugin.client_disconnect(end)))
    };

    /// `pooler_server_connect`
    server_connect(ServerInput as Server) |state, server, output| {
        let said = panics::guard(|| state.plugin.server_connect(server));
        answer(state, output, said, encode_server, Waiting::Server)
    };

    /// `pooler_query_end`
    query_end(EndInput as QueryEnd) |state, end, output| {
        let State { plugin, statements, .. } = state;
        let statement = statements.get(&end.query().id());
        done(output, panics::guard(|| plugin.query_end(end, statement)))
    };

    /// `pooler_result_row`
    result_row(RowInput as Row) |state, row, output| {
        let State { plugin, statements, .. } = &mut *state;
        let statement = statements.get(&row.statement_id());
        let said = panics::guard(|| plugin.result_row(row, statement));
        answer(state, output, said, encode_row, Waiting::Row)
    };

    /// `pooler_reload`
    reload(CreateInput as Host) |state, host, output| {
        done(output, panics::guard(|| state.plugin.reload(&host, host.config()?)))
    };
}

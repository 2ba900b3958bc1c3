//! The exported functions of the hooks beside `pooler_route_query`, generic over the plugin: raw pointers in, a status
//! out, nothing unwinds. Each is a shell around one method of `Plugin`.

use crate::client::{Client, ClientEnd};
use crate::encode::{Encoded, encode_client, encode_failure, encode_row, encode_server};
use crate::entry::State;
use crate::entry_common::{WaitingAnswer, done, hooks};
use crate::panics;
use crate::plugin::{Host, Plugin};
use crate::query_end::QueryEnd;
use crate::row::Row;
use crate::server::Server;
use crate::sys;
use std::ffi::c_void;

/// The state of a call. An answer that nobody fetched is gone with the next call.
///
/// # Safety
/// `state` is null, or came from `create` with the same `P` and was not destroyed; no other hook of it is under way.
unsafe fn alone<'a, P: Plugin>(state: *mut c_void) -> Option<&'a mut State<P>> {
    // SAFETY: it was made by `create`; hooks are never re-entered, so this is the only reference.
    let state = unsafe { state.cast::<State<P>>().as_mut() }?;
    state.waiting = None;
    Some(state)
}

/// Writes an answer, or keeps it until there is space.
fn answer<P: Plugin, A>(
    state: &mut State<P>,
    output: &mut [u8],
    answer: Result<A, String>,
    encode: fn(&A, &mut [u8]) -> Encoded,
    keep: fn(A) -> WaitingAnswer,
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

hooks! {
    Plugin, alone:

    /// `pooler_client_connect`
    client_connect(ConnectInput as Client) |state, client, output| {
        let said = panics::guard(|| state.plugin.client_connect(client));
        answer(state, output, said, encode_client, WaitingAnswer::Client)
    };

    /// `pooler_client_disconnect`
    client_disconnect(DisconnectInput as ClientEnd) |state, end, output| {
        done(panics::guard(|| state.plugin.client_disconnect(end)), output)
    };

    /// `pooler_server_connect`
    server_connect(ServerInput as Server) |state, server, output| {
        let said = panics::guard(|| state.plugin.server_connect(server));
        answer(state, output, said, encode_server, WaitingAnswer::Server)
    };

    /// `pooler_query_end`
    query_end(EndInput as QueryEnd) |state, end, output| {
        let State { plugin, statements, .. } = state;
        let statement = statements.get(&end.query().id());
        done(panics::guard(|| plugin.query_end(end, statement)), output)
    };

    /// `pooler_result_row`
    result_row(RowInput as Row) |state, row, output| {
        let State { plugin, statements, .. } = &mut *state;
        let statement = statements.get(&row.statement_id());
        let said = panics::guard(|| plugin.result_row(row, statement));
        answer(state, output, said, encode_row, WaitingAnswer::Row)
    };

    /// `pooler_reload`
    reload(CreateInput as Host) |state, host, output| {
        done(panics::guard(|| state.plugin.reload(&host, host.config()?)), output)
    };
}

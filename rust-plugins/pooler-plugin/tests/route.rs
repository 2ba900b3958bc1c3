//! `#[route]` with fields, on a function that can fail.

use pooler_plugin::testing::{Exports, Request, Runner};
use pooler_plugin::{Input, Output, Refusal, Route, route, sys};
use std::ffi::c_void;

#[route(name = "audit", version = "9.9", capabilities = FACTS | INSPECT, grammar = 15..=17)]
fn decide(input: Input<'_>) -> Result<Route, Refusal> {
    let query = input.query().ok_or(Refusal::new("XX000", "there is no statement"))?;
    let key = query.parameter(0).ok_or(Refusal::new("42P02", "there is no parameter $1"))?;
    let shard = key.decode().map_err(|error| Refusal::new("22P02", error.to_string()))?;
    Ok(Route::only_shard(shard))
}

unsafe extern "C" {
    fn pooler_plugin_info_v1() -> *const sys::PluginInfo;
    fn pooler_create(
        input: *const sys::CreateInput,
        input_length: u32,
        output: *mut sys::Output,
        capacity: u32,
        state: *mut *mut c_void,
    ) -> sys::Status;
    fn pooler_destroy(state: *mut c_void);
    fn pooler_route_query(
        state: *mut c_void,
        input: *const sys::Input,
        input_length: u32,
        output: *mut sys::Output,
        capacity: u32,
    ) -> sys::Status;
    fn pooler_fetch_output(state: *mut c_void, output: *mut sys::Output, capacity: u32) -> sys::Status;
}

#[test]
fn fields_and_results_are_taken() {
    let exports = Exports {
        plugin_info_v1: Some(pooler_plugin_info_v1),
        create: pooler_create,
        destroy: pooler_destroy,
        route_query: Some(pooler_route_query),
        fetch_output: Some(pooler_fetch_output),
        learn_statement: None,
        forget_statement: None,
        client_connect: None,
        client_disconnect: None,
        server_connect: None,
        query_end: None,
        result_row: None,
        reload: None,
    };
    let (info, name, version, _) = exports.info().expect("there is a handshake");
    assert_eq!((name.as_str(), version.as_str(), info.capabilities), ("audit", "9.9", 0x5));
    assert_eq!((info.grammar_min, info.grammar_max), (15, 17));

    let mut plugin = Runner::create(exports, "{}").expect("it starts");
    let request = Request::new("SELECT $1");
    assert_eq!(plugin.route(&request.clone().text("2")), Ok(Output::forward(Route::only_shard(2))));
    let refusal = Refusal::new("22P02", "value out of range for type oid");
    assert_eq!(plugin.route(&request.clone().text("-2")), Ok(Output::error(refusal)));
    let refusal = Refusal::new("42P02", "there is no parameter $1");
    assert_eq!(plugin.route(&request), Ok(Output::error(refusal)));
}

//! `export_plugin!` with every field: what the library then says of itself, and that its exports work.

use pooler_plugin::testing::{Exports, Request, Runner};
use pooler_plugin::{Error, Host, Input, NoConfig, Output, Plugin, Query, export_plugin, sys};
use std::ffi::c_void;

struct Counter(usize);

impl Plugin for Counter {
    type Config = NoConfig;
    type Statement = usize;

    fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
        Ok(Counter(0))
    }

    fn learn(&mut self, query: Query<'_>) -> Result<usize, Error> {
        Ok(query.sql().len())
    }

    fn route(&mut self, _: Input<'_>, length: Option<&usize>) -> Output {
        self.0 += 1;
        Output::failed(format!("call {}, length {length:?}", self.0))
    }
}

export_plugin!(Counter {
    name: "the counter",
    version: "1.2.3-rc.1",
    capabilities: INSPECT | FACTS | PARSE_TREE | EVERY_STATEMENT | FINGERPRINT,
    grammar: 13..=18,
    min_host_minor: 0,
});

mod exported {
    use super::sys;
    use std::ffi::c_void;

    unsafe extern "C" {
        pub(super) fn pooler_plugin_info_v1() -> *const sys::PluginInfo;
        pub(super) fn pooler_create(
            input: *const sys::CreateInput,
            input_length: u32,
            output: *mut sys::Output,
            capacity: u32,
            state: *mut *mut c_void,
        ) -> sys::Status;
        pub(super) fn pooler_destroy(state: *mut c_void);
        pub(super) fn pooler_route_query(
            state: *mut c_void,
            input: *const sys::Input,
            input_length: u32,
            output: *mut sys::Output,
            capacity: u32,
        ) -> sys::Status;
        pub(super) fn pooler_fetch_output(state: *mut c_void, output: *mut sys::Output, capacity: u32) -> sys::Status;
        pub(super) fn pooler_learn_statement(
            state: *mut c_void,
            input: *const sys::Input,
            input_length: u32,
            output: *mut sys::Output,
            capacity: u32,
        ) -> sys::Status;
        pub(super) fn pooler_forget_statement(state: *mut c_void, statement_id: u64);
    }
}

/// The exports by the names that a host looks up.
fn exports() -> Exports {
    Exports {
        plugin_info_v1: Some(exported::pooler_plugin_info_v1),
        create: exported::pooler_create,
        destroy: exported::pooler_destroy,
        route_query: Some(exported::pooler_route_query),
        fetch_output: Some(exported::pooler_fetch_output),
        learn_statement: Some(exported::pooler_learn_statement),
        forget_statement: Some(exported::pooler_forget_statement),
        ..Exports::of::<Counter>()
    }
}

#[test]
fn the_handshake_says_what_the_fields_say() {
    let (info, name, version, sdk) = exports().info().expect("there is a handshake");
    assert_eq!((name.as_str(), version.as_str()), ("the counter", "1.2.3-rc.1"));
    assert_eq!(sdk, concat!("pooler-plugin ", env!("CARGO_PKG_VERSION")));
    assert_eq!((info.abi_major, info.abi_minor, info.min_host_minor), (sys::ABI_MAJOR, sys::ABI_MINOR, 0));
    assert_eq!((info.hooks, info.capabilities), (sys::HOOK_ROUTE_QUERY, 0x1f));
    assert_eq!((info.grammar_min, info.grammar_max), (13, 18));
}

#[test]
fn the_exports_run_the_plugin() {
    let mut plugin = Runner::create(exports(), "{}").expect("it starts");
    let request = Request::new("SELECT 1");
    let ask = |plugin: &mut Runner| plugin.route(&request).expect_err("it tells by failing").message;
    assert_eq!(ask(&mut plugin), "call 1, length Some(8)");
    plugin.forget(&request);
    assert_eq!(plugin.route_frame(&request.frame()).expect_err("it tells").message, "call 2, length None");
}

/// A host that breaks the contract gets a status, not a crash.
#[test]
fn null_pointers_are_refused() {
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: null with length 0 names no memory.
    unsafe {
        assert_eq!(exported::pooler_create(null.cast(), 0, null.cast(), 0, null.cast()), sys::BAD_INPUT);
        assert_eq!(exported::pooler_route_query(null, null.cast(), 0, null.cast(), 0), sys::BAD_INPUT);
        assert_eq!(exported::pooler_learn_statement(null, null.cast(), 0, null.cast(), 0), sys::BAD_INPUT);
        assert_eq!(exported::pooler_fetch_output(null, null.cast(), 0), sys::BAD_INPUT);
        exported::pooler_forget_statement(null, 1);
        exported::pooler_destroy(null);
    }
}

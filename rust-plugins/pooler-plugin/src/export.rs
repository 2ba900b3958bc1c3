//! `export_plugin!`: the handshake's static data and the exported symbols. Knows no plugin's logic.

use crate::sys;
use std::ffi::c_char;
use std::ops::RangeInclusive;

/// What a plugin may ask of the host, to be joined with `|`.
pub mod capability {
    use crate::sys;

    /// Nothing beyond the first statement of each transaction, its text and parameters.
    pub const NONE: u32 = 0;
    /// Ask for every statement, also when the route is decided, and again after a rewrite.
    pub const INSPECT: u32 = sys::CAP_INSPECT;
    /// Ask for every statement of a transaction, not for its first only.
    pub const EVERY_STATEMENT: u32 = sys::CAP_EVERY_STATEMENT;
    /// Give kind, facts, tables and functions of statements.
    pub const FACTS: u32 = sys::CAP_FACTS;
    /// Give [`Plugin::learn`](crate::Plugin::learn) the parse tree; implies `FACTS`.
    pub const PARSE_TREE: u32 = sys::CAP_PARSE_TREE;
    /// Give the fingerprint of statements, which costs half as much as parsing them; implies `FACTS`.
    pub const FINGERPRINT: u32 = sys::CAP_FINGERPRINT;
    /// Take literals of simple queries as parameters: texts that differ in nothing else are learned once, with parameters in
    /// the parse tree where they differ. [`Parameter::is_literal`](crate::Parameter::is_literal) tells them.
    pub const LITERALS: u32 = sys::CAP_LITERALS;
}

/// What a plugin wants to be called for, to be joined with `|`.
pub mod hook {
    use crate::sys;

    /// [`Plugin::route`](crate::Plugin::route)
    pub const ROUTE_QUERY: u32 = sys::HOOK_ROUTE_QUERY;
    /// [`Plugin::client_connect`](crate::Plugin::client_connect)
    pub const CLIENT_CONNECT: u32 = sys::HOOK_CLIENT_CONNECT;
    /// [`Plugin::client_disconnect`](crate::Plugin::client_disconnect)
    pub const CLIENT_DISCONNECT: u32 = sys::HOOK_CLIENT_DISCONNECT;
    /// [`Plugin::server_connect`](crate::Plugin::server_connect)
    pub const SERVER_CONNECT: u32 = sys::HOOK_SERVER_CONNECT;
    /// [`Plugin::query_end`](crate::Plugin::query_end)
    pub const QUERY_END: u32 = sys::HOOK_QUERY_END;
    /// [`Plugin::result_row`](crate::Plugin::result_row)
    pub const RESULT_ROW: u32 = sys::HOOK_RESULT_ROW;
    /// [`Plugin::reload`](crate::Plugin::reload)
    pub const RELOAD: u32 = sys::HOOK_RELOAD;
}

/// What a plugin says of itself in the handshake. `export_plugin!` makes it.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// For logs and errors.
    pub name: &'static str,
    /// Its own version.
    pub version: &'static str,
    /// [`capability`] flags.
    pub capabilities: u32,
    /// [`hook`] flags.
    pub hooks: u32,
    /// The oldest PostgreSQL major whose parse trees it reads, 0 for no limit.
    pub grammar_min: u32,
    /// The newest one, 0 for no limit.
    pub grammar_max: u32,
    /// The oldest host minor that it can work with.
    pub min_host_minor: u32,
}

impl Info {
    /// A plugin that asks for nothing special.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Info {
            name,
            version,
            capabilities: 0,
            hooks: sys::HOOK_ROUTE_QUERY,
            grammar_min: 0,
            grammar_max: 0,
            min_host_minor: 0,
        }
    }

    /// Sets the name.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets the version.
    #[must_use]
    pub const fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Sets the [`capability`] flags.
    #[must_use]
    pub const fn capabilities(mut self, capabilities: u32) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sets the [`hook`] flags.
    #[must_use]
    pub const fn hooks(mut self, hooks: u32) -> Self {
        self.hooks = hooks;
        self
    }

    /// Sets the PostgreSQL majors whose parse trees it reads.
    #[must_use]
    pub const fn grammar(mut self, majors: RangeInclusive<u32>) -> Self {
        self.grammar_min = *majors.start();
        self.grammar_max = *majors.end();
        self
    }

    /// Sets the oldest host minor that it can work with.
    #[must_use]
    pub const fn min_host_minor(mut self, minor: u32) -> Self {
        self.min_host_minor = minor;
        self
    }
}

/// What the plugin was built with, as the handshake says it.
pub const SDK: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// The text with a NUL behind it; does not compile when there is one within.
pub const fn nul_terminated<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() + 1 == N, "the array must be one longer than the text");
    let mut out = [0; N];
    let mut index = 0;
    while index < bytes.len() {
        assert!(bytes[index] != 0, "a plugin's name and version must not contain NUL");
        out[index] = bytes[index];
        index += 1;
    }
    out
}

/// The handshake's struct as static data.
#[derive(Debug)]
#[repr(transparent)]
pub struct StaticInfo(sys::PluginInfo);

// SAFETY: the pointers name static data that is never written.
unsafe impl Sync for StaticInfo {}

impl StaticInfo {
    /// The struct; the texts are NUL-terminated.
    pub const fn new(info: &Info, name: &'static [u8], version: &'static [u8], sdk: &'static [u8]) -> Self {
        StaticInfo(sys::PluginInfo {
            size: size_of::<sys::PluginInfo>() as u32,
            abi_major: sys::ABI_MAJOR,
            abi_minor: sys::ABI_MINOR,
            min_host_minor: info.min_host_minor,
            hooks: info.hooks,
            capabilities: info.capabilities,
            grammar_min: info.grammar_min,
            grammar_max: info.grammar_max,
            name: name.as_ptr().cast::<c_char>(),
            version: version.as_ptr().cast::<c_char>(),
            sdk: sdk.as_ptr().cast::<c_char>(),
        })
    }

    /// Where it lies.
    pub const fn as_ptr(&'static self) -> *const sys::PluginInfo {
        &self.0
    }
}

/// Makes a type that implements [`Plugin`](crate::Plugin) the plugin of this library: exports what the host looks for.
///
/// Once per library, with `crate-type = ["cdylib"]`. All fields are optional:
///
/// | field | default | |
/// |---|---|---|
/// | `name` | the package's name | for logs and errors |
/// | `version` | the package's version | |
/// | `capabilities` | `NONE` | names of [`capability`](crate::capability), joined with `\|` |
/// | `hooks` | `ROUTE_QUERY` | names of [`hook`](crate::hook), joined with `\|`: the methods that are called |
/// | `grammar` | any | with `PARSE_TREE`: the PostgreSQL majors whose trees it reads, `17..=18` |
/// | `min_host_minor` | 0 | the oldest minor version of the contract that it can work with |
///
/// See [`Plugin`](crate::Plugin) for an example.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => { $crate::export_plugin!($plugin {}); };
    ($plugin:ty { $( $field:ident : $value:expr ),* $(,)? }) => {
        $crate::__export_base!($plugin { $( $field : $value ),* });
        $crate::__export_learning!(serial, $plugin);
    };
}

/// The fields as an [`Info`].
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($( $field:ident : $value:expr ),*) => {
        $crate::__private::Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            $( .$field({
                #[allow(unused_imports)]
                use $crate::{capability::*, hook::*};
                $value
            }) )*
    };
}

/// What every plugin of one thread exports: `export_plugin!` adds the learning of statements, `#[route]` does not.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_base {
    ($plugin:ty { $( $field:ident : $value:expr ),* }) => {
        $crate::__export_common!(serial, $plugin, $crate::__info!($( $field : $value ),*));

        const _: () = {
            $crate::__export_hook!(serial, $plugin, pooler_client_disconnect, client_disconnect, DisconnectInput);
            $crate::__export_hook!(serial, $plugin, pooler_query_end, query_end, EndInput);
            $crate::__export_hook!(serial, $plugin, pooler_result_row, result_row, RowInput);
        };
    };
}

/// What every plugin exports. `$entry` is the module of `__private` whose functions stand behind it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_common {
    ($entry:ident, $plugin:ty, $info:expr) => {
        const _: () = {
            const INFO: $crate::__private::Info = $info;
            static NAME: [u8; INFO.name.len() + 1] = $crate::__private::nul_terminated(INFO.name);
            static VERSION: [u8; INFO.version.len() + 1] = $crate::__private::nul_terminated(INFO.version);
            static SDK: [u8; $crate::__private::SDK.len() + 1] =
                $crate::__private::nul_terminated($crate::__private::SDK);
            static STATIC_INFO: $crate::__private::StaticInfo =
                $crate::__private::StaticInfo::new(&INFO, &NAME, &VERSION, &SDK);

            #[unsafe(no_mangle)]
            pub extern "C" fn pooler_plugin_info_v1() -> *const $crate::sys::PluginInfo {
                STATIC_INFO.as_ptr()
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn pooler_create(
                input: *const $crate::sys::CreateInput,
                input_length: u32,
                output: *mut $crate::sys::Output,
                output_capacity: u32,
                state: *mut *mut ::core::ffi::c_void,
            ) -> $crate::sys::Status {
                // SAFETY: the host keeps the contract of the header.
                unsafe {
                    $crate::__private::$entry::create::<$plugin>(input, input_length, output, output_capacity, state)
                }
            }

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn pooler_destroy(state: *mut ::core::ffi::c_void) {
                // SAFETY: the host keeps the contract of the header.
                unsafe { $crate::__private::$entry::destroy::<$plugin>(state) }
            }

            $crate::__export_hook!($entry, $plugin, pooler_route_query, route_query, Input);
            $crate::__export_hook!($entry, $plugin, pooler_client_connect, client_connect, ConnectInput);
            $crate::__export_hook!($entry, $plugin, pooler_server_connect, server_connect, ServerInput);
            $crate::__export_hook!($entry, $plugin, pooler_reload, reload, CreateInput);

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn pooler_fetch_output(
                state: *mut ::core::ffi::c_void,
                output: *mut $crate::sys::Output,
                output_capacity: u32,
            ) -> $crate::sys::Status {
                // SAFETY: the host keeps the contract of the header.
                unsafe { $crate::__private::$entry::fetch_output::<$plugin>(state, output, output_capacity) }
            }
        };
    };
}

/// Learning and forgetting.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_learning {
    ($entry:ident, $plugin:ty) => {
        const _: () = {
            $crate::__export_hook!($entry, $plugin, pooler_learn_statement, learn_statement, Input);

            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn pooler_forget_statement(state: *mut ::core::ffi::c_void, statement_id: u64) {
                // SAFETY: the host keeps the contract of the header.
                unsafe { $crate::__private::$entry::forget_statement::<$plugin>(state, statement_id) }
            }
        };
    };
}

/// One exported function; which of them the host calls is said in the handshake.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    ($module:ident, $plugin:ty, $symbol:ident, $entry:ident, $input:ident) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(
            state: *mut ::core::ffi::c_void,
            input: *const $crate::sys::$input,
            input_length: u32,
            output: *mut $crate::sys::Output,
            output_capacity: u32,
        ) -> $crate::sys::Status {
            // SAFETY: the host keeps the contract of the header.
            unsafe {
                $crate::__private::$module::$entry::<$plugin>(state, input, input_length, output, output_capacity)
            }
        }
    };
}

/// What `#[route]` and its like expand to: a plugin without state or configuration around a method that calls a function.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_function {
    ({ $( $field:ident : $value:expr ),* $(,)? } $method:item) => {
        const _: () = {
            const ASKS: u32 = $crate::__info!($( $field : $value ),*).capabilities;
            assert!(
                ASKS & $crate::capability::PARSE_TREE == 0,
                "a function never sees a parse tree: implement Plugin, whose learn() does"
            );

            #[derive(Debug)]
            struct Called;

            impl $crate::Plugin for Called {
                type Config = $crate::NoConfig;
                type Statement = ();

                fn new(_: &$crate::Host<'_>, _: $crate::NoConfig) -> ::core::result::Result<Self, $crate::Error> {
                    ::core::result::Result::Ok(Called)
                }

                fn learn(&mut self, _: $crate::Query<'_>) -> ::core::result::Result<(), $crate::Error> {
                    ::core::result::Result::Ok(())
                }

                $method
            }

            $crate::__export_base!(Called { $( $field : $value ),* });
        };
    };
}

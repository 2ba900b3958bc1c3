//! A plugin's entry points: of a type in this program, or of a shared library on disk.

use crate::blocking::BlockingPlugin;
use crate::plugin::Plugin;
use crate::sys;
use crate::{entry, entry_blocking, entry_hooks};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

/// The functions that the host would look up.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header documents them
pub struct Exports {
    pub plugin_info_v1: Option<sys::PluginInfoV1Fn>,
    pub create: sys::CreateFn,
    pub destroy: sys::DestroyFn,
    pub route_query: Option<sys::RouteQueryFn>,
    pub fetch_output: Option<sys::FetchOutputFn>,
    pub learn_statement: Option<sys::LearnStatementFn>,
    pub forget_statement: Option<sys::ForgetStatementFn>,
    pub client_connect: Option<sys::ClientConnectFn>,
    pub client_disconnect: Option<sys::ClientDisconnectFn>,
    pub server_connect: Option<sys::ServerConnectFn>,
    pub query_end: Option<sys::QueryEndFn>,
    pub result_row: Option<sys::ResultRowFn>,
    pub reload: Option<sys::ReloadFn>,
}

impl Exports {
    /// Those of a plugin that is a type of this program.
    pub fn of<P: Plugin>() -> Self {
        Exports {
            plugin_info_v1: None,
            create: entry::create::<P>,
            destroy: entry::destroy::<P>,
            route_query: Some(entry::route_query::<P>),
            fetch_output: Some(entry::fetch_output::<P>),
            learn_statement: Some(entry::learn_statement::<P>),
            forget_statement: Some(entry::forget_statement::<P>),
            client_connect: Some(entry_hooks::client_connect::<P>),
            client_disconnect: Some(entry_hooks::client_disconnect::<P>),
            server_connect: Some(entry_hooks::server_connect::<P>),
            query_end: Some(entry_hooks::query_end::<P>),
            result_row: Some(entry_hooks::result_row::<P>),
            reload: Some(entry_hooks::reload::<P>),
        }
    }

    /// Those of a plugin that may wait and is a type of this program.
    pub fn of_blocking<P: BlockingPlugin>() -> Self {
        Exports {
            plugin_info_v1: None,
            create: entry_blocking::create::<P>,
            destroy: entry_blocking::destroy::<P>,
            route_query: Some(entry_blocking::route_query::<P>),
            fetch_output: Some(entry_blocking::fetch_output::<P>),
            learn_statement: Some(entry_blocking::learn_statement::<P>),
            forget_statement: Some(entry_blocking::forget_statement::<P>),
            client_connect: Some(entry_blocking::client_connect::<P>),
            client_disconnect: None,
            server_connect: Some(entry_blocking::server_connect::<P>),
            query_end: None,
            result_row: None,
            reload: Some(entry_blocking::reload::<P>),
        }
    }

    /// Those of a shared library, which stays loaded.
    ///
    /// # Errors
    /// When it cannot be loaded or lacks a symbol.
    pub fn load(path: &Path) -> Result<Self, String> {
        let library = Library::open(path)?;
        // SAFETY: the header gives these symbols these types.
        unsafe {
            Ok(Exports {
                plugin_info_v1: Some(std::mem::transmute::<*mut c_void, sys::PluginInfoV1Fn>(
                    library.symbol(c"pooler_plugin_info_v1")?,
                )),
                create: std::mem::transmute::<*mut c_void, sys::CreateFn>(library.symbol(c"pooler_create")?),
                destroy: std::mem::transmute::<*mut c_void, sys::DestroyFn>(library.symbol(c"pooler_destroy")?),
                route_query: library
                    .symbol(c"pooler_route_query")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::RouteQueryFn>(symbol)),
                fetch_output: library
                    .symbol(c"pooler_fetch_output")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::FetchOutputFn>(symbol)),
                learn_statement: library
                    .symbol(c"pooler_learn_statement")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::LearnStatementFn>(symbol)),
                forget_statement: library
                    .symbol(c"pooler_forget_statement")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ForgetStatementFn>(symbol)),
                client_connect: library
                    .symbol(c"pooler_client_connect")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ClientConnectFn>(symbol)),
                client_disconnect: library
                    .symbol(c"pooler_client_disconnect")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ClientDisconnectFn>(symbol)),
                server_connect: library
                    .symbol(c"pooler_server_connect")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ServerConnectFn>(symbol)),
                query_end: library
                    .symbol(c"pooler_query_end")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::QueryEndFn>(symbol)),
                result_row: library
                    .symbol(c"pooler_result_row")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ResultRowFn>(symbol)),
                reload: library
                    .symbol(c"pooler_reload")
                    .ok()
                    .map(|symbol| std::mem::transmute::<*mut c_void, sys::ReloadFn>(symbol)),
            })
        }
    }

    /// What the library says of itself in the handshake: the struct, name, version, SDK.
    pub fn info(&self) -> Option<(sys::PluginInfo, String, String, String)> {
        let function = self.plugin_info_v1?;
        // SAFETY: the header says that the struct and its texts are static data of the library, which stays loaded.
        unsafe {
            let info = *function();
            let text = |text: *const c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
            Some((info, text(info.name), text(info.version), text(info.sdk)))
        }
    }
}

/// The shared library that cargo built for the package whose test is running, or for one of its dependencies:
/// `built_library("audit")` is `libaudit.so` beside the test's program.
///
/// # Panics
/// When the test does not know its own program.
pub fn built_library(crate_name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own program");
    let name = format!("{}{crate_name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    program.with_file_name(name)
}

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}

const RTLD_NOW: c_int = 2; // RTLD_LOCAL is the default on Linux; on macOS it is 4
#[cfg(target_os = "macos")]
const RTLD_LOCAL: c_int = 4;
#[cfg(not(target_os = "macos"))]
const RTLD_LOCAL: c_int = 0;

struct Library(*mut c_void);

impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: `name` is NUL-terminated and lives through the call.
        let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_LOCAL) };
        match handle.is_null() {
            true => Err(last_error()),
            false => Ok(Library(handle)),
        }
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: the handle is open, and `name` is NUL-terminated.
        let symbol = unsafe { dlsym(self.0, name.as_ptr()) };
        match symbol.is_null() {
            true => Err(format!("no symbol {name:?}: {}", last_error())),
            false => Ok(symbol),
        }
    }
}

fn last_error() -> String {
    // SAFETY: dlerror returns null or a NUL-terminated text that stays until the next call on this thread.
    unsafe {
        let text = dlerror();
        match text.is_null() {
            true => "unknown error of the dynamic loader".to_owned(),
            false => CStr::from_ptr(text).to_string_lossy().into_owned(),
        }
    }
}

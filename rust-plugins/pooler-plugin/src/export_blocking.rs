//! `export_blocking_plugin!`: the exports of a plugin that may wait. Knows no plugin's logic.

use crate::export::Info;
use crate::sys;

/// What a plugin that may wait says of itself: with the capability, and for hosts that know it.
pub const fn blocking(mut info: Info) -> Info {
    const TOGETHER: u32 = sys::HOOK_CLIENT_DISCONNECT | sys::HOOK_QUERY_END | sys::HOOK_RESULT_ROW;
    assert!(
        info.hooks & TOGETHER == 0,
        "a plugin that may wait has no CLIENT_DISCONNECT, QUERY_END or RESULT_ROW: nobody waits there"
    );
    info.capabilities |= sys::CAP_BLOCKING;
    // An older host would call it on its one thread, and all sessions would wait.
    if info.min_host_minor == 0 {
        info.min_host_minor = 1;
    }
    info
}

/// Makes a type that implements [`BlockingPlugin`](crate::BlockingPlugin) the plugin of this library: exports what the host looks for.
///
/// The fields are those of [`export_plugin!`](crate::export_plugin), except that `min_host_minor` is 1 or more: the
/// first version of the contract that knows such plugins. The capability is set.
///
/// ```
/// use pooler_plugin::*;
///
/// struct Patient;
///
/// impl BlockingPlugin for Patient {
///     type Config = NoConfig;
///     type Statement = ();
///
///     fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
///         Ok(Patient)
///     }
///
///     fn learn(&self, _: Query<'_>) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// export_blocking_plugin!(Patient { name: "patient" });
/// # fn main() {}
/// ```
///
/// What nobody waits for is refused by the compiler:
///
/// ```compile_fail
/// # use pooler_plugin::*;
/// # struct Patient;
/// # impl BlockingPlugin for Patient {
/// #     type Config = NoConfig;
/// #     type Statement = ();
/// #     fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> { Ok(Patient) }
/// #     fn learn(&self, _: Query<'_>) -> Result<(), Error> { Ok(()) }
/// # }
/// export_blocking_plugin!(Patient { hooks: ROUTE_QUERY | QUERY_END });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_blocking_plugin {
    ($plugin:ty) => { $crate::export_blocking_plugin!($plugin {}); };
    ($plugin:ty { $( $field:ident : $value:expr ),* $(,)? }) => {
        $crate::__export_common!(
            blocking_calls,
            $plugin,
            $crate::__private::blocking($crate::__info!($( $field : $value ),*))
        );
        $crate::__export_learning!(blocking_calls, $plugin);
    };
}

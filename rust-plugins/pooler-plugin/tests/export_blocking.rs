//! `#[plugin]` on an `impl BlockingPlugin`: what the library then says of itself.

use pooler_plugin::{BlockingPlugin, Error, Host, Input, NoConfig, Output, Query, plugin, sys};

struct Patient;

#[plugin(name = "patient", capabilities = FACTS | INSPECT)]
impl BlockingPlugin for Patient {
    type Config = NoConfig;
    type Statement = ();

    fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
        Ok(Patient)
    }

    fn learn(&self, _: Query<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn route(&self, _: Input<'_>, _: Option<&()>) -> Output {
        Output::skip()
    }
}

unsafe extern "C" {
    fn pooler_plugin_info_v1() -> *const sys::PluginInfo;
}

#[test]
fn the_capability_is_set_and_older_hosts_are_refused() {
    // SAFETY: it is the function above, which returns static data.
    let info = unsafe { *pooler_plugin_info_v1() };
    assert_eq!(info.capabilities, sys::CAP_BLOCKING | sys::CAP_FACTS | sys::CAP_INSPECT);
    assert_eq!(info.hooks, sys::HOOK_ROUTE_QUERY);
    assert_eq!(info.min_host_minor, 1);
}

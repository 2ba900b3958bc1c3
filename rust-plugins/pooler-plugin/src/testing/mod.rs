//! Runs a plugin without a pooler, through the same entry points and frames that the pooler uses.
//!
//! ```
//! use pooler_plugin::testing::{Request, Runner};
//! use pooler_plugin::*;
//!
//! struct Tenant;
//!
//! impl Plugin for Tenant {
//!     type Config = NoConfig;
//!     type Statement = ();
//!     fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
//!         Ok(Tenant)
//!     }
//!     fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     fn route(&mut self, input: Input<'_>, _: Option<&()>) -> Output {
//!         let Some(key) = input.query().and_then(|query| query.parameter(0)) else { return Output::skip() };
//!         match key.decode::<i32>() {
//!             Ok(key) => Output::forward(Route::only_shard(key as u32 % input.cluster().shards())),
//!             Err(error) => Output::error(Refusal::new("22P02", error.to_string())),
//!         }
//!     }
//! }
//!
//! let mut plugin = Runner::start::<Tenant>("{}").unwrap();
//! let request = Request::new("SELECT * FROM orders WHERE tenant = $1").text("7").shards(4);
//! assert_eq!(plugin.route(&request), Ok(Output::forward(Route::only_shard(3))));
//! ```
//!
//! A plugin that may wait is asked by several threads at a time: [`BlockingRunner`] can be shared between them.

mod answer;
mod blocking_runner;
mod buffer;
mod hooks;
mod library;
mod request;
mod request_frame;
mod runner;

pub use blocking_runner::BlockingRunner;
pub use buffer::FrameBuffer;
pub use hooks::{ClientRequest, End, ServerRequest};
pub use library::{Exports, built_library};
pub use request::Request;
pub use runner::{Failure, Runner};

//! The exported functions called as they are, without a runner that keeps numbers and learns by itself.

use pooler_plugin::sys;
use pooler_plugin::testing::{Exports, FrameBuffer, Request};

pub(crate) struct Raw {
    exports: Exports,
    state: *mut std::ffi::c_void,
}

// SAFETY: the state is that of a plugin that may be called by several threads.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) fn create(exports: Exports, config: &str) -> Raw {
        let mut frame = FrameBuffer::zeroed(size_of::<sys::CreateInput>() + config.len());
        let at = size_of::<sys::CreateInput>();
        let bytes = frame.bytes_mut();
        bytes[at..].copy_from_slice(config.as_bytes());
        bytes[..4].copy_from_slice(&(at as u32).to_ne_bytes());
        let field = std::mem::offset_of!(sys::CreateInput, config);
        bytes[field..field + 4].copy_from_slice(&(at as u32).to_ne_bytes());
        bytes[field + 4..field + 8].copy_from_slice(&(config.len() as u32).to_ne_bytes());
        let mut output = Raw::output(4096);
        let mut state = std::ptr::null_mut();
        // SAFETY: two frames with their lengths, and a place for the state.
        let status = unsafe {
            let (input, out) = (frame.bytes().as_ptr().cast(), output.bytes_mut().as_mut_ptr().cast());
            (exports.create)(input, frame.len() as u32, out, 4096, &mut state)
        };
        assert_eq!(status, sys::OK);
        Raw { exports, state }
    }

    fn output(capacity: usize) -> FrameBuffer {
        let mut frame = FrameBuffer::zeroed(capacity);
        frame.bytes_mut()[..4].copy_from_slice(&(size_of::<sys::Output>() as u32).to_ne_bytes());
        frame
    }

    fn cookie(frame: &FrameBuffer) -> u64 {
        let at = std::mem::offset_of!(sys::Output, cookie);
        u64::from_ne_bytes(*frame.bytes()[at..].first_chunk().unwrap())
    }

    pub(crate) fn learn(&self, request: &Request) -> sys::Status {
        let (input, mut output) = (request.learn_frame(), Raw::output(4096));
        // SAFETY: `state` came from this plugin, and both frames have their lengths.
        unsafe {
            let (input, length) = (input.bytes().as_ptr().cast(), input.len() as u32);
            self.exports.learn_statement.unwrap()(
                self.state,
                input,
                length,
                output.bytes_mut().as_mut_ptr().cast(),
                4096,
            )
        }
    }

    pub(crate) fn forget(&self, id: u64) {
        // SAFETY: `state` came from this plugin.
        unsafe { self.exports.forget_statement.unwrap()(self.state, id) };
    }

    /// The status, and the output's cookie.
    pub(crate) fn route(&self, request: &Request, capacity: usize) -> (sys::Status, u64) {
        let (input, mut output) = (request.frame(), Raw::output(capacity));
        // SAFETY: as in `learn`.
        let status = unsafe {
            let (input, length) = (input.bytes().as_ptr().cast(), input.len() as u32);
            let out = output.bytes_mut().as_mut_ptr().cast();
            self.exports.route_query.unwrap()(self.state, input, length, out, capacity as u32)
        };
        (status, Raw::cookie(&output))
    }

    pub(crate) fn fetch(&self, number: u64, capacity: usize) -> (sys::Status, u64) {
        let mut output = Raw::output(capacity);
        let at = std::mem::offset_of!(sys::Output, cookie);
        output.bytes_mut()[at..at + 8].copy_from_slice(&number.to_ne_bytes());
        // SAFETY: as in `learn`.
        let status = unsafe {
            let out = output.bytes_mut().as_mut_ptr().cast();
            self.exports.fetch_output.unwrap()(self.state, out, capacity as u32)
        };
        (status, Raw::cookie(&output))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `state` came from this plugin and is not used again.
        unsafe { (self.exports.destroy)(self.state) };
    }
}

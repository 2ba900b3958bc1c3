//! Frames as the host has them: 8-byte aligned bytes. Knows how to append, not what.

use crate::sys;

/// An 8-byte aligned buffer that holds a frame.
#[derive(Debug, Clone, Default)]
pub struct FrameBuffer {
    words: Vec<u64>,
    length: usize,
}

impl FrameBuffer {
    /// `length` zero bytes.
    pub fn zeroed(length: usize) -> Self {
        FrameBuffer { words: vec![0; length.div_ceil(8)], length }
    }

    /// A copy of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut buffer = FrameBuffer::zeroed(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        buffer
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `words` holds at least `length` initialised bytes, and any u64 is 8 valid bytes.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; any 8 bytes are a valid u64.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.length) }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends `length` zero bytes at the next multiple of 8 and returns where they begin.
    pub(super) fn reserve(&mut self, length: usize) -> usize {
        let at = self.length.next_multiple_of(8);
        self.length = at + length;
        self.words.resize(self.length.div_ceil(8), 0);
        at
    }

    pub(super) fn put_u32(&mut self, at: usize, value: u32) {
        self.bytes_mut()[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    pub(super) fn put_u64(&mut self, at: usize, value: u64) {
        self.bytes_mut()[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    /// Appends bytes and lets the slice field at `field` name them; `None` leaves it absent.
    pub(super) fn put_slice(&mut self, field: usize, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            let at = self.reserve(bytes.len().max(1)); // so that an empty one still lies within the frame
            self.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
            self.put_u32(field + std::mem::offset_of!(sys::Slice, offset), at as u32);
            self.put_u32(field + std::mem::offset_of!(sys::Slice, length), bytes.len() as u32);
        }
    }

    /// Appends zeroed elements and lets the array field at `field` name them; returns where they begin.
    pub(super) fn put_array(&mut self, field: usize, count: usize, stride: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let at = self.reserve(count * stride);
        self.put_u32(field + std::mem::offset_of!(sys::Array, offset), at as u32);
        self.put_u32(field + std::mem::offset_of!(sys::Array, count), count as u32);
        self.put_u32(field + std::mem::offset_of!(sys::Array, stride), stride as u32);
        at
    }
}

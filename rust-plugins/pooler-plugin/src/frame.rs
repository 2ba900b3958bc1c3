//! Bounds-checked reading of frames: bytes and offsets in, borrowed slices out. Knows the rules of frames
//! (slices, arrays, refs, growing structs), not what any struct means. No unsafe code, no panics on any bytes.

use crate::sys;
use std::fmt;
use std::mem::{offset_of, size_of};

/// A frame that cannot be read, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadFrame(pub(crate) &'static str);

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed frame: {}", self.0)
    }
}

/// The bytes of one frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a>(pub(crate) &'a [u8]);

impl<'a> Frame<'a> {
    /// What a slice names: `None` when it is absent.
    pub(crate) fn slice(self, slice: sys::Slice) -> Result<Option<&'a [u8]>, BadFrame> {
        if slice.offset == 0 {
            return Ok(None);
        }
        let from = slice.offset as usize;
        from.checked_add(slice.length as usize)
            .and_then(|to| self.0.get(from..to))
            .map(Some)
            .ok_or(BadFrame("a slice does not lie in the frame"))
    }

    /// The struct at the frame's start.
    pub(crate) fn header(self, least: usize) -> Result<Record<'a>, BadFrame> {
        self.sized_struct(0, least)
    }

    /// The struct that a ref names: `None` when it is absent.
    pub(crate) fn follow(self, reference: u32, least: usize) -> Result<Option<Record<'a>>, BadFrame> {
        match reference {
            0 => Ok(None),
            at if at % 8 != 0 => Err(BadFrame("a struct is not 8-byte aligned")),
            at => self.sized_struct(at as usize, least).map(Some),
        }
    }

    /// A struct that begins with its size: all of it, as large as the host says, at least what ABI 1.0 had.
    fn sized_struct(self, at: usize, least: usize) -> Result<Record<'a>, BadFrame> {
        let rest = self.0.get(at..).ok_or(BadFrame("a struct does not lie in the frame"))?;
        let size = Record { frame: self, bytes: rest }.u32(0) as usize;
        if size < least {
            return Err(BadFrame("a struct is smaller than the ABI's first version of it"));
        }
        let bytes = rest.get(..size).ok_or(BadFrame("a struct does not lie in the frame"))?;
        Ok(Record { frame: self, bytes })
    }

    /// The elements of an array, all of them within the frame.
    pub(crate) fn array(self, array: sys::Array, least: usize) -> Result<Records<'a>, BadFrame> {
        if array.offset == 0 || array.count == 0 {
            return Ok(Records { frame: self, bytes: &[], count: 0, stride: 1 });
        }
        let stride = array.stride as usize;
        if stride < least {
            return Err(BadFrame("an array's stride is smaller than its elements"));
        }
        let from = array.offset as usize;
        let bytes = stride
            .checked_mul(array.count as usize)
            .and_then(|length| from.checked_add(length))
            .and_then(|to| self.0.get(from..to))
            .ok_or(BadFrame("an array does not lie in the frame"))?;
        Ok(Records { frame: self, bytes, count: array.count as usize, stride })
    }
}

/// One struct of a frame. Fields that it is too short for read as 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) frame: Frame<'a>,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The struct that is not there: all fields are 0.
    pub(crate) const ABSENT: Record<'static> = Record { frame: Frame(&[]), bytes: &[] };

    #[inline]
    pub(crate) fn u32(self, offset: usize) -> u32 {
        match self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<4>()) {
            Some(bytes) => u32::from_ne_bytes(*bytes),
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn u64(self, offset: usize) -> u64 {
        match self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_ne_bytes(*bytes),
            None => 0,
        }
    }

    /// What the slice field at `offset` names.
    pub(crate) fn slice(self, offset: usize) -> Result<Option<&'a [u8]>, BadFrame> {
        self.frame.slice(sys::Slice {
            offset: self.u32(offset + offset_of!(sys::Slice, offset)),
            length: self.u32(offset + offset_of!(sys::Slice, length)),
        })
    }

    /// Like `slice`, for fields that were checked when the frame came in, and for those where empty is harmless.
    pub(crate) fn bytes(self, offset: usize) -> Option<&'a [u8]> {
        self.slice(offset).unwrap_or(None)
    }

    /// The elements of the array field at `offset`.
    pub(crate) fn array(self, offset: usize, least: usize) -> Result<Records<'a>, BadFrame> {
        self.frame.array(
            sys::Array {
                offset: self.u32(offset + offset_of!(sys::Array, offset)),
                count: self.u32(offset + offset_of!(sys::Array, count)),
                stride: self.u32(offset + offset_of!(sys::Array, stride)),
                reserved: 0,
            },
            least,
        )
    }

    /// Like `array`, for fields that were checked when the frame came in.
    pub(crate) fn records(self, offset: usize, least: usize) -> Records<'a> {
        self.array(offset, least).unwrap_or(Records::NONE)
    }
}

/// The elements of an array of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records<'a> {
    frame: Frame<'a>,
    bytes: &'a [u8],
    count: usize,
    stride: usize,
}

impl<'a> Records<'a> {
    pub(crate) const NONE: Records<'static> = Records { frame: Frame(&[]), bytes: &[], count: 0, stride: 1 };

    pub(crate) fn len(self) -> usize {
        self.count
    }

    pub(crate) fn get(self, index: usize) -> Option<Record<'a>> {
        if index >= self.count {
            return None;
        }
        let from = index * self.stride; // within `bytes`, which holds count * stride
        self.bytes.get(from..from + self.stride).map(|bytes| Record { frame: self.frame, bytes })
    }

    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Record<'a>> + use<'a> {
        self.bytes.chunks_exact(self.stride).map(move |bytes| Record { frame: self.frame, bytes })
    }
}

/// `size_of` under a name that says what it is used for: the size that ABI 1.0 gave a struct.
pub(crate) const fn first_size<T>() -> usize {
    size_of::<T>()
}

//! Names with values in a frame: parameters of a startup packet, or of a server.

use crate::frame::{BadFrame, Record, Records, first_size};
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// Names and their values, in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    records: Records<'a>,
}

impl<'a> Pairs<'a> {
    pub(crate) fn check(record: Record<'_>, offset: usize) -> Result<(), BadFrame> {
        record.array(offset, first_size::<sys::Pair>()).map(|_| ())
    }

    pub(crate) fn new(record: Record<'a>, offset: usize) -> Self {
        Pairs { records: record.records(offset, first_size::<sys::Pair>()) }
    }

    /// The value of a name; `None` when there is none.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let found =
            self.records.iter().find(|pair| pair.bytes(offset_of!(sys::Pair, name)) == Some(name.as_bytes()))?;
        Some(value(found, offset_of!(sys::Pair, value)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.records
            .iter()
            .map(|pair| (value(pair, offset_of!(sys::Pair, name)), value(pair, offset_of!(sys::Pair, value))))
    }
}

fn value(pair: Record<'_>, offset: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(pair.bytes(offset).unwrap_or_default())
}

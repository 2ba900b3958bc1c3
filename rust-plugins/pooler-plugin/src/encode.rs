//! Writing an answer into the host's frame. What does not fit is measured to the end, so that the host learns in
//! one go how much space it takes.

use crate::client::ClientAnswer;
use crate::decode::Format;
use crate::output::{NewParameter, Output, Refusal, Rewrite};
use crate::route::Route;
use crate::row::RowAnswer;
use crate::rows::{Rows, Value};
use crate::server::ServerAnswer;
use crate::sys;
use std::mem::{offset_of, size_of};

/// How writing an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// Written; this is what the hook returns.
    Status(sys::Status),
    /// It does not fit: `needed` is set in the frame, and the answer should be kept.
    NeedsSpace,
}

/// Writes the answer into a frame that the host has zeroed and given its size.
pub(crate) fn encode(output: &Output, frame: &mut [u8]) -> Encoded {
    encode_with(frame, |writer| verdict(writer, output))
}

fn verdict(writer: &mut Writer<'_>, output: &Output) -> Result<sys::Status, String> {
    match output {
        Output::Skip => Ok(sys::SKIP),
        Output::Forward(route) => forward(writer, *route),
        Output::Error(refusal) => refuse(writer, refusal),
        Output::Rewrite(rewrite) => self::rewrite(writer, rewrite),
        Output::Intercept(rows) => intercept(writer, rows),
        Output::WithRows(output, cookie) => {
            if let Output::WithRows(..) = **output {
                return Err("the plugin asked for the rows of its answer twice".to_owned());
            }
            writer.flag(sys::OUT_ROWS);
            writer.put_u64(offset_of!(sys::Output, cookie), *cookie);
            verdict(writer, output)
        }
        Output::Failed(message) => {
            writer.message(message);
            Ok(sys::FAILED)
        }
    }
}

/// Writes the answer of `pooler_client_connect`.
pub(crate) fn encode_client(answer: &ClientAnswer, frame: &mut [u8]) -> Encoded {
    encode_with(frame, |writer| match answer {
        ClientAnswer::Skip => Ok(sys::SKIP),
        ClientAnswer::Refuse(refusal) => refuse(writer, refusal),
        ClientAnswer::Accept(accept) => {
            for (field, text) in [
                (offset_of!(sys::Output, user), &accept.user),
                (offset_of!(sys::Output, database), &accept.database),
                (offset_of!(sys::Output, server_user), &accept.server_user),
                (offset_of!(sys::Output, server_password), &accept.server_password),
            ] {
                writer.put_text(field, text.as_deref());
            }
            Ok(sys::ACCEPT)
        }
        ClientAnswer::Failed(message) => {
            writer.message(message);
            Ok(sys::FAILED)
        }
    })
}

/// Writes the answer of `pooler_server_connect`.
pub(crate) fn encode_server(answer: &ServerAnswer, frame: &mut [u8]) -> Encoded {
    encode_with(frame, |writer| match answer {
        ServerAnswer::Skip => Ok(sys::SKIP),
        ServerAnswer::Refuse(refusal) => refuse(writer, refusal),
        ServerAnswer::First(first) => {
            writer.put_text(offset_of!(sys::Output, sql), first.session.as_deref());
            writer.put_text(offset_of!(sys::Output, once_sql), first.once.as_deref());
            Ok(sys::ACCEPT)
        }
        ServerAnswer::Failed(message) => {
            writer.message(message);
            Ok(sys::FAILED)
        }
    })
}

/// Writes the answer of `pooler_result_row`.
pub(crate) fn encode_row(answer: &RowAnswer, frame: &mut [u8]) -> Encoded {
    encode_with(frame, |writer| match answer {
        RowAnswer::Keep => Ok(sys::ROW_KEEP),
        RowAnswer::Drop => Ok(sys::ROW_DROP),
        RowAnswer::Change(values) => {
            let size = size_of::<sys::Value>();
            let array = writer.put_array(offset_of!(sys::Output, values), values.len(), size)?;
            for (index, value) in values.iter().enumerate() {
                let at = array + index * size;
                match value {
                    None => writer.put_u32(at + offset_of!(sys::Value, flags), sys::VALUE_KEEP),
                    Some(Value::Null) => writer.put_u32(at + offset_of!(sys::Value, flags), sys::VALUE_NULL),
                    Some(Value::Text(text)) => writer.put_slice(at + offset_of!(sys::Value, value), text.as_bytes()),
                    Some(Value::Binary(bytes)) => writer.put_slice(at + offset_of!(sys::Value, value), bytes),
                }
            }
            Ok(sys::ROW_CHANGE)
        }
        RowAnswer::Failed(message) => {
            writer.message(message);
            Ok(sys::FAILED)
        }
    })
}

fn encode_with(frame: &mut [u8], write: impl FnOnce(&mut Writer<'_>) -> Result<sys::Status, String>) -> Encoded {
    let Some(mut writer) = Writer::new(frame) else { return Encoded::Status(sys::BAD_INPUT) };
    let status = write(&mut writer);
    match status.and_then(|status| writer.finish().map(|fits| (status, fits))) {
        Ok((status, true)) => Encoded::Status(status),
        Ok((_, false)) => Encoded::NeedsSpace,
        Err(message) => {
            writer.clear();
            writer.message(&message);
            let _ = writer.finish();
            Encoded::Status(sys::FAILED)
        }
    }
}

/// Writes a failure with as much of its message as fits: a failure is never fetched.
pub(crate) fn encode_failure(status: sys::Status, message: &str, frame: &mut [u8]) -> sys::Status {
    let Some(mut writer) = Writer::new(frame) else { return sys::BAD_INPUT };
    writer.message(message);
    let _ = writer.finish();
    status
}

fn forward(writer: &mut Writer<'_>, route: Route) -> Result<sys::Status, String> {
    let shard = route.shard().number().ok_or("the plugin gave a shard number that cannot be")?;
    writer.put_u32(offset_of!(sys::Output, role), route.role().number());
    writer.put_u32(offset_of!(sys::Output, shard), shard);
    Ok(sys::FORWARD)
}

fn refuse(writer: &mut Writer<'_>, refusal: &Refusal) -> Result<sys::Status, String> {
    let state = refusal.sqlstate.as_bytes();
    if state.len() != 5 || !state.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        return Err(format!(
            "the plugin refused with SQLSTATE {:?}, which is not five of 0-9 and A-Z; its message was: {}",
            refusal.sqlstate, refusal.message
        ));
    }
    writer.put_slice(offset_of!(sys::Output, sqlstate), state);
    writer.put_slice(offset_of!(sys::Output, message), refusal.message.as_bytes());
    if let Some(detail) = &refusal.detail {
        writer.put_slice(offset_of!(sys::Output, detail), detail.as_bytes());
    }
    if let Some(hint) = &refusal.hint {
        writer.put_slice(offset_of!(sys::Output, hint), hint.as_bytes());
    }
    Ok(sys::ERROR)
}

fn rewrite(writer: &mut Writer<'_>, rewrite: &Rewrite) -> Result<sys::Status, String> {
    writer.put_slice(offset_of!(sys::Output, sql), &rewrite.sql);
    if let Some(parameters) = &rewrite.parameters {
        writer.flag(sys::OUT_PARAMETERS);
        let size = size_of::<sys::Parameter>();
        let array = writer.put_array(offset_of!(sys::Output, parameters), parameters.len(), size)?;
        for (index, parameter) in parameters.iter().enumerate() {
            put_parameter(writer, array + index * size, parameter);
        }
    }
    if let Some(route) = rewrite.route {
        forward(writer, route)?;
        writer.flag(sys::OUT_ROUTE);
    }
    Ok(sys::REWRITE)
}

fn put_parameter(writer: &mut Writer<'_>, at: usize, parameter: &NewParameter) {
    match &parameter.value {
        Some(value) => writer.put_slice(at + offset_of!(sys::Parameter, value), value),
        None => writer.put_u32(at + offset_of!(sys::Parameter, flags), sys::PARAMETER_NULL),
    }
    writer.put_u32(at + offset_of!(sys::Parameter, format), format_number(parameter.format));
    writer.put_u32(at + offset_of!(sys::Parameter, type_oid), parameter.type_oid);
}

fn intercept(writer: &mut Writer<'_>, rows: &Rows) -> Result<sys::Status, String> {
    let columns = &rows.columns;
    if columns.is_empty() && !rows.rows.is_empty() {
        return Err("the plugin intercepted with rows but without columns".to_owned());
    }
    let size = size_of::<sys::Column>();
    let array = writer.put_array(offset_of!(sys::Output, columns), columns.len(), size)?;
    for (index, column) in columns.iter().enumerate() {
        let at = array + index * size;
        writer.put_slice(at + offset_of!(sys::Column, name), column.name.as_bytes());
        writer.put_u32(at + offset_of!(sys::Column, type_oid), column.type_oid);
        writer.put_u32(at + offset_of!(sys::Column, type_modifier), column.type_modifier as u32);
        writer.put_u32(at + offset_of!(sys::Column, type_size), column.type_size as u32);
        writer.put_u32(at + offset_of!(sys::Column, format), format_number(column.format));
    }
    let size = size_of::<sys::Value>();
    let count = rows.rows.len().saturating_mul(columns.len());
    let array = writer.put_array(offset_of!(sys::Output, values), count, size)?;
    for (number, row) in rows.rows.iter().enumerate() {
        if row.len() != columns.len() {
            return Err(format!(
                "the plugin intercepted with {} values in row {number}, where there are {} columns",
                row.len(),
                columns.len()
            ));
        }
        for (index, (value, column)) in row.iter().zip(columns).enumerate() {
            let at = array + (number * columns.len() + index) * size;
            let bytes = match (value, column.format) {
                (Value::Null, _) => {
                    writer.put_u32(at + offset_of!(sys::Value, flags), sys::VALUE_NULL);
                    continue;
                }
                (Value::Text(text), Format::Text) => text.as_bytes(),
                (Value::Binary(bytes), Format::Binary) => bytes,
                (_, format) => {
                    return Err(format!(
                        "the plugin intercepted with a value in row {number} that is not in the format of column {:?}, {format:?}",
                        column.name
                    ));
                }
            };
            writer.put_slice(at + offset_of!(sys::Value, value), bytes);
        }
    }
    if let Some(tag) = &rows.command_tag {
        writer.put_slice(offset_of!(sys::Output, command_tag), tag.as_bytes());
    }
    Ok(sys::INTERCEPT)
}

fn format_number(format: Format) -> u32 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// Appends to a frame. Beyond its end nothing is written, only counted.
struct Writer<'f> {
    frame: &'f mut [u8],
    /// Where the next piece goes; past the frame's end when the answer does not fit.
    used: usize,
    start: usize,
}

impl<'f> Writer<'f> {
    /// `None` when the frame is too small for the struct that it should begin with.
    fn new(frame: &'f mut [u8]) -> Option<Self> {
        let size = u32::from_ne_bytes(*frame.first_chunk::<4>()?) as usize;
        if size < size_of::<sys::Output>() || size > frame.len() {
            return None;
        }
        let start = size.next_multiple_of(8); // a later host's struct may be larger
        Some(Writer { frame, used: start, start })
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        if let Some(field) = self.frame.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        if let Some(field) = self.frame.get_mut(at..at + 8) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
    }

    /// Sets a flag of the output.
    fn flag(&mut self, flag: u32) {
        let at = offset_of!(sys::Output, flags);
        let flags = self.frame.get(at..).and_then(|rest| rest.first_chunk().copied()).map_or(0, u32::from_ne_bytes);
        self.put_u32(at, flags | flag);
    }

    /// `None` leaves it absent.
    fn put_text(&mut self, field: usize, text: Option<&str>) {
        if let Some(text) = text {
            self.put_slice(field, text.as_bytes());
        }
    }

    /// Appends the bytes and lets the slice field at `field` name them.
    fn put_slice(&mut self, field: usize, bytes: &[u8]) {
        let at = self.used;
        self.used = at.saturating_add(bytes.len());
        if let Some(target) = self.frame.get_mut(at..self.used) {
            target.copy_from_slice(bytes);
            self.put_u32(field + offset_of!(sys::Slice, offset), at as u32);
            self.put_u32(field + offset_of!(sys::Slice, length), bytes.len() as u32);
        }
    }

    /// Appends zeroed elements and lets the array field at `field` name them; returns where they begin.
    fn put_array(&mut self, field: usize, count: usize, stride: usize) -> Result<usize, String> {
        let too_large = || "the plugin's answer is larger than a frame can be".to_owned();
        if count == 0 {
            return Ok(self.used);
        }
        let at = self.used.checked_next_multiple_of(8).ok_or_else(too_large)?;
        let length = count.checked_mul(stride).ok_or_else(too_large)?;
        self.used = at.checked_add(length).ok_or_else(too_large)?;
        if let Some(target) = self.frame.get_mut(at..self.used) {
            target.fill(0);
        }
        self.put_u32(field + offset_of!(sys::Array, offset), at as u32);
        self.put_u32(field + offset_of!(sys::Array, count), count as u32);
        self.put_u32(field + offset_of!(sys::Array, stride), stride as u32);
        Ok(at)
    }

    /// As much of a message as fits, cut between characters.
    fn message(&mut self, message: &str) {
        let space = self.frame.len().saturating_sub(self.used);
        let mut end = message.len().min(space);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        self.put_slice(offset_of!(sys::Output, message), &message.as_bytes()[..end]);
    }

    /// Zeroes all that was written of the struct, `size` excepted, and begins anew.
    fn clear(&mut self) {
        let size = self.start.min(self.frame.len());
        if let Some(fields) = self.frame.get_mut(size_of::<u32>()..size) {
            fields.fill(0);
        }
        self.used = self.start;
    }

    /// Sets `used`; or, when the answer did not fit, clears the struct and sets `needed`.
    fn finish(&mut self) -> Result<bool, String> {
        let total =
            u32::try_from(self.used).map_err(|_| "the plugin's answer is larger than a frame can be".to_owned())?;
        if self.used <= self.frame.len() {
            self.put_u32(offset_of!(sys::Output, used), total);
            return Ok(true);
        }
        self.clear();
        self.put_u32(offset_of!(sys::Output, needed), total);
        Ok(false)
    }
}

//! Reads a plugin's answer back out of its frame, as strictly as the host does.

use crate::decode::Format;
use crate::frame::{BadFrame, Frame, Record, Records, first_size};
use crate::output::{NewParameter, Output, Refusal, Rewrite};
use crate::route::{Role, Route, Shard};
use crate::rows::{Column, Rows, Value};
use crate::sys;
use std::mem::offset_of;

/// The verdict that a status and a frame make together.
pub(super) fn read(status: sys::Status, frame: &[u8]) -> Result<Output, BadFrame> {
    let used = Frame(frame).header(first_size::<sys::Output>())?.u32(offset_of!(sys::Output, used)) as usize;
    // What lies beyond `used` is not the plugin's; a verdict without texts may leave `used` at 0.
    let end = used.max(first_size::<sys::Output>());
    let frame = frame.get(..end).ok_or(BadFrame("`used` is larger than the frame"))?;
    let output = Frame(frame).header(first_size::<sys::Output>())?;
    let verdict = read_verdict(status, output)?;
    match output.u32(offset_of!(sys::Output, flags)) & sys::OUT_ROWS {
        0 => Ok(verdict),
        _ => Ok(verdict.with_rows(output.u64(offset_of!(sys::Output, cookie)))),
    }
}

fn read_verdict(status: sys::Status, output: Record<'_>) -> Result<Output, BadFrame> {
    match status {
        sys::SKIP => Ok(Output::Skip),
        sys::FORWARD => Ok(Output::Forward(read_route(output)?)),
        sys::ERROR => read_refusal(output).map(Output::error),
        sys::REWRITE => read_rewrite(output).map(Output::rewrite),
        sys::INTERCEPT => read_rows(output).map(Output::intercept),
        _ => Err(BadFrame("an unknown verdict")),
    }
}

/// The message of a failure.
pub(super) fn message(frame: &[u8]) -> String {
    let text = Frame(frame)
        .header(first_size::<sys::Output>())
        .and_then(|output| text(output, offset_of!(sys::Output, message)));
    match text {
        Ok(text) => text.unwrap_or_default(),
        Err(bad) => bad.to_string(),
    }
}

/// A slice that neither lies in the header nor leaves what the plugin says it used.
pub(super) fn slice(record: Record<'_>, offset: usize) -> Result<Option<&[u8]>, BadFrame> {
    match record.u32(offset + offset_of!(sys::Slice, offset)) as usize {
        at if at != 0 && at < first_size::<sys::Output>() => Err(BadFrame("a slice begins in the header")),
        _ => record.slice(offset),
    }
}

/// An array that does not lie in the header, and whose elements are aligned.
pub(super) fn array(record: Record<'_>, offset: usize, least: usize) -> Result<Records<'_>, BadFrame> {
    let at = record.u32(offset + offset_of!(sys::Array, offset)) as usize;
    let stride = record.u32(offset + offset_of!(sys::Array, stride)) as usize;
    if at != 0 && at < first_size::<sys::Output>() {
        return Err(BadFrame("an array begins in the header"));
    }
    if at % 8 != 0 || stride % 8 != 0 {
        return Err(BadFrame("an array is not aligned"));
    }
    record.array(offset, least)
}

pub(super) fn text(record: Record<'_>, offset: usize) -> Result<Option<String>, BadFrame> {
    match slice(record, offset)? {
        None => Ok(None),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(BadFrame("a text is not UTF-8")),
        },
    }
}

fn read_route(output: Record<'_>) -> Result<Route, BadFrame> {
    let role = match output.u32(offset_of!(sys::Output, role)) {
        sys::ROLE_OPEN => Role::Open,
        sys::ROLE_WRITE => Role::Write,
        sys::ROLE_READ => Role::Read,
        _ => return Err(BadFrame("an unknown role")),
    };
    Ok(Route::new(role, Shard::from_number(output.u32(offset_of!(sys::Output, shard)))))
}

pub(super) fn read_refusal(output: Record<'_>) -> Result<Refusal, BadFrame> {
    Ok(Refusal {
        sqlstate: text(output, offset_of!(sys::Output, sqlstate))?.unwrap_or_else(|| "42501".to_owned()),
        message: text(output, offset_of!(sys::Output, message))?.unwrap_or_default(),
        detail: text(output, offset_of!(sys::Output, detail))?,
        hint: text(output, offset_of!(sys::Output, hint))?,
    })
}

fn read_rewrite(output: Record<'_>) -> Result<Rewrite, BadFrame> {
    let sql = slice(output, offset_of!(sys::Output, sql))?.ok_or(BadFrame("a rewrite has no text"))?;
    let flags = output.u32(offset_of!(sys::Output, flags));
    let mut rewrite = Rewrite::new(sql);
    if flags & sys::OUT_ROUTE != 0 {
        rewrite = rewrite.route(read_route(output)?);
    }
    if flags & sys::OUT_PARAMETERS == 0 {
        return Ok(rewrite);
    }
    let array = array(output, offset_of!(sys::Output, parameters), first_size::<sys::Parameter>())?;
    let mut parameters = Vec::with_capacity(array.len());
    for record in array.iter() {
        let null = record.u32(offset_of!(sys::Parameter, flags)) & sys::PARAMETER_NULL != 0;
        let value = slice(record, offset_of!(sys::Parameter, value))?;
        if null != value.is_none() {
            return Err(BadFrame("a parameter has no value and is not NULL, or both"));
        }
        parameters.push(NewParameter {
            value: value.map(<[u8]>::to_vec),
            format: format(record.u32(offset_of!(sys::Parameter, format)))?,
            type_oid: record.u32(offset_of!(sys::Parameter, type_oid)),
        });
    }
    Ok(rewrite.parameters(parameters))
}

fn read_rows(output: Record<'_>) -> Result<Rows, BadFrame> {
    let mut columns = Vec::new();
    for record in array(output, offset_of!(sys::Output, columns), first_size::<sys::Column>())?.iter() {
        columns.push(Column {
            name: text(record, offset_of!(sys::Column, name))?.ok_or(BadFrame("a column has no name"))?,
            type_oid: record.u32(offset_of!(sys::Column, type_oid)),
            type_modifier: record.u32(offset_of!(sys::Column, type_modifier)) as i32,
            type_size: record.u32(offset_of!(sys::Column, type_size)) as i32,
            format: format(record.u32(offset_of!(sys::Column, format)))?,
        });
    }
    let array = array(output, offset_of!(sys::Output, values), first_size::<sys::Value>())?;
    let width = columns.len().max(1);
    if array.len() % width != 0 || (columns.is_empty() && array.len() > 0) {
        return Err(BadFrame("the values do not fill the rows"));
    }
    let mut values = Vec::with_capacity(array.len());
    for (index, record) in array.iter().enumerate() {
        let null = record.u32(offset_of!(sys::Value, flags)) & sys::VALUE_NULL != 0;
        values.push(match slice(record, offset_of!(sys::Value, value))? {
            _ if null => Value::Null,
            None => return Err(BadFrame("a value is absent and not NULL")),
            Some(bytes) if columns[index % width].format == Format::Binary => Value::binary(bytes),
            Some(_) => Value::Text(text(record, offset_of!(sys::Value, value))?.unwrap_or_default()),
        });
    }
    let mut rows = Rows::new(columns);
    for row in values.chunks(width) {
        rows.push(row.iter().cloned());
    }
    rows.command_tag = text(output, offset_of!(sys::Output, command_tag))?;
    Ok(rows)
}

fn format(number: u32) -> Result<Format, BadFrame> {
    match number {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        _ => Err(BadFrame("an unknown format")),
    }
}

//! Arrays, text `{…}` and binary, of any element that can be decoded.

use super::{Body, Decode, DecodeError, Format, RawValue, Reader, is_space, trim};
use crate::oid;

const WANTED: &str = "array";
const MAX_DIMENSIONS: usize = 6;

/// One dimension of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    /// How many elements.
    pub length: usize,
    /// The index of the first one; 1 unless said otherwise.
    pub lower_bound: i32,
}

/// An array with its dimensions. For most purposes `Vec<T>` or `Vec<Option<T>>` is simpler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array<T> {
    /// None for an empty array.
    pub dimensions: Vec<Dimension>,
    /// All elements in storage order.
    pub elements: Vec<T>,
}

impl<'a, T: for<'e> Decode<'e>> Decode<'a> for Vec<T> {
    /// All elements in storage order, whatever the dimensions: what `= ANY(…)` looks at.
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        Array::decode(raw).map(|array| array.elements)
    }
}

impl<'a, T: for<'e> Decode<'e>> Decode<'a> for Array<T> {
    fn decode(raw: RawValue<'a>) -> Result<Self, DecodeError> {
        let own = raw.type_oid;
        let may_be_array = oid::element(own).is_some() || !oid::is_built_in(own);
        let accepted = if may_be_array { std::slice::from_ref(&own) } else { &[] };
        match raw.body(WANTED, accepted)? {
            Body::Text(text) => parse(trim(text), oid::element(own).unwrap_or(0)),
            Body::Binary(bytes) => receive(bytes),
        }
    }
}

fn syntax(reason: &'static str) -> DecodeError {
    DecodeError::Syntax { wanted: WANTED, reason }
}

fn element<T: for<'e> Decode<'e>>(index: usize, raw: RawValue<'_>) -> Result<T, DecodeError> {
    T::decode(raw).map_err(|source| DecodeError::Element { index, source: Box::new(source) })
}

/// array_recv: number of dimensions, flags, element type, length and lower bound of each, elements with lengths.
fn receive<T: for<'e> Decode<'e>>(bytes: &[u8]) -> Result<Array<T>, DecodeError> {
    let mut reader = Reader { wanted: WANTED, bytes };
    let count = usize::try_from(reader.i32()?).unwrap_or(usize::MAX);
    if count > MAX_DIMENSIONS {
        return Err(syntax("more dimensions than PostgreSQL allows"));
    }
    if !matches!(reader.i32()?, 0 | 1) {
        return Err(syntax("unknown flags"));
    }
    let type_oid = u32::from_be_bytes(reader.array()?);
    let mut dimensions = Vec::with_capacity(count);
    let mut total = usize::from(count > 0);
    for _ in 0..count {
        let length = usize::try_from(reader.i32()?).map_err(|_| syntax("a negative length"))?;
        let lower_bound = reader.i32()?;
        dimensions.push(Dimension { length, lower_bound });
        total = total.checked_mul(length).ok_or(syntax("too many elements"))?;
    }
    // Each element takes at least its own length: a count that the bytes cannot hold must not reserve memory.
    if total > reader.bytes.len() / 4 {
        return Err(syntax("the binary value ends too early"));
    }
    let mut elements = Vec::with_capacity(total);
    for index in 0..total {
        let bytes = match reader.i32()? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| syntax("a negative length"))?;
                Some(reader.take(length)?)
            }
        };
        elements.push(element(index, RawValue { bytes, format: Format::Binary, type_oid })?);
    }
    reader.end()?;
    if total == 0 {
        dimensions.clear();
    }
    Ok(Array { dimensions, elements })
}

/// `[0:1]={{1,2},{3,NULL}}`: bounds where they are not 1, braces, quotes and backslashes.
fn parse<T: for<'e> Decode<'e>>(text: &[u8], type_oid: u32) -> Result<Array<T>, DecodeError> {
    let (bounds, text) = parse_bounds(text)?;
    let mut parser = Parser { rest: text, lengths: [None; MAX_DIMENSIONS], depth: 0, items: Vec::new() };
    parser.array(0)?;
    if !parser.rest.is_empty() {
        return Err(syntax("text follows the closing brace"));
    }
    let depth = if parser.items.is_empty() { 0 } else { parser.depth };
    let lengths = parser.lengths.iter().take(depth).map(|length| length.unwrap_or(0));
    let mut dimensions: Vec<Dimension> = lengths.map(|length| Dimension { length, lower_bound: 1 }).collect();
    if !bounds.is_empty() {
        if bounds.len() != dimensions.len() {
            return Err(syntax("the bounds do not fit the elements"));
        }
        for (dimension, (lower, upper)) in dimensions.iter_mut().zip(bounds) {
            let length = i64::from(upper) - i64::from(lower) + 1;
            if usize::try_from(length) != Ok(dimension.length) {
                return Err(syntax("the bounds do not fit the elements"));
            }
            dimension.lower_bound = lower;
        }
    }
    let mut elements = Vec::with_capacity(parser.items.len());
    for (index, item) in parser.items.iter().enumerate() {
        let raw = RawValue { bytes: item.as_deref(), format: Format::Text, type_oid };
        elements.push(element(index, raw)?);
    }
    Ok(Array { dimensions, elements })
}

/// Lower and upper bound.
type Bounds = (i32, i32);

/// `[1:3][0:1]=` in front of the braces, if it is there: the bounds of each dimension, and what follows.
fn parse_bounds(text: &[u8]) -> Result<(Vec<Bounds>, &[u8]), DecodeError> {
    let mut bounds = Vec::new();
    let mut rest = text;
    while let [b'[', after @ ..] = rest {
        let end = after.iter().position(|&byte| byte == b']').ok_or(syntax("a bracket is not closed"))?;
        let range = std::str::from_utf8(&after[..end]).map_err(|_| syntax("not array bounds"))?;
        let (lower, upper) = range.split_once(':').unwrap_or(("1", range));
        let number = |text: &str| text.parse::<i32>().map_err(|_| syntax("not array bounds"));
        if bounds.len() == MAX_DIMENSIONS {
            return Err(syntax("more dimensions than PostgreSQL allows"));
        }
        bounds.push((number(lower)?, number(upper)?));
        rest = trim(&after[end + 1..]);
    }
    match (bounds.is_empty(), rest) {
        (true, rest) => Ok((bounds, rest)),
        (false, [b'=', after @ ..]) => Ok((bounds, trim(after))),
        (false, _) => Err(syntax("no \"=\" after the bounds")),
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    /// The length of each dimension, once one sub-array of it has ended.
    lengths: [Option<usize>; MAX_DIMENSIONS],
    /// The number of dimensions, once an element was seen.
    depth: usize,
    /// Unquoted elements; `None` is NULL.
    items: Vec<Option<Vec<u8>>>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.rest = &self.rest[1..];
        }
    }

    /// One pair of braces; recursion ends at six dimensions.
    fn array(&mut self, level: usize) -> Result<(), DecodeError> {
        if level == MAX_DIMENSIONS {
            return Err(syntax("more dimensions than PostgreSQL allows"));
        }
        if self.peek() != Some(b'{') {
            return Err(syntax("not in braces"));
        }
        self.rest = &self.rest[1..];
        self.spaces();
        let mut length = 0;
        if self.peek() == Some(b'}') {
            self.rest = &self.rest[1..];
            self.spaces();
            return self.close(level, length);
        }
        loop {
            self.spaces();
            if self.peek() == Some(b'{') {
                self.array(level + 1)?;
            } else {
                self.item(level + 1)?;
            }
            length += 1;
            self.spaces();
            let next = self.peek();
            self.rest = self.rest.get(1..).unwrap_or_default();
            match next {
                Some(b',') => {}
                Some(b'}') => {
                    self.spaces();
                    return self.close(level, length);
                }
                _ => return Err(syntax("a brace is not closed")),
            }
        }
    }

    fn close(&mut self, level: usize, length: usize) -> Result<(), DecodeError> {
        match self.lengths[level] {
            Some(before) if before != length => Err(syntax("sub-arrays of different lengths")),
            _ => {
                self.lengths[level] = Some(length);
                Ok(())
            }
        }
    }

    /// One element: quoted parts and bare ones, as array_in joins them.
    fn item(&mut self, depth: usize) -> Result<(), DecodeError> {
        if self.depth != 0 && self.depth != depth {
            return Err(syntax("elements at different depths"));
        }
        self.depth = depth;
        let mut value = Vec::new();
        let mut quoted = false;
        let mut escaped = false;
        let mut kept = 0; // length up to which trailing white space belongs to the value
        loop {
            match *self.rest {
                [b'"', ref rest @ ..] => {
                    if quoted || !value.is_empty() {
                        return Err(syntax("a quote in the middle of an element"));
                    }
                    quoted = true;
                    self.rest = rest;
                    self.quoted(&mut value)?;
                    self.spaces();
                    kept = value.len();
                    if !matches!(self.peek(), Some(b',' | b'}')) {
                        return Err(syntax("text follows a quoted element"));
                    }
                }
                [b',' | b'}', ..] => break,
                [b'{', ..] => return Err(syntax("a brace in the middle of an element")),
                [b'\\', byte, ref rest @ ..] => {
                    value.push(byte);
                    escaped = true;
                    kept = value.len();
                    self.rest = rest;
                }
                [byte, ref rest @ ..] if byte != b'\\' => {
                    value.push(byte);
                    if !is_space(byte) {
                        kept = value.len();
                    }
                    self.rest = rest;
                }
                _ => return Err(syntax("a brace is not closed")),
            }
        }
        value.truncate(kept);
        if value.is_empty() && !quoted {
            return Err(syntax("an element is missing"));
        }
        let null = !quoted && !escaped && value.eq_ignore_ascii_case(b"NULL");
        self.items.push((!null).then_some(value));
        Ok(())
    }

    /// Up to the closing quote.
    fn quoted(&mut self, value: &mut Vec<u8>) -> Result<(), DecodeError> {
        loop {
            match *self.rest {
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'\\', byte, ref rest @ ..] => {
                    value.push(byte);
                    self.rest = rest;
                }
                [byte, ref rest @ ..] if byte != b'\\' => {
                    value.push(byte);
                    self.rest = rest;
                }
                _ => return Err(syntax("a quote is not closed")),
            }
        }
    }
}

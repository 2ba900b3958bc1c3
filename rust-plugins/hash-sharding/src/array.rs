//! The elements of an array value, text or binary, one after the other, nested ones flattened as `= ANY` sees them.
//! Knows the two forms of an array, not what its elements mean.

use crate::key::Malformed;

/// Calls `element` for each element of `{1,2,NULL,"a b"}`; None for NULL. The syntax is `array_in`'s.
pub(crate) fn each_in_text<E: From<Malformed>>(
    text: &[u8],
    mut element: impl FnMut(Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = skip_spaces(skip_bounds(skip_spaces(text)));
    if rest.first() != Some(&b'{') {
        return Err(Malformed::Syntax.into());
    }
    let mut depth = 0_usize;
    // What may come next: an element or an opening brace, or else a comma or a closing brace.
    let mut wants_element = true;
    let mut after_comma = false;
    let mut scratch = Vec::new();
    loop {
        rest = skip_spaces(rest);
        match rest.first() {
            None => return Err(Malformed::Syntax.into()),
            Some(b'{') if wants_element => {
                depth += 1;
                after_comma = false;
                rest = &rest[1..];
            }
            Some(b'}') if !after_comma && depth > 0 => {
                depth -= 1;
                wants_element = false;
                rest = &rest[1..];
                if depth == 0 {
                    return if skip_spaces(rest).is_empty() { Ok(()) } else { Err(Malformed::Syntax.into()) };
                }
            }
            Some(b',') if !wants_element => {
                wants_element = true;
                after_comma = true;
                rest = &rest[1..];
            }
            Some(_) if wants_element => {
                let found = read_element(rest)?;
                if found.is_null {
                    element(None)?;
                } else if found.escaped {
                    unescape(found.raw, &mut scratch)?;
                    element(Some(&scratch))?;
                } else {
                    element(Some(found.raw))?;
                }
                rest = found.after;
                wants_element = false;
                after_comma = false;
            }
            Some(_) => return Err(Malformed::Syntax.into()),
        }
    }
}

/// `[1:2][0:1]=` in front of an array says where its indexes begin, which does not matter here.
fn skip_bounds(text: &[u8]) -> &[u8] {
    match text.iter().position(|&byte| byte == b'=') {
        Some(equals) if text.first() == Some(&b'[') => &text[equals + 1..],
        _ => text,
    }
}

struct Element<'a> {
    raw: &'a [u8],
    escaped: bool,
    is_null: bool,
    after: &'a [u8],
}

fn read_element(text: &[u8]) -> Result<Element<'_>, Malformed> {
    let quoted = text.first() == Some(&b'"');
    let body = if quoted { &text[1..] } else { text };
    let is_end = |byte: u8| if quoted { byte == b'"' } else { matches!(byte, b',' | b'}' | b'{' | b'"') };
    let mut end = 0;
    let mut escaped = false;
    loop {
        match body.get(end) {
            None => return Err(Malformed::Syntax),
            Some(&byte) if is_end(byte) => break,
            Some(b'\\') => {
                escaped = true;
                end += 2;
            }
            Some(_) => end += 1,
        }
    }
    let raw = if quoted { &body[..end] } else { trim_unquoted(&body[..end]) };
    let after = &body[if quoted { end + 1 } else { end }..];
    if !quoted && (raw.is_empty() || matches!(after.first(), Some(b'{' | b'"'))) {
        return Err(Malformed::Syntax);
    }
    let is_null = !quoted && !escaped && raw.eq_ignore_ascii_case(b"NULL");
    Ok(Element { raw, escaped, is_null, after })
}

fn unescape(raw: &[u8], scratch: &mut Vec<u8>) -> Result<(), Malformed> {
    scratch.clear();
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        scratch.push(if byte == b'\\' { bytes.next().ok_or(Malformed::Syntax)? } else { byte });
    }
    Ok(())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len())..]
}

/// Spaces at the end go, but not one that a backslash stands before.
fn trim_unquoted(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
    let backslashes = text[..end].iter().rev().take_while(|&&byte| byte == b'\\').count();
    &text[..(end + backslashes % 2).min(text.len())]
}

/// An array in `array_send`'s form.
#[derive(Debug)]
pub(crate) struct BinaryArray<'a> {
    pub element_oid: u32,
    left: usize,
    reader: Reader<'a>,
}

impl<'a> BinaryArray<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: bytes };
        let dimensions = reader.word()?;
        let _has_nulls = reader.word()?;
        let element_oid = reader.word()?;
        if dimensions > 6 {
            return Err(Malformed::Syntax);
        }
        let mut left = usize::from(dimensions > 0);
        for _ in 0..dimensions {
            let length = reader.word()? as usize;
            let _lower_bound = reader.word()?;
            left = left.saturating_mul(length);
        }
        Ok(Self { element_oid, left, reader })
    }

    /// The next element, the inner None for NULL. Each takes four bytes at least, so a count that is too large ends in an error.
    pub(crate) fn next_element(&mut self) -> Result<Option<Option<&'a [u8]>>, Malformed> {
        if self.left == 0 {
            return if self.reader.rest.is_empty() { Ok(None) } else { Err(Malformed::Length(self.reader.rest.len())) };
        }
        self.left -= 1;
        match self.reader.word()? {
            u32::MAX => Ok(Some(None)),
            length => Ok(Some(Some(self.reader.take(length as usize)?))),
        }
    }
}

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Length(self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |word, &byte| (word << 8) | u32::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<Option<String>>, Malformed> {
        let mut all = Vec::new();
        each_in_text::<Malformed>(text.as_bytes(), |element| {
            all.push(element.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn text_arrays_are_read_as_the_server_reads_them() {
        let some = |list: &[&str]| Ok(list.iter().map(|&text| Some(text.to_owned())).collect());
        assert_eq!(texts("{1,2}"), some(&["1", "2"]));
        assert_eq!(texts(" { 1 , 2 } "), some(&["1", "2"]));
        assert_eq!(texts("{}"), some(&[]));
        assert_eq!(texts("{{1,2},{3,4}}"), some(&["1", "2", "3", "4"]));
        assert_eq!(texts("[0:1]={1,2}"), some(&["1", "2"]));
        assert_eq!(texts(r#"{"a b","",a\"b,"x\\y",a b}"#), some(&["a b", "", "a\"b", "x\\y", "a b"]));
        assert_eq!(texts(r"{a\ ,b\\ }"), some(&["a ", "b\\"]));
        assert_eq!(texts(r#"{"NULL",\NULL}"#), some(&["NULL", "NULL"]));
        assert_eq!(texts("{NULL,null,1}"), Ok(vec![None, None, Some("1".to_owned())]));
    }

    #[test]
    fn broken_text_arrays_are_refused() {
        for text in [
            "",
            "1",
            "{",
            "}",
            "{1",
            "{1,}",
            "{,1}",
            "{1}2",
            "{1}}",
            r#"{"a}"#,
            r#"{"a"b}"#,
            r"{a\",
            "{1 {2}}",
            "{a\"b\"}",
            "{,}",
        ] {
            assert_eq!(texts(text), Err(Malformed::Syntax), "{text}");
        }
    }

    fn binary(elements: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [1, 0, 20, elements.len() as u32, 1] {
            bytes.extend(word.to_be_bytes());
        }
        for element in elements {
            match element {
                None => bytes.extend(u32::MAX.to_be_bytes()),
                Some(value) => {
                    bytes.extend((value.len() as u32).to_be_bytes());
                    bytes.extend(*value);
                }
            }
        }
        bytes
    }

    type Elements = Vec<Option<Vec<u8>>>;

    fn read(bytes: &[u8]) -> Result<(u32, Elements), Malformed> {
        let mut array = BinaryArray::open(bytes)?;
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            elements.push(element.map(<[u8]>::to_vec));
        }
        Ok((array.element_oid, elements))
    }

    #[test]
    fn binary_arrays_give_their_elements() {
        let bytes = binary(&[Some(b"12345678"), None, Some(b"")]);
        assert_eq!(read(&bytes), Ok((20, vec![Some(b"12345678".to_vec()), None, Some(Vec::new())])));
        assert_eq!(read(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]), Ok((20, vec![])));
    }

    #[test]
    fn binary_arrays_cut_anywhere_are_refused_and_never_read_past() {
        let bytes = binary(&[Some(b"12345678"), None]);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end}");
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(read(&long).is_err());
        let mut huge = bytes;
        huge[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(read(&huge).is_err());
    }
}

//! A statement without what may be private: texts, numbers and comments. It reads as PostgreSQL's scanner does; where a text does
//! not end, the rest is part of it.

/// The statement with `?` in place of each literal.
pub(crate) fn scrub(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let before = out.chars().next_back().unwrap_or(' ');
        let (length, replacement) = if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), Some(""))
        } else if rest.starts_with("/*") {
            (comment(rest), Some(" "))
        } else if first == '\'' {
            // E'…' and e'…' know backslashes. The letter before it (E, B, X, N) goes, too.
            let prefix = matches!(before, 'e' | 'E' | 'b' | 'B' | 'x' | 'X' | 'n' | 'N')
                && !is_word(out.chars().rev().nth(1));
            let length = text(rest, prefix && before.eq_ignore_ascii_case(&'e'));
            if prefix {
                out.pop();
            }
            (length, Some("?"))
        } else if first == '"' {
            (
                1 + rest[1..].find('"').map_or(rest.len() - 1, |end| end + 1),
                None,
            )
        } else if let Some(length) = dollar_quoted(rest).filter(|_| !is_word(Some(before))) {
            (length, Some("?"))
        } else if first.is_ascii_digit() && !is_word(Some(before)) && before != '$' {
            (
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
                    .unwrap_or(rest.len()),
                Some("?"),
            )
        } else if first == '.'
            && rest[1..].starts_with(|c: char| c.is_ascii_digit())
            && !is_word(Some(before))
        {
            (1, Some(""))
        } else {
            (first.len_utf8(), None)
        };
        out.push_str(replacement.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    out.trim().to_owned()
}

fn is_word(character: Option<char>) -> bool {
    character.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$' || c == '?')
}

/// Block comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

fn text(quoted: &str, backslashes: bool) -> usize {
    let mut bytes = quoted.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if backslashes => drop(bytes.next()),
            b'\'' if bytes.peek().is_some_and(|(_, next)| *next == b'\'') => drop(bytes.next()),
            b'\'' => return at + 1,
            _ => {}
        }
    }
    quoted.len()
}

/// `$tag$ … $tag$`; `$1` is none.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = 1 + text.strip_prefix('$')?.find('$')?;
    let tag = &text[..=tag_end];
    let name = &tag[1..tag_end];
    if name.starts_with(|c: char| c.is_ascii_digit())
        || name.contains(|c: char| !c.is_alphanumeric() && c != '_')
    {
        return None;
    }
    let end = text[tag.len()..]
        .find(tag)
        .map_or(text.len(), |end| tag.len() + end + tag.len());
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn takes_out_literals_and_comments() {
        for (sql, scrubbed) in [
            (
                "SELECT * FROM users WHERE id = 42",
                "SELECT * FROM users WHERE id = ?",
            ),
            (
                "SELECT 'it''s', E'a\\'b', x'ff', 1.5e-3, .5",
                "SELECT ?, ?, ?, ?-?, ?",
            ),
            (
                "SELECT $1, $2::int4, t1.c2 FROM t1",
                "SELECT $1, $2::int4, t1.c2 FROM t1",
            ),
            ("SELECT $$a 'b$$, $tag$ $$ $tag$ -- bob's", "SELECT ?, ?"),
            ("SELECT /* a /* b */ 'c */ 1", "SELECT   ?"),
            ("SELECT \"Column 1\", 'é'", "SELECT \"Column 1\", ?"),
            ("SELECT 'unterminated", "SELECT ?"),
            ("SELECT \"unterminated 1", "SELECT \"unterminated 1"),
            ("SELECT /* unterminated 'x", "SELECT"),
            ("IN (1,2,-3)", "IN (?,?,-?)"),
            ("typename'secret'", "typename?"),
        ] {
            assert_eq!(scrub(sql), scrubbed, "{sql}");
        }
    }
}

//! Reading libpg_query's JSON without trusting its depth: a hostile statement must not exhaust the stack.

use crate::error::Error;

/// How deeply a parse tree's JSON may be nested. Each operator of a chain such as `1 + 1 + …` takes two levels.
pub const PARSE_TREE_DEPTH: usize = 1_000;

/// The JSON as a value.
pub(crate) fn read(bytes: &[u8]) -> Result<serde_json::Value, Error> {
    if depth(bytes) > PARSE_TREE_DEPTH {
        return Err(Error::new(format!(
            "the statement is nested too deeply to be examined: its parse tree has more than {PARSE_TREE_DEPTH} levels"
        )));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer.disable_recursion_limit(); // 128 would refuse what applications do send
    let value = serde::Deserialize::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| Error::new(format!("the parse tree is not valid JSON: {error}")))
}

/// The deepest nesting of brackets and braces outside of strings.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

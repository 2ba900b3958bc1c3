//! Names in a configuration, written as in SQL: `users`, `app.users`, `"Mixed Case"."T"`; `*` stands for any characters.

use std::fmt;

/// PostgreSQL cuts longer names off.
const NAME_BYTES: usize = 63;

/// A name, or every name that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    schema: Option<Part>,
    name: Part,
    text: String,
}

/// Literal pieces between stars; one piece is an exact name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part(Vec<String>);

impl Pattern {
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split(text)?;
        let name = parts
            .pop()
            .filter(|_| parts.len() <= 1)
            .ok_or_else(|| format!("\"{text}\" is neither a name nor schema.name"))?;
        Ok(Pattern { schema: parts.pop(), name, text: text.to_owned() })
    }

    /// Whether the pattern says in which schema.
    pub fn is_qualified(&self) -> bool {
        self.schema.is_some()
    }

    /// Whether it is `*` or `schema.*`.
    pub fn is_any_name(&self) -> bool {
        self.name.0.iter().all(String::is_empty) && self.name.0.len() > 1
    }

    pub fn matches_name(&self, name: &str) -> bool {
        self.name.matches(name)
    }

    /// An unqualified pattern means any schema.
    pub fn matches_schema(&self, schema: &str) -> bool {
        self.schema.as_ref().is_none_or(|part| part.matches(schema))
    }

    pub fn matches(&self, schema: &str, name: &str) -> bool {
        self.matches_name(name) && self.matches_schema(schema)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// One identifier, without dot and star: folded as SQL folds it, or as it stands between quotes.
///
/// # Errors
/// What is wrong with the text.
pub fn identifier(text: &str) -> Result<String, String> {
    let mut parts = split(text)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(Part(mut pieces)), true) if pieces.len() == 1 => Ok(pieces.remove(0)),
        _ => Err(format!("\"{text}\" is no plain name")),
    }
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|exact| exact == name);
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

fn split(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) =
            if let Some(quoted) = rest.strip_prefix('"') { quoted_part(quoted, text)? } else { bare_part(rest) };
        if part.0.iter().all(String::is_empty) && part.0.len() == 1 {
            return Err(format!("\"{text}\" has an empty name"));
        }
        if part.0.iter().any(|piece| piece.len() > NAME_BYTES) {
            return Err(format!("\"{text}\" is longer than a name can be ({NAME_BYTES} bytes)"));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(parts),
            None => return Err(format!("\"{text}\" has something after the closing quote")),
        }
    }
}

fn bare_part(text: &str) -> (Part, &str) {
    let end = text.find('.').unwrap_or(text.len());
    let folded = text[..end].trim().to_ascii_lowercase();
    (Part(folded.split('*').map(str::to_owned).collect()), &text[end..])
}

fn quoted_part<'a>(mut quoted: &'a str, text: &str) -> Result<(Part, &'a str), String> {
    let mut name = String::new();
    loop {
        let end = quoted.find('"').ok_or_else(|| format!("\"{text}\" lacks a closing quote"))?;
        name.push_str(&quoted[..end]);
        quoted = &quoted[end + 1..];
        match quoted.strip_prefix('"') {
            Some(rest) => {
                name.push('"');
                quoted = rest;
            }
            None => return Ok((Part(vec![name]), quoted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, schema: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(schema, name)
    }

    #[test]
    fn bare_names_fold_and_mean_any_schema() {
        assert!(matches("Users", "public", "users") && matches("users", "app", "users"));
        assert!(!matches("users", "public", "Users") && !matches("users", "public", "users2"));
    }

    #[test]
    fn quoted_names_are_exact() {
        assert!(matches("\"Users\"", "public", "Users") && !matches("\"Users\"", "public", "users"));
        assert!(matches("\"a.b\".\"c\"\"d*\"", "a.b", "c\"d*") && !matches("\"x*\"", "public", "xy"));
    }

    #[test]
    fn qualified_names_mean_one_schema() {
        assert!(matches("app.users", "app", "users") && !matches("app.users", "public", "users"));
    }

    #[test]
    fn a_star_is_any_characters() {
        assert!(matches("private.*", "private", "anything") && !matches("private.*", "public", "anything"));
        assert!(
            matches("orders_*", "x", "orders_2024")
                && matches("orders_*", "x", "orders_")
                && !matches("orders_*", "x", "orders")
        );
        assert!(matches("*a*b", "x", "xxaxxb") && matches("*a*b", "x", "aabab") && !matches("*a*b", "x", "ba"));
        assert!(!matches("ab*ba", "x", "aba") && matches("ab*ba", "x", "abba"));
        assert!(matches("tenant_*.users", "tenant_7", "users") && !matches("tenant_*.users", "public", "users"));
        assert!(Pattern::parse("private.*").unwrap().is_any_name() && !Pattern::parse("a*").unwrap().is_any_name());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(64);
        for text in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "\"\"", long.as_str()] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert_eq!(identifier("Tenant_Id").unwrap(), "tenant_id");
        assert_eq!(identifier("\"Tenant.Id\"").unwrap(), "Tenant.Id");
        assert!(identifier("a.b").is_err() && identifier("a*").is_err());
    }
}

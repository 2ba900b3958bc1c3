//! Names of character encodings, as far as it matters whether two are the same.

/// Whether text that a client sends reaches the server's tables byte for byte.
pub(crate) fn is_stored_as_sent(client: &str, server: &str) -> bool {
    // With SQL_ASCII on either side the server converts nothing.
    same(client, server) || same(client, "SQL_ASCII") || same(server, "SQL_ASCII")
}

pub(crate) fn is_utf8(encoding: &str) -> bool {
    same(encoding, "UTF8")
}

fn same(a: &str, b: &str) -> bool {
    plain(a).eq(plain(b))
}

/// PostgreSQL takes `utf-8`, `UTF8` and `Unicode` for one.
fn plain(name: &str) -> impl Iterator<Item = u8> + '_ {
    let name = if name.eq_ignore_ascii_case("unicode") { "UTF8" } else { name };
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_compared_as_postgresql_compares_them() {
        assert!(is_utf8("utf-8") && is_utf8("UTF8") && is_utf8("unicode"));
        assert!(is_stored_as_sent("UTF8", "utf_8"));
        assert!(is_stored_as_sent("SQL_ASCII", "UTF8") && is_stored_as_sent("LATIN1", "SQL_ASCII"));
        assert!(!is_stored_as_sent("LATIN1", "UTF8"));
    }
}

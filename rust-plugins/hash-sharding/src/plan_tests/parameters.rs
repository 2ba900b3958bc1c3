//! Parameters in both formats and of all types, NULL, arrays, what clients get wrong, and encodings.

use super::*;

const BY_ID: &str = "SELECT * FROM users WHERE id = $1";
const BY_ANY: &str = "SELECT * FROM users WHERE id = ANY ($1)";

#[test]
fn integers_come_in_either_format_and_any_width() {
    for (given, expected) in [
        (bound().text("5"), 5),
        (bound().text(" -5"), -5),
        (bound().typed(20, "5"), 5),
        (bound().typed(705, "5"), 5),
        (bound().typed(25, "5"), 5),
        (bound().binary(20, &5_i64.to_be_bytes()), 5),
        (bound().binary(23, &(-5_i32).to_be_bytes()), -5),
        (bound().binary(21, &5_i16.to_be_bytes()), 5),
        (bound().binary(0, &i64::MIN.to_be_bytes()), i64::MIN),
        (bound().binary(0, &5_i32.to_be_bytes()), 5),
        (bound().binary(25, b"5"), 5),
    ] {
        assert_eq!(route(BY_ID, &given), int(expected), "{:?}", given.0);
    }
}

#[test]
fn casts_say_how_the_server_takes_a_parameter() {
    let sql = "SELECT * FROM users WHERE id = $1::text::bigint";
    assert_eq!(route(sql, &bound().text("5")), int(5));
    // Eight bytes of text, not a binary bigint.
    assert_eq!(route(sql, &bound().binary(0, b"12345678")), int(12_345_678));
    assert_eq!(route("SELECT * FROM users WHERE id = $1::int", &bound().binary(0, &5_i32.to_be_bytes())), int(5));
    assert_eq!(route("SELECT * FROM users WHERE id = CAST($1 AS bigint)", &bound().typed(25, "5")), int(5));
    assert_eq!(route("SELECT * FROM docs WHERE name = $1::text", &bound().text("5")), bytes("5"));
    missing("SELECT * FROM users WHERE id = $1::numeric");
    missing("SELECT * FROM users WHERE id = ($1::numeric)::bigint");
    missing("SELECT * FROM docs WHERE name = $1::varchar(3)");
    missing("SELECT * FROM docs WHERE name = $1::int::text");
    missing("SELECT * FROM docs WHERE name = $1::char(3)");
    missing("SELECT * FROM users WHERE id = $1 + 0");
    missing("SELECT * FROM users WHERE id = -$1");
    missing("SELECT * FROM users WHERE id = coalesce($1, $2)");
}

#[test]
fn uuid_text_and_bytea_come_in_either_format() {
    let uuid: Vec<u8> = (0..16).collect();
    let by_uuid = "SELECT * FROM app.orgs WHERE id = $1";
    for given in [
        bound().text("00010203-0405-0607-0809-0a0b0c0d0e0f"),
        bound().typed(2950, "{000102030405060708090A0B0C0D0E0F}"),
        bound().typed(25, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        bound().binary(2950, &uuid),
        bound().binary(0, &uuid),
    ] {
        assert_eq!(route(by_uuid, &given), bytes(&uuid), "{:?}", given.0);
    }
    let by_name = "SELECT * FROM docs WHERE name = $1";
    for given in
        [bound().text("ñ"), bound().typed(25, "ñ"), bound().typed(1043, "ñ"), bound().binary(0, "ñ".as_bytes())]
    {
        assert_eq!(route(by_name, &given), bytes("ñ"), "{:?}", given.0);
    }
    assert_eq!(route(by_name, &bound().text("")), bytes(""));
    let by_bytes = "SELECT * FROM blobs WHERE b = $1";
    for given in [
        bound().text(r"\x00ff"),
        bound().typed(17, r"\000\377"),
        bound().binary(17, b"\x00\xff"),
        bound().binary(0, b"\x00\xff"),
    ] {
        assert_eq!(route(by_bytes, &given), bytes(b"\x00\xff"), "{:?}", given.0);
    }
    assert_eq!(route("INSERT INTO codes (code) VALUES ($1)", &bound().text("abc ")), bytes("abc"));
    assert_eq!(route("SELECT * FROM codes WHERE code = $1", &bound().binary(1043, b"abc ")), bytes("abc"));
}

#[test]
fn a_null_parameter_matches_nothing_but_is_stored() {
    assert_eq!(route(BY_ID, &bound().null()), Answer::AnyShard);
    assert_eq!(route(BY_ANY, &bound().null()), Answer::AnyShard);
    assert_eq!(route("INSERT INTO users (id) VALUES ($1)", &bound().null()), Answer::Shard(0));
    assert_eq!(
        route("SELECT * FROM users u, posts p WHERE u.id = $1 AND p.user_id = $2", &bound().text("5").null()),
        int(5)
    );
    let refused = refusal("SELECT * FROM users WHERE id IS NOT DISTINCT FROM $1", &bound().null());
    assert_eq!((refused.sqlstate, refused.message.contains("NULL")), ("0A000", true));
    assert_eq!(route("SELECT * FROM users WHERE id IS NOT DISTINCT FROM $1", &bound().text("5")), int(5));
}

#[test]
fn several_parameters_must_agree() {
    let sql = "SELECT * FROM users u, posts p WHERE u.id = $1 AND p.user_id = $2";
    assert_eq!(route(sql, &bound().text("5").binary(20, &5_i64.to_be_bytes())), int(5));
    several(sql);
    goes_bound("SELECT * FROM users u JOIN posts p ON p.user_id = u.id WHERE u.id = $1", int(5));
    goes_bound("SELECT * FROM users WHERE id IN ($1, 5)", int(5));
    several("SELECT * FROM users WHERE id IN ($1, $2)");
    several("INSERT INTO users (id) VALUES ($1), ($2)");
    goes_bound("INSERT INTO users (id, email) VALUES ($1, $2)", int(5));
    goes_bound("INSERT INTO users (email, id) SELECT $1, $2", int(9));
    goes_bound("SELECT * FROM users WHERE id = $2 AND email = $1", int(9));
    goes_bound("UPDATE users SET email = $2 WHERE id = $1", int(5));
    goes_bound("UPDATE users SET id = $1 WHERE id = $1", int(5));
}

fn binary_array(element_oid: u32, elements: &[Option<&[u8]>]) -> Vec<u8> {
    let mut array = Vec::new();
    for word in [1, 0, element_oid, elements.len() as u32, 1] {
        array.extend(word.to_be_bytes());
    }
    for element in elements {
        array.extend(element.map_or(u32::MAX, |bytes| bytes.len() as u32).to_be_bytes());
        array.extend(element.unwrap_or_default());
    }
    array
}

#[test]
fn arrays_come_in_either_format() {
    let five = 5_i64.to_be_bytes();
    let nine = 9_i64.to_be_bytes();
    for given in [
        bound().text("{5}"),
        bound().text("{5,NULL, 5 }"),
        bound().typed(1016, "{5}"),
        bound().typed(1007, "{{5},{5}}"),
        bound().typed(1009, "{\"5\"}"),
        bound().binary(1016, &binary_array(20, &[Some(&five), None])),
        bound().binary(0, &binary_array(20, &[Some(&five)])),
        bound().binary(1007, &binary_array(23, &[Some(&5_i32.to_be_bytes())])),
        bound().binary(1009, &binary_array(25, &[Some(b"5")])),
    ] {
        assert_eq!(route(BY_ANY, &given), int(5), "{:?}", given.0);
    }
    assert_eq!(route(BY_ANY, &bound().text("{}")), Answer::AnyShard);
    assert_eq!(route(BY_ANY, &bound().binary(1016, &binary_array(20, &[None]))), Answer::AnyShard);
    for given in [bound().text("{5,9}"), bound().binary(1016, &binary_array(20, &[Some(&five), Some(&nine)]))] {
        assert!(refusal(BY_ANY, &given).message.contains("several shards"), "{:?}", given.0);
    }
    assert_eq!(route("SELECT * FROM users WHERE id = ANY ($1::int[])", &bound().text("{5}")), int(5));
    assert_eq!(route("SELECT * FROM users WHERE id = ANY (ARRAY[$1, $1])", &bound().text("5")), int(5));
    assert_eq!(route("SELECT * FROM users u JOIN unnest($1::bigint[]) k ON u.id = k", &bound().text("{5,5}")), int(5));
    assert_eq!(
        route("SELECT * FROM users WHERE id IN (SELECT unnest FROM unnest($1::bigint[]))", &bound().text("{5}")),
        int(5)
    );
    assert_eq!(
        route("INSERT INTO users (id) SELECT * FROM unnest($1::bigint[]) u", &bound().text("{NULL}")),
        Answer::Shard(0)
    );
}

#[test]
fn values_that_no_server_takes_are_refused_with_its_sqlstate() {
    for (given, sqlstate) in [
        (bound().text("x"), "22P02"),
        (bound().text(""), "22P02"),
        (bound().text("9223372036854775808"), "22003"),
        (bound().binary(20, &[0; 3]), "22P03"),
        (bound().binary(0, &[]), "22P03"),
        (bound(), "42P02"),
    ] {
        assert_eq!(refusal(BY_ID, &given).sqlstate, sqlstate, "{:?}", given.0);
    }
    for given in [
        bound().text("5"),
        bound().text("{5"),
        bound().binary(1016, &[0; 7]),
        bound().binary(1016, b"{5}"),
        bound().text("{x}"),
    ] {
        assert!(refusal(BY_ANY, &given).sqlstate.starts_with("22"), "{:?}", given.0);
    }
    assert_eq!(refusal("SELECT * FROM app.orgs WHERE id = $1", &bound().binary(0, &[0; 15])).sqlstate, "22P03");
}

#[test]
fn parameters_of_other_types_are_no_keys() {
    for given in
        [bound().typed(1700, "5"), bound().typed(701, "5"), bound().binary(1700, &[0; 8]), bound().typed(16, "t")]
    {
        let refused = refusal(BY_ID, &given);
        assert_eq!(refused.sqlstate, "0A000", "{:?}", given.0);
        assert!(refused.message.contains("type OID"), "{refused:?}");
    }
    for given in
        [bound().typed(1231, "{5}"), bound().typed(20, "5"), bound().binary(1016, &binary_array(1700, &[None]))]
    {
        assert_eq!(refusal(BY_ANY, &given).sqlstate, "0A000", "{:?}", given.0);
    }
    assert_eq!(refusal("SELECT * FROM docs WHERE name = $1", &bound().typed(1042, "a  ")).sqlstate, "0A000");
    assert_eq!(refusal("SELECT * FROM docs WHERE name = $1", &bound().typed(23, "5")).sqlstate, "0A000");
    assert_eq!(refusal("SELECT * FROM blobs WHERE b = $1", &bound().typed(25, "a")).sqlstate, "0A000");
}

struct Latin(Bound);

impl Arguments for Latin {
    fn argument(&self, index: u32) -> Option<Argument<'_>> {
        self.0.argument(index)
    }

    fn text_is_stored_as_sent(&self) -> bool {
        false
    }
}

#[test]
fn text_in_another_encoding_is_hashed_only_when_it_is_ascii() {
    let by_name = "SELECT * FROM docs WHERE name = $1";
    assert_eq!(route(by_name, &Latin(bound().text("abc"))), bytes("abc"));
    let refused = refusal(by_name, &Latin(bound().binary(25, b"\xf1")));
    assert!(refused.hint.is_some_and(|hint| hint.contains("client_encoding")), "{}", refused.message);
    // Bytes are bytes, numbers are ASCII or wrong.
    assert_eq!(route("SELECT * FROM blobs WHERE b = $1", &Latin(bound().binary(17, b"\xf1"))), bytes(b"\xf1"));
    assert_eq!(refusal(BY_ID, &Latin(bound().binary(25, b"\xf1"))).sqlstate, "22P02");
}

#[test]
fn literals_are_utf8_and_need_a_utf8_server_beyond_ascii() {
    let latin =
        sharding(r#"{"tables": [{"table": "docs", "column": "name", "type": "text"}], "server_encoding": "LATIN1"}"#);
    let route = |sql| plan_with(&latin, sql).route(&latin, &bound(), SHARDS);
    assert_eq!(route("SELECT * FROM docs WHERE name = ''"), bytes(""));
    assert!(
        matches!(route("SELECT * FROM docs WHERE name = 'año'"), Answer::Refuse(refusal) if refusal.sqlstate == "0A000")
    );
}

//! How a WHERE says a key: operators, literals of every type, lists, AND and OR.

use super::*;

#[test]
fn statements_without_sharded_tables_are_not_ours() {
    for sql in [
        "SELECT 1",
        "SELECT * FROM accounts WHERE id = 5",
        "SELECT * FROM other.users WHERE id = 5",
        "SELECT * FROM \"Users\" WHERE id = 5",
        "SELECT * FROM countries",
        "INSERT INTO accounts VALUES (1)",
        "CREATE TABLE accounts (id int)",
        "BEGIN",
        "SET search_path = app",
        "COPY accounts FROM STDIN",
        "SELECT users.id FROM accounts AS users",
    ] {
        goes(sql, Answer::Skip);
    }
}

#[test]
fn an_equality_with_a_literal_is_a_key() {
    for sql in [
        "SELECT * FROM users WHERE id = 5",
        "SELECT * FROM users WHERE 5 = id",
        "SELECT * FROM users WHERE id = '5'",
        "SELECT * FROM users WHERE id = ' 5 '",
        "SELECT * FROM users WHERE id = +5",
        "SELECT * FROM users WHERE id = -(-5)",
        "SELECT * FROM users WHERE id = 0x5",
        "SELECT * FROM users WHERE id = 5::int",
        "SELECT * FROM users WHERE id = CAST(5 AS smallint)",
        "SELECT * FROM users WHERE id = '5'::bigint",
        "SELECT * FROM users WHERE id = bigint '5'",
        "SELECT * FROM users WHERE id = '5'::text::bigint",
        "SELECT * FROM users WHERE id = '5'::pg_catalog.int8",
        "SELECT * FROM users WHERE id::int = 5",
        "SELECT * FROM users WHERE id OPERATOR(pg_catalog.=) 5",
        "SELECT * FROM users WHERE (((id))) = ((5))",
        "SELECT * FROM users WHERE id IS NOT DISTINCT FROM 5",
        "SELECT * FROM users WHERE (id, email) = (5, 'a')",
        "SELECT * FROM users WHERE ROW(email, id) = ROW('a', 5)",
        "SELECT * FROM users WHERE users.id = 5",
        "SELECT * FROM users WHERE public.users.id = 5",
        "SELECT * FROM public.users WHERE public.users.id = 5",
        "SELECT * FROM app.public.users WHERE app.public.users.id = 5",
        "SELECT * FROM users u WHERE u.id = 5",
        "SELECT * FROM users AS \"U\" WHERE \"U\".id = 5",
        "SELECT * FROM USERS WHERE ID = 5",
        "SELECT * FROM ONLY users WHERE id = 5",
        "SELECT * FROM users TABLESAMPLE SYSTEM (10) WHERE id = 5",
        "SELECT * FROM users AS u (a, b) WHERE a = 5",
        "SELECT * FROM users WHERE id = 5 FOR UPDATE OF users",
        "SELECT id FROM users WHERE id = 5 GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1",
        "SELECT id FROM users GROUP BY id HAVING id = 5",
    ] {
        goes(sql, int(5));
    }
}

#[test]
fn numbers_keep_their_value() {
    goes("SELECT * FROM users WHERE id = 0", int(0));
    goes("SELECT * FROM users WHERE id = -7", int(-7));
    goes("SELECT * FROM users WHERE id = 1_000", int(1000));
    goes("SELECT * FROM users WHERE id = 10_000_000_000", int(10_000_000_000));
    goes("SELECT * FROM users WHERE id = 0x7FFFFFFFFFFFFFFF", int(i64::MAX));
    goes("SELECT * FROM users WHERE id = -9223372036854775808", int(i64::MIN));
    goes("SELECT * FROM users WHERE id = 2147483648", int(2_147_483_648));
    goes("SELECT * FROM small WHERE k = 40000", int(40_000));
    goes("SELECT * FROM \"Odd\" WHERE \"Id\" = 7", int(7));
}

#[test]
fn keys_of_other_types_are_hashed_as_they_are_stored() {
    let uuid = [0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11];
    goes("SELECT * FROM app.orgs WHERE id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", bytes(uuid));
    goes("SELECT * FROM app.orgs WHERE id = '{A0EEBC999C0B4EF8BB6D6BB9BD380A11}'::uuid", bytes(uuid));
    goes("SELECT * FROM app.orgs o WHERE o.id = uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", bytes(uuid));
    goes("SELECT * FROM docs WHERE name = 'año'", bytes("año"));
    goes("SELECT * FROM docs WHERE name = ''", bytes(""));
    goes("SELECT * FROM docs WHERE name = 'it''s'", bytes("it's"));
    goes(r"SELECT * FROM docs WHERE name = E'a\tb\u00f1'", bytes("a\tbñ"));
    goes(r"SELECT * FROM docs WHERE name = U&'\0041'", bytes("A"));
    goes("SELECT * FROM docs WHERE name = $x$a$x$", bytes("a"));
    goes("SELECT * FROM docs WHERE name = 'a'::varchar", bytes("a"));
    goes("SELECT * FROM docs WHERE name = 'a' COLLATE \"C\"", bytes("a"));
    goes("SELECT * FROM docs WHERE name::varchar = 'a'", bytes("a"));
    goes("SELECT * FROM codes WHERE code = 'abc  '", bytes("abc"));
    goes("SELECT * FROM codes WHERE code = 'abcd'", bytes("abcd"));
    goes(r"SELECT * FROM blobs WHERE b = '\xDEAD'", bytes([0xde, 0xad]));
    goes(r"SELECT * FROM blobs WHERE b = 'a\\b\000'::bytea", bytes(b"a\\b\0"));
    goes("SELECT * FROM blobs WHERE b = ''", bytes(""));
}

#[test]
fn what_changes_a_value_on_its_way_is_no_key() {
    for sql in [
        "SELECT * FROM users WHERE id = 5.0",
        "SELECT * FROM users WHERE id = 1e3",
        "SELECT * FROM users WHERE id = 99999999999999999999",
        "SELECT * FROM users WHERE id = 5::numeric",
        "SELECT * FROM users WHERE id = 5::float8",
        "SELECT * FROM users WHERE id = '5'::my_type",
        "SELECT * FROM users WHERE id = '5'::app.int8",
        "SELECT * FROM users WHERE id = B'101'",
        "SELECT * FROM users WHERE id = true",
        "SELECT * FROM users WHERE id = 2 + 3",
        "SELECT * FROM users WHERE id = abs(5)",
        "SELECT * FROM users WHERE id = NULLIF(5, 4)",
        "SELECT * FROM users WHERE id = CASE WHEN true THEN 5 END",
        "SELECT * FROM users WHERE id::text = '5'",
        "SELECT * FROM users WHERE id::numeric = 5",
        "SELECT * FROM users WHERE id::float8 = 5",
        "SELECT * FROM users WHERE abs(id) = 5",
        "SELECT * FROM users WHERE id + 0 = 5",
        "SELECT * FROM docs WHERE name = 5",
        "SELECT * FROM docs WHERE name = 'abc'::varchar(2)",
        "SELECT * FROM docs WHERE name = 'abc'::char(5)",
        "SELECT * FROM docs WHERE name = N'abc'",
        "SELECT * FROM docs WHERE name = 'abc'::name",
        "SELECT * FROM docs WHERE name = 'abc'::citext",
        "SELECT * FROM docs WHERE name::citext = 'abc'",
        "SELECT * FROM docs WHERE lower(name) = 'abc'",
        "SELECT * FROM docs WHERE name = 'abc' COLLATE \"case_insensitive\"",
        "SELECT * FROM docs WHERE name COLLATE case_insensitive = 'abc'",
        "SELECT * FROM docs WHERE name = 5::text",
        "SELECT * FROM docs WHERE name = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid::text",
        "SELECT * FROM blobs WHERE b = X'DEAD'",
        "SELECT * FROM blobs WHERE b = decode('dead', 'hex')",
        "SELECT * FROM blobs WHERE b = 'abc'::text::bytea",
        "SELECT * FROM app.orgs WHERE id = gen_random_uuid()",
    ] {
        missing(sql);
    }
}

#[test]
fn what_postgresql_would_refuse_is_refused_in_its_words() {
    refused("SELECT * FROM users WHERE id = 'abc'", "22P02", "invalid input syntax for type bigint");
    refused("SELECT * FROM users WHERE id = '99999999999999999999'", "22003", "out of range for type bigint");
    refused("SELECT * FROM app.orgs WHERE id = 'nope'", "22P02", "invalid input syntax for type uuid");
    refused(r"SELECT * FROM blobs WHERE b = '\xA'", "22P02", "invalid input syntax for type bytea");
    refused("SELECT * FROM users WHERE id = ANY ('{1,x}')", "22P02", "invalid input syntax");
    refused("SELECT * FROM users WHERE id = ANY ('{1')", "22P02", "invalid input syntax");
}

#[test]
fn other_conditions_are_no_keys() {
    for sql in [
        "SELECT * FROM users",
        "TABLE users",
        "SELECT * FROM users WHERE email = 'a'",
        "SELECT * FROM users WHERE id > 5",
        "SELECT * FROM users WHERE id >= 5 AND id <= 5",
        "SELECT * FROM users WHERE id BETWEEN 5 AND 5",
        "SELECT * FROM users WHERE id <> 5",
        "SELECT * FROM users WHERE NOT id = 5",
        "SELECT * FROM users WHERE NOT (id <> 5)",
        "SELECT * FROM users WHERE id NOT IN (5)",
        "SELECT * FROM users WHERE id <> ALL (ARRAY[5])",
        "SELECT * FROM users WHERE id = ALL (ARRAY[5])",
        "SELECT * FROM users WHERE id <> ANY (ARRAY[5])",
        "SELECT * FROM users WHERE id IS NULL",
        "SELECT * FROM users WHERE id IS DISTINCT FROM 5",
        "SELECT * FROM users WHERE id OPERATOR(app.=) 5",
        "SELECT * FROM users WHERE (id = 5) IS TRUE",
        "SELECT * FROM users WHERE (id = 5) = true",
        "SELECT * FROM users WHERE coalesce(id = 5, true)",
        "SELECT * FROM users WHERE CASE WHEN id = 5 THEN true ELSE true END",
        "SELECT * FROM users WHERE id = id",
        "SELECT id = 5 FROM users",
        "SELECT * FROM users ORDER BY id = 5",
        "SELECT count(*) FILTER (WHERE id = 5) FROM users",
        "SELECT * FROM docs WHERE name LIKE 'abc'",
        "SELECT * FROM users WHERE (id, email) <> (5, 'a')",
        "SELECT * FROM users WHERE (id, email) > (5, 'a')",
        "SELECT * FROM users WHERE id = (5, 6)",
    ] {
        missing(sql);
    }
}

#[test]
fn and_needs_one_key_or_more() {
    goes("SELECT * FROM users WHERE id = 5 AND email = 'a'", int(5));
    goes("SELECT * FROM users WHERE email = 'a' AND (created_at > now() AND (id = 5))", int(5));
    goes("SELECT * FROM users WHERE email = 'a' AND (id = 5 OR id = 5) AND NOT email = 'b'", int(5));
    goes("SELECT * FROM users WHERE id = 5 AND id > 2 AND id = abs(5)", int(5));
    goes("SELECT * FROM users WHERE id IN (1, 2, 3) AND id = 5", int(5));
}

#[test]
fn or_needs_the_same_shard_in_every_branch() {
    goes("SELECT * FROM users WHERE id = 5 OR id = '5'", int(5));
    goes("SELECT * FROM users WHERE (id = 5 AND email = 'a') OR (id = 5 AND email = 'b')", int(5));
    goes("SELECT * FROM users WHERE id = 5 OR false OR (1 = 0 AND email = 'x')", int(5));
    goes("SELECT * FROM users WHERE id = 5 AND (email = 'a' OR id = 9)", int(5));
    several("SELECT * FROM users WHERE id = 5 OR id = 9");
    several("SELECT * FROM users WHERE id = 5 OR (email = 'a' AND id = 9)");
    missing("SELECT * FROM users WHERE id = 5 OR email = 'a'");
    missing("SELECT * FROM users WHERE id = 5 OR true");
    missing("SELECT * FROM users WHERE id = 5 OR NOT id = 5");
    missing("SELECT * FROM users u, posts p WHERE u.id = 5 OR p.user_id = 5");
}

#[test]
fn lists_must_stay_on_one_shard() {
    goes("SELECT * FROM users WHERE id IN (5)", int(5));
    goes("SELECT * FROM users WHERE id IN (5, '5', 5::int, NULL)", int(5));
    goes("SELECT * FROM users WHERE id = ANY (ARRAY[5, 5])", int(5));
    goes("SELECT * FROM users WHERE id = SOME (ARRAY['5']::bigint[])", int(5));
    goes("SELECT * FROM users WHERE id = ANY ('{5}')", int(5));
    goes("SELECT * FROM users WHERE id = ANY ('{5,NULL}'::bigint[])", int(5));
    goes("SELECT * FROM users WHERE id = ANY ('{5}'::_int8)", int(5));
    goes("SELECT * FROM docs WHERE name = ANY ('{\"a b\"}'::text[])", bytes("a b"));
    goes("SELECT * FROM users WHERE (id, email) IN ((5, 'a'), (5, 'b'))", int(5));
    several("SELECT * FROM users WHERE id IN (5, 9)");
    several("SELECT * FROM users WHERE id = ANY (ARRAY[5, 9])");
    several("SELECT * FROM users WHERE id = ANY ('{5,9}')");
    several("SELECT * FROM users WHERE (id, email) IN ((5, 'a'), (9, 'b'))");
    missing("SELECT * FROM users WHERE id IN (5, 9.5)");
    missing("SELECT * FROM users WHERE id IN (5, abs(5))");
    missing("SELECT * FROM users WHERE id = ANY (ARRAY[5]::numeric[])");
    missing("SELECT * FROM users WHERE id = ANY (string_to_array('5', ',')::bigint[])");
    missing("SELECT * FROM users WHERE (id, email) IN ((5, 'a'), (SELECT 5, 'b'))");
}

#[test]
fn what_matches_no_row_may_go_anywhere() {
    for sql in [
        "SELECT * FROM users WHERE id = NULL",
        "SELECT * FROM users WHERE id IN (NULL)",
        "SELECT * FROM users WHERE id = ANY ('{}')",
        "SELECT * FROM users WHERE id = ANY (NULL)",
        "SELECT * FROM users WHERE id = ANY (ARRAY[]::bigint[])",
        "SELECT * FROM users WHERE false",
        "SELECT * FROM users WHERE 1 = 0",
        "SELECT * FROM users WHERE NULL AND email = 'a'",
        "SELECT * FROM users LIMIT 0",
        "DELETE FROM users WHERE false",
        "DELETE FROM users WHERE CURRENT OF c",
    ] {
        goes(sql, Answer::AnyShard);
    }
    missing("SELECT * FROM users WHERE 1 = 1");
    missing("SELECT * FROM users WHERE true");
    missing("SELECT * FROM users LIMIT 1");
    missing("SELECT (SELECT count(*) FROM posts) FROM users WHERE false");
}

//! INSERT, UPDATE, DELETE, MERGE and what wraps statements: EXPLAIN, PREPARE, cursors, COPY, DDL.

use super::*;

#[test]
fn an_insert_goes_where_its_rows_belong() {
    for sql in [
        "INSERT INTO users (id, email) VALUES (5, 'a')",
        "INSERT INTO users (email, id) VALUES ('a', 5)",
        "INSERT INTO users VALUES (5, 'a')",
        "INSERT INTO users AS u (id) VALUES ('5')",
        "INSERT INTO public.users (id, email) VALUES (5, 'a'), ('5', 'b'), (5::int, DEFAULT)",
        "INSERT INTO users (id) VALUES (5) ON CONFLICT DO NOTHING",
        "INSERT INTO users (id, email) VALUES (5, 'a') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email RETURNING *",
        "INSERT INTO users (id) VALUES (5) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id WHERE users.x > 1",
        "INSERT INTO users (id) VALUES (5) ON CONFLICT (email) DO UPDATE SET id = users.id",
        "INSERT INTO users (id, email) OVERRIDING SYSTEM VALUE VALUES (5, 'a')",
        "INSERT INTO users (id, email) SELECT 5, 'a'",
        "INSERT INTO users (id, email) SELECT 5, x FROM accounts WHERE x > 1",
        "INSERT INTO users (id, email) SELECT 5, 'a' WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = 5)",
        "INSERT INTO users SELECT 5, 'a' UNION ALL SELECT 5, 'b'",
        "INSERT INTO posts (user_id, title) SELECT id, email FROM users WHERE id = 5",
        "INSERT INTO posts (title, user_id) SELECT lower(email), id FROM users WHERE id = 5",
        "INSERT INTO posts (user_id) SELECT u.id FROM users u JOIN posts p ON p.user_id = u.id WHERE p.user_id = 5",
        "INSERT INTO posts (user_id) SELECT id FROM (SELECT id FROM users WHERE id = 5 LIMIT 1) u",
        "WITH u AS (INSERT INTO users (id, email) VALUES (5, 'a') RETURNING id) INSERT INTO posts (user_id, title) SELECT id, 't' FROM u",
        "WITH u AS (UPDATE users SET email = 'b' WHERE id = 5 RETURNING *) INSERT INTO posts (user_id) SELECT id FROM u",
        "WITH k AS (SELECT 5 AS id) INSERT INTO users (id) SELECT id FROM k",
        "WITH d AS (DELETE FROM posts WHERE user_id = 5 RETURNING user_id AS k) INSERT INTO posts (user_id) SELECT k FROM d",
        "INSERT INTO posts (user_id, n) VALUES (5, (SELECT count(*) FROM posts WHERE user_id = 5))",
        "INSERT INTO accounts SELECT * FROM users WHERE id = 5",
        "INSERT INTO accounts (x) VALUES ((SELECT email FROM users WHERE id = 5))",
        "INSERT INTO posts (user_id) SELECT id FROM (VALUES (5), (5)) v (id)",
        "INSERT INTO posts (user_id) SELECT unnest FROM unnest('{5,5}'::bigint[])",
        "INSERT INTO posts (user_id) SELECT * FROM (SELECT 5) v",
    ] {
        goes(sql, int(5));
    }
    goes("INSERT INTO codes (code) VALUES ('abc  ')", bytes("abc"));
    goes("INSERT INTO docs (name) VALUES ('abc  ')", bytes("abc  "));
    goes("INSERT INTO docs (name) SELECT code FROM codes WHERE code = 'abc'", bytes("abc"));
    goes("INSERT INTO codes (code) SELECT code FROM codes WHERE code = 'abc' UNION SELECT 'abc '", bytes("abc"));
}

#[test]
fn a_null_key_is_a_key_that_is_stored() {
    goes("INSERT INTO users (id) VALUES (NULL)", Answer::Shard(0));
    goes("INSERT INTO users (id) SELECT NULL", Answer::Shard(0));
    several("INSERT INTO users (id) VALUES (5), (NULL)");
}

#[test]
fn an_insert_whose_rows_are_not_known_is_refused() {
    for (sql, why) in [
        ("INSERT INTO users DEFAULT VALUES", "DEFAULT"),
        ("INSERT INTO users (email) VALUES ('a')", "column list does not name it"),
        ("INSERT INTO users (id, email) VALUES (DEFAULT, 'a')", "DEFAULT"),
        ("INSERT INTO users (id) VALUES (5), (DEFAULT)", "DEFAULT"),
        ("INSERT INTO users (id) VALUES (nextval('s'))", "function call"),
        ("INSERT INTO users (id) VALUES (2 + 3)", "an expression"),
        ("INSERT INTO users (id) VALUES (5.0)", "no bigint"),
        ("INSERT INTO users (id) VALUES ((SELECT 5))", "an expression"),
        ("INSERT INTO posts VALUES (1, 5)", "does not list the table's columns"),
        ("INSERT INTO posts SELECT * FROM users WHERE id = 5", "does not list the table's columns"),
        ("INSERT INTO users SELECT * FROM accounts", "from the statement alone"),
        ("INSERT INTO users (id) SELECT x FROM accounts", "from a query"),
        ("INSERT INTO users (id) OVERRIDING USER VALUE VALUES (5)", "OVERRIDING USER VALUE"),
        ("INSERT INTO users (id[1]) VALUES (5)", "column list does not name it"),
        ("INSERT INTO users (id, email) VALUES ((ROW(1, 2)).*, 5)", "from the statement alone"),
        ("INSERT INTO docs (name) VALUES (5)", "another type than text"),
        ("INSERT INTO posts (user_id) SELECT u.id FROM countries c LEFT JOIN users u ON u.id = 5", "from a query"),
        (
            "INSERT INTO posts (user_id) SELECT v.id FROM countries c LEFT JOIN (VALUES (5)) v (id) ON c.x = v.id",
            "outer join",
        ),
        ("INSERT INTO posts (user_id) SELECT max(id) FROM users WHERE id = 5", "from a query"),
        ("INSERT INTO posts (user_id) SELECT id FROM users WHERE id = 5 UNION SELECT x FROM accounts", "from a query"),
        ("INSERT INTO posts (user_id) SELECT 5 AS id GROUP BY ROLLUP (id)", "from a query"),
        ("INSERT INTO docs (name) SELECT id FROM users WHERE id = 5", "from a query"),
        ("INSERT INTO codes (code) SELECT name FROM docs WHERE name = 'abc '", "may be cut"),
        ("INSERT INTO users (id) SELECT a FROM unnest('{5}'::bigint[], '{x,y}'::text[]) u (a, b)", "outer join"),
        (
            "WITH u AS (UPDATE users SET id = 5 WHERE id = 5 RETURNING id) INSERT INTO posts (user_id) SELECT id FROM u",
            "from a query",
        ),
    ] {
        refused(sql, "0A000", why);
        missing(sql);
    }
    several("INSERT INTO users (id) VALUES (5), (9)");
    several("INSERT INTO users (id) SELECT 5 UNION SELECT 9");
    several("INSERT INTO posts (user_id) SELECT 9 FROM users WHERE id = 5");
    several("INSERT INTO users (id) SELECT * FROM unnest('{5,9}'::bigint[])");
    missing("INSERT INTO posts (user_id, n) VALUES (5, (SELECT count(*) FROM posts))");
    missing("INSERT INTO accounts SELECT * FROM users");
    refused("INSERT INTO users (id) VALUES ('x')", "22P02", "invalid input syntax");
}

#[test]
fn update_and_delete_need_the_key_in_where() {
    for sql in [
        "UPDATE users SET email = 'a' WHERE id = 5",
        "UPDATE ONLY users AS u SET email = 'a' WHERE u.id = 5 RETURNING *",
        "UPDATE users SET email = p.title FROM posts p WHERE p.user_id = users.id AND users.id = 5",
        "UPDATE users u SET email = v.email FROM (VALUES (5, 'a'), (5, 'b')) v (id, email) WHERE u.id = v.id",
        "UPDATE posts SET n = (SELECT count(*) FROM users u WHERE u.id = posts.user_id) WHERE user_id = 5",
        "UPDATE posts SET (a, b) = (SELECT x, y FROM users WHERE id = posts.user_id) WHERE user_id = 5",
        "UPDATE users SET id = 5 WHERE id = 5",
        "UPDATE users SET id = id, email = 'a' WHERE id = 5",
        "UPDATE users SET (email, id) = ('a', 5) WHERE id = 5",
        "UPDATE users SET id = p.user_id FROM posts p WHERE p.user_id = users.id AND users.id = 5",
        "UPDATE accounts SET x = u.email FROM users u WHERE u.id = 5",
        "DELETE FROM users WHERE id = 5",
        "DELETE FROM users u USING posts p WHERE u.id = p.user_id AND p.user_id = 5",
        "DELETE FROM posts USING users u, countries WHERE user_id = u.id AND u.id = 5",
        "DELETE FROM posts WHERE user_id IN (SELECT id FROM users WHERE id = 5)",
        "WITH d AS (DELETE FROM posts WHERE user_id = 5 RETURNING *) SELECT count(*) FROM d",
        "WITH d AS (DELETE FROM posts WHERE user_id = 5 RETURNING *) UPDATE users SET n = 0 FROM d WHERE users.id = d.user_id",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "UPDATE users SET email = 'a'",
        "UPDATE users SET id = 5",
        "UPDATE users SET email = 'a' WHERE email = 'b'",
        "UPDATE users SET email = p.title FROM posts p WHERE users.id = 5",
        "UPDATE users SET email = (SELECT title FROM posts LIMIT 1) WHERE id = 5",
        "DELETE FROM users",
        "DELETE FROM users USING posts WHERE users.id = 5",
        "WITH d AS (DELETE FROM posts RETURNING *) SELECT 1",
        "UPDATE users SET email = 'a' WHERE id = 5 RETURNING (SELECT count(*) FROM posts)",
    ] {
        missing(sql);
    }
    several("UPDATE users u SET email = v.email FROM (VALUES (5, 'a'), (9, 'b')) v (id, email) WHERE u.id = v.id");
}

#[test]
fn a_key_never_moves_to_another_shard() {
    for sql in [
        "UPDATE users SET id = 9 WHERE id = 5",
        "UPDATE users SET (email, id) = ('a', 9) WHERE id = 5",
        "UPDATE users SET id = $2 WHERE id = $1",
        "INSERT INTO users (id) VALUES (5) ON CONFLICT (email) DO UPDATE SET id = 9",
        "MERGE INTO users u USING (VALUES (5)) s (id) ON u.id = s.id WHEN MATCHED THEN UPDATE SET id = 9",
    ] {
        refused(sql, "0A000", "cannot be changed to a value of another shard");
    }
    for sql in [
        "UPDATE users SET id = id + 1 WHERE id = 5",
        "UPDATE users SET id = DEFAULT WHERE id = 5",
        "UPDATE users SET (id, email) = (SELECT 5, 'a') WHERE id = 5",
        "UPDATE users SET id = (SELECT 5) WHERE id = 5",
        "UPDATE users SET id = a.id FROM accounts a WHERE users.id = 5",
        "INSERT INTO users (id) VALUES (5) ON CONFLICT (email) DO UPDATE SET id = users.id + EXCLUDED.id",
        "MERGE INTO users u USING accounts a ON u.id = 5 WHEN MATCHED THEN UPDATE SET id = a.id",
    ] {
        refused(sql, "0A000", "cannot be set to a value that is not known yet");
    }
}

#[test]
fn merge_needs_the_key_on_both_sides() {
    for sql in [
        "MERGE INTO users u USING (VALUES (5, 'a')) s (id, email) ON u.id = s.id WHEN MATCHED THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.email)",
        "MERGE INTO users u USING accounts a ON u.id = 5 AND a.x = u.x WHEN MATCHED THEN DELETE",
        "MERGE INTO users USING (SELECT 5 AS id) s ON users.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'a')",
        "MERGE INTO posts p USING (SELECT * FROM users WHERE id = 5) u ON p.user_id = u.id WHEN NOT MATCHED THEN INSERT (user_id) VALUES (u.id)",
        "MERGE INTO users u USING accounts a ON u.id = 5 WHEN NOT MATCHED THEN INSERT (id) VALUES (5)",
        "MERGE INTO users u USING (VALUES (5)) s (id) ON u.id = s.id WHEN MATCHED THEN UPDATE SET id = s.id",
        "MERGE INTO accounts a USING users u ON a.x = u.x AND u.id = 5 WHEN MATCHED THEN DO NOTHING",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "MERGE INTO users u USING accounts a ON u.x = a.x WHEN MATCHED THEN DELETE",
        "MERGE INTO users u USING accounts a ON u.id = 5 WHEN NOT MATCHED THEN INSERT (id) VALUES (a.id)",
        "MERGE INTO users u USING accounts a ON u.id = 5 WHEN NOT MATCHED THEN INSERT (email) VALUES ('a')",
        "MERGE INTO users u USING accounts a ON u.id = 5 WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "MERGE INTO users u USING (VALUES (5)) s (id) ON u.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
        // The source's rows matter whether ON holds or not.
        "MERGE INTO accounts a USING users u ON a.x = u.x AND u.id = 5 WHEN NOT MATCHED THEN DO NOTHING",
        "MERGE INTO posts p USING users u ON p.user_id = u.id AND u.id = 5 WHEN NOT MATCHED THEN INSERT (user_id) VALUES (u.id)",
        "MERGE INTO users u USING (VALUES (5)) s (id) ON u.id = s.id WHEN MATCHED AND EXISTS (SELECT 1 FROM posts) THEN DELETE",
    ] {
        missing(sql);
    }
}

#[test]
fn wrapped_statements_are_looked_into() {
    for sql in [
        "EXPLAIN SELECT * FROM users WHERE id = 5",
        "EXPLAIN (ANALYZE, VERBOSE) DELETE FROM users WHERE id = 5",
        "PREPARE p AS SELECT * FROM users WHERE id = 5",
        "DECLARE c CURSOR FOR SELECT * FROM users WHERE id = 5",
        "COPY (SELECT * FROM users WHERE id = 5) TO STDOUT",
        "CREATE TEMP TABLE t AS SELECT * FROM users WHERE id = 5",
        "SELECT * INTO TEMP t FROM users WHERE id = 5",
        "EXPLAIN CREATE TABLE t AS SELECT * FROM users WHERE id = 5",
    ] {
        goes(sql, int(5));
    }
    missing("EXPLAIN SELECT * FROM users");
    missing("PREPARE p AS SELECT * FROM users");
    missing("DECLARE c CURSOR FOR SELECT * FROM users");
    missing("COPY (SELECT * FROM users) TO STDOUT");
    missing("CREATE TABLE t AS SELECT * FROM users");
    missing("CREATE MATERIALIZED VIEW v AS SELECT * FROM accounts, users");
    goes("CREATE TEMP TABLE t AS EXECUTE p", Answer::Skip);
    refused("PREPARE p (bigint) AS SELECT * FROM users WHERE id = $1", "0A000", "parameter of PREPARE");
    goes_bound("DECLARE c CURSOR FOR SELECT * FROM users WHERE id = $1", int(5));
}

#[test]
fn what_means_a_table_as_a_whole_is_refused() {
    for sql in [
        "TRUNCATE users",
        "TRUNCATE accounts, public.users",
        "LOCK TABLE users",
        "ALTER TABLE users ADD COLUMN x int",
        "ALTER TABLE users RENAME TO people",
        "DROP TABLE users",
        "DROP TABLE IF EXISTS accounts, public.users CASCADE",
        "DROP TRIGGER t ON users",
        "COMMENT ON TABLE users IS 'x'",
        "COMMENT ON COLUMN users.email IS 'x'",
        "CREATE TABLE users (id bigint)",
        "CREATE TABLE t (user_id bigint REFERENCES users)",
        "CREATE TABLE t (LIKE users)",
        "CREATE TABLE t PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE users AS SELECT 1",
        "CREATE INDEX ON users (email)",
        "CREATE VIEW v AS SELECT * FROM users WHERE id = 5",
        "CREATE RULE r AS ON INSERT TO accounts DO ALSO INSERT INTO users (id) VALUES (5)",
        "CREATE TRIGGER t BEFORE INSERT ON users EXECUTE FUNCTION f()",
        "CREATE POLICY p ON users USING (true)",
        "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT id FROM users; END",
        "CREATE PUBLICATION p FOR TABLE users",
        "GRANT SELECT ON users TO bob",
        "VACUUM users",
        "ANALYZE users (email)",
        "CLUSTER users",
        "REINDEX TABLE users",
        "CALL f((SELECT id FROM users WHERE id = 5))",
        "EXECUTE p((SELECT id FROM users WHERE id = 5))",
        "SELECT 1 INTO users",
    ] {
        whole(sql);
    }
    refused("COPY users FROM STDIN", "0A000", "Run the COPY on each shard");
    refused("COPY users (id) TO STDOUT", "0A000", "Run the COPY on each shard");
}

#[test]
fn reference_tables_are_read_anywhere_and_written_nowhere() {
    goes("SELECT * FROM countries WHERE code = 'de'", Answer::Skip);
    goes("SELECT * FROM public.countries c LEFT JOIN accounts ON true FOR SHARE", Answer::Skip);
    goes("SELECT * FROM users u JOIN countries c USING (country) WHERE u.id = 5", int(5));
    goes("COPY countries TO STDOUT", Answer::Skip);
    for sql in [
        "INSERT INTO countries VALUES (1)",
        "UPDATE countries SET x = 1",
        "DELETE FROM public.countries",
        "MERGE INTO countries USING accounts ON true WHEN MATCHED THEN DELETE",
        "WITH i AS (INSERT INTO countries VALUES (1) RETURNING *) SELECT * FROM users WHERE id = 5",
        "TRUNCATE countries",
        "ALTER TABLE countries ADD COLUMN x int",
        "DROP TABLE countries",
        "COPY countries FROM STDIN",
    ] {
        refused(sql, "0A000", "held whole by every shard");
    }
}

//! SQL texts and what they may do, on the trees of PostgreSQL's own grammar.

use crate::access::{Access, access};
use crate::names::Names;
use parse_tree::testing::Trees;

pub(crate) static TREES: Trees = Trees::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees.jsonl"));

fn check(expected: Access, names: &Names, texts: &[&str]) {
    let wrong: Vec<_> =
        texts.iter().map(|sql| (sql, access(&TREES.get(sql), names))).filter(|(_, found)| *found != expected).collect();
    assert!(wrong.is_empty(), "expected {expected:?}: {wrong:#?}");
}

fn names(read_only: &[&str], writing: &[&str], primary: &[&str]) -> Names {
    let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    Names::new(&owned(read_only), &owned(writing), &owned(primary)).unwrap()
}

#[test]
fn queries_that_only_read() {
    check(
        Access::Read,
        &Names::default(),
        &[
            "SELECT 1",
            "select * from users where id = $1",
            "/* INSERT */ SELECT 'UPDATE t', \"delete\" FROM \"insert\" -- nextval('s')",
            "SELECT count(*), max(a) OVER (PARTITION BY b), lower(c) FROM t GROUP BY a, b, c HAVING sum(d) > 1 ORDER BY 1 LIMIT 5",
            "SELECT u.* FROM users u JOIN orders o USING (id) LEFT JOIN LATERAL (SELECT * FROM items i WHERE i.o = o.id) x ON true",
            "WITH a AS (SELECT 1), b AS MATERIALIZED (SELECT * FROM a) SELECT * FROM b",
            "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r",
            "VALUES (1, 'a'), (2, 'b')",
            "TABLE users",
            "SELECT 1 UNION ALL (SELECT 2 EXCEPT SELECT 3) ORDER BY 1",
            "SELECT now(), current_timestamp, clock_timestamp(), random(), gen_random_uuid(), pg_sleep(0)",
            "SELECT extract(year FROM d), trim(both 'x' from s), position('a' in s), s LIKE 'a%', d AT TIME ZONE 'UTC' FROM t",
            "SELECT pg_catalog.lower('X'), PG_CATALOG.UPPER('x')",
            "SELECT * FROM generate_series(1, 10) g, unnest(ARRAY[1, 2]) u, jsonb_to_recordset('[]') AS r(a int)",
            "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
            "SELECT coalesce(a, b), nullif(a, b), greatest(a, b), CASE WHEN a THEN b END, ARRAY(SELECT 1), EXISTS (SELECT 1) FROM t",
            "SELECT j->>'a', j @> '{}', jsonb_path_query(j, '$.a') FROM t",
            "SELECT * FROM XMLTABLE('/r' PASSING x COLUMNS a int PATH 'a')",
            "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$.a')) AS j",
            "SELECT pg_is_in_recovery(), inet_server_port(), current_setting('transaction_read_only'), current_user",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) FROM t",
            "SELECT set_bit(a, 1, 0), 'nextval'::text FROM t",
        ],
    );
}

#[test]
fn queries_that_write_or_lock() {
    check(
        Access::Write,
        &Names::default(),
        &[
            "SELECT * FROM t FOR UPDATE",
            "SELECT * FROM t FOR NO KEY UPDATE",
            "SELECT * FROM t FOR SHARE SKIP LOCKED",
            "SELECT * FROM t FOR KEY SHARE OF t NOWAIT",
            "SELECT * FROM (SELECT * FROM t FOR UPDATE) x",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM t FOR SHARE)",
            "(SELECT * FROM t FOR UPDATE) LIMIT 1",
            "WITH x AS (SELECT * FROM t FOR UPDATE) SELECT * FROM x",
            "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
            "WITH x AS (SELECT 1), y AS (DELETE FROM t) SELECT * FROM x",
            "WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT 1",
            "WITH x AS (MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM x",
            "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, LATERAL (SELECT nextval('s')) z",
            "SELECT * INTO copy FROM t",
            "SELECT 1 INTO TEMP x",
            "WITH x AS (SELECT 1) SELECT * INTO y FROM x",
            "SELECT 1 INTO x UNION SELECT 2",
            "SELECT nextval('s')",
            "SELECT NEXTVAL('s'), pg_catalog.nextval('s')",
            "SELECT n/**/extval FROM t WHERE a = \"nextval\"('s')",
            r#"SELECT U&"\006eextval"('s')"#,
            "SELECT setval('s', 1)",
            "SELECT currval('s'), lastval()",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
            "SELECT * FROM t WHERE pg_advisory_unlock(id)",
            "SELECT pg_notify('c', 'x')",
            "SELECT set_config('search_path', 'x', false)",
            "SELECT txid_current(), pg_current_xact_id()",
            "SELECT lo_unlink(1)",
            "SELECT pg_terminate_backend(1)",
            "SELECT count(nextval('s')) FROM t",
            "SELECT 1 ORDER BY nextval('s')",
            "SELECT 1 LIMIT nextval('s')",
            "SELECT sum(a) OVER (ORDER BY nextval('s')) FROM t",
            "SELECT CASE WHEN a THEN nextval('s') END FROM t",
            "SELECT 1 FROM t JOIN u ON nextval('s') = 1",
            "VALUES (nextval('s'))",
            "SELECT * FROM nextval('s')",
            "SELECT * FROM ROWS FROM (generate_series(1, 2), nextval('s'))",
            "SELECT ARRAY[nextval('s')], ROW(1, nextval('s'))",
            "SELECT 1 UNION SELECT nextval('s')",
            "SELECT query_to_xml('SELECT nextval(''s'')', true, true, '')",
            "SELECT * FROM pg_temp.t",
            "SELECT * FROM pg_temp_3.t",
        ],
    );
}

#[test]
fn functions_that_nobody_knows_may_write() {
    check(
        Access::Unknown,
        &Names::default(),
        &[
            "SELECT my_function(1)",
            "SELECT app.lower('x')",
            "SELECT * FROM t WHERE touch(t.id)",
            "SELECT * FROM touch(1) x",
            "SELECT \"Lower\"('x')",
            "SELECT 1 FROM t TABLESAMPLE my_method (1)",
            "COPY (SELECT my_function(1)) TO STDOUT",
        ],
    );
}

#[test]
fn data_definition_and_everything_else_writes() {
    check(
        Access::Write,
        &Names::default(),
        &[
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t SELECT * FROM u ON CONFLICT DO NOTHING",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DO NOTHING",
            "TRUNCATE t",
            "CREATE TABLE t (a int)",
            "CREATE TEMP TABLE t (a int)",
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "ALTER TABLE t ADD b int",
            "DROP TABLE t",
            "CREATE INDEX ON t (a)",
            "GRANT SELECT ON t TO u",
            "COMMENT ON TABLE t IS 'x'",
            "REFRESH MATERIALIZED VIEW m",
            "VACUUM t",
            "ANALYZE t",
            "REINDEX TABLE t",
            "CLUSTER t",
            "LOCK TABLE t IN ACCESS SHARE MODE",
            "CALL p(1)",
            "DO $$BEGIN END$$",
            "LISTEN c",
            "UNLISTEN *",
            "NOTIFY c, 'x'",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
            "PREPARE TRANSACTION 'x'",
            "COMMIT PREPARED 'x'",
            "CHECKPOINT",
            "LOAD 'x'",
        ],
    );
}

#[test]
fn explain_writes_when_it_runs_a_write() {
    check(
        Access::Read,
        &Names::default(),
        &[
            "EXPLAIN SELECT * FROM t",
            "EXPLAIN ANALYZE SELECT * FROM t",
            "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t",
            "EXPLAIN DELETE FROM t",
            "EXPLAIN (ANALYZE false) DELETE FROM t",
            "EXPLAIN (ANALYZE true, ANALYZE off) DELETE FROM t",
            "EXPLAIN (VERBOSE, FORMAT json) INSERT INTO t VALUES (nextval('s'))",
            "EXPLAIN SELECT * FROM t FOR UPDATE",
            "EXPLAIN CREATE TABLE x AS SELECT 1",
        ],
    );
    check(
        Access::Write,
        &Names::default(),
        &[
            "EXPLAIN ANALYZE DELETE FROM t",
            "EXPLAIN (ANALYZE) UPDATE t SET a = 1",
            "EXPLAIN (ANALYZE 1) DELETE FROM t",
            "EXPLAIN (ANALYZE off, ANALYZE on) DELETE FROM t",
            "EXPLAIN (ANALYZE \"TRUE\") DELETE FROM t",
            "EXPLAIN ANALYZE SELECT nextval('s')",
            "EXPLAIN ANALYZE WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "EXPLAIN ANALYZE SELECT * FROM t FOR UPDATE",
            "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
            "EXPLAIN ANALYZE EXECUTE p",
            "EXPLAIN EXECUTE p",
            "EXPLAIN CREATE TABLE x AS EXECUTE p",
        ],
    );
    check(Access::Unknown, &Names::default(), &["EXPLAIN ANALYZE SELECT my_function(1)"]);
}

#[test]
fn copy_reads_out_and_writes_in() {
    check(
        Access::Read,
        &Names::default(),
        &[
            "COPY t TO STDOUT",
            "COPY s.t (a, b) TO STDOUT WITH (FORMAT csv)",
            "COPY (SELECT * FROM t) TO STDOUT",
            "COPY (WITH x AS (SELECT 1) SELECT * FROM x) TO STDOUT",
        ],
    );
    check(
        Access::Write,
        &Names::default(),
        &[
            "COPY t FROM STDIN",
            "COPY t (a) FROM STDIN WITH (FORMAT csv)",
            "COPY t FROM '/tmp/x'",
            "COPY t TO '/tmp/x'",
            "COPY t TO PROGRAM 'cat'",
            "COPY (INSERT INTO t VALUES (1) RETURNING *) TO STDOUT",
            "COPY (DELETE FROM t RETURNING *) TO STDOUT",
            "COPY (SELECT nextval('s')) TO STDOUT",
            "COPY (SELECT * FROM t FOR UPDATE) TO STDOUT",
        ],
    );
}

#[test]
fn settings_and_transaction_control_leave_the_role_open() {
    check(
        Access::Open,
        &Names::default(),
        &[
            "SET statement_timeout = 0",
            "SET LOCAL work_mem = '1MB'",
            "RESET ALL",
            "SHOW search_path",
            "BEGIN",
            "START TRANSACTION READ ONLY",
            "COMMIT",
            "ROLLBACK TO SAVEPOINT a",
            "SAVEPOINT a",
            "SET TRANSACTION READ ONLY",
            "DISCARD ALL",
            "DEALLOCATE p",
            "FETCH 10 FROM c",
            "CLOSE c",
        ],
    );
    check(Access::Read, &Names::default(), &["DECLARE c CURSOR FOR SELECT * FROM t"]);
}

#[test]
fn several_statements_in_one_tree_write() {
    check(Access::Write, &Names::default(), &["SELECT 1; SELECT 2", "SELECT 1; DELETE FROM t"]);
    assert_eq!(access(&serde_json::json!(null), &Names::default()), Access::Write);
    assert_eq!(access(&serde_json::json!({"stmts": []}), &Names::default()), Access::Write);
}

#[test]
fn listed_functions_and_tables_count() {
    let names = names(&["total", "app.report", "pg_stat_file"], &["lower", "app.total"], &["ledger", "audit.log"]);
    check(
        Access::Read,
        &names,
        &["SELECT other.total(1)", "SELECT app.report(1)", "SELECT pg_stat_file('x')", "SELECT upper('x')"],
    );
    check(Access::Unknown, &names, &["SELECT report(1)", "SELECT other.report(1)"]);
    check(
        Access::Write,
        &names,
        &[
            "SELECT lower('x')",
            "SELECT pg_catalog.lower('x')",
            "SELECT app.total(1)",
            "SELECT total(1)",
            "SELECT * FROM ledger",
            "SELECT * FROM any_schema.ledger",
            "SELECT * FROM t JOIN (SELECT * FROM audit.log) l USING (id)",
            "SELECT * FROM log",
            "COPY ledger TO STDOUT",
        ],
    );
    check(Access::Read, &names, &["SELECT * FROM other.log"]);
}

use super::{allows, refusal, refuses, statement, with_rule};
use serde_json::json;

fn plugin(kinds: &[&str]) -> pooler_plugin::testing::Runner {
    with_rule(&json!({"type": "deny_statements", "statements": kinds}))
}

#[test]
fn each_kind_is_told_from_the_others() {
    let cases: &[(&str, &[&str])] = &[
        (
            "select",
            &[
                "SELECT 1",
                "VALUES (1)",
                "TABLE t",
                "WITH x AS (SELECT 1) INSERT INTO t TABLE x",
                "COPY (SELECT 1) TO STDOUT",
            ],
        ),
        ("select_into", &["SELECT 1 INTO t"]),
        ("row_lock", &["SELECT * FROM t FOR SHARE", "INSERT INTO u SELECT * FROM t FOR UPDATE"]),
        ("insert", &["INSERT INTO t VALUES (1)", "WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT 1"]),
        ("update", &["UPDATE t SET a = 1 WHERE b = 1", "EXPLAIN UPDATE t SET a = 1 WHERE b = 1"]),
        ("delete", &["DELETE FROM t WHERE a = 1", "PREPARE p AS DELETE FROM t WHERE a = 1"]),
        ("merge", &["MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE"]),
        ("truncate", &["TRUNCATE t"]),
        ("copy", &["COPY t TO STDOUT", "COPY t FROM STDIN"]),
        ("copy_from", &["COPY t FROM STDIN"]),
        ("copy_to", &["COPY t TO STDOUT", "COPY (SELECT 1) TO STDOUT"]),
        ("copy_server_file", &["COPY t TO '/tmp/x'", "COPY t FROM PROGRAM 'cat'"]),
        ("explain", &["EXPLAIN SELECT 1"]),
        ("explain_analyze", &["EXPLAIN ANALYZE SELECT 1", "EXPLAIN (COSTS off, ANALYZE on) SELECT 1"]),
        ("prepare", &["PREPARE p AS SELECT 1"]),
        ("execute", &["EXECUTE p", "EXPLAIN EXECUTE p", "CREATE TABLE t AS EXECUTE p"]),
        ("deallocate", &["DEALLOCATE ALL"]),
        ("cursor", &["DECLARE c CURSOR FOR SELECT 1", "FETCH 1 FROM c", "MOVE 1 FROM c", "CLOSE c"]),
        ("call", &["CALL p()"]),
        ("do", &["DO $$BEGIN END$$"]),
        (
            "ddl",
            &[
                "CREATE TABLE t (a int)",
                "ALTER TABLE t ADD b int",
                "DROP VIEW v",
                "GRANT SELECT ON t TO u",
                "COMMENT ON TABLE t IS 'x'",
            ],
        ),
        (
            "create",
            &[
                "CREATE TABLE t (a int)",
                "CREATE VIEW v AS SELECT 1",
                "CREATE INDEX ON t (a)",
                "CREATE EXTENSION x",
                "CREATE ROLE r",
                "CREATE TABLE t AS SELECT 1",
                "CREATE TYPE c AS (a int)",
                "CREATE DATABASE d",
            ],
        ),
        ("create_function", &["CREATE OR REPLACE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'"]),
        (
            "create_temporary",
            &[
                "CREATE TEMP TABLE t (a int)",
                "CREATE TEMP VIEW v AS SELECT 1",
                "CREATE TEMP SEQUENCE s",
                "CREATE TEMP TABLE t AS SELECT 1",
                "SELECT 1 INTO TEMP t",
                "CREATE TABLE pg_temp.t (a int)",
            ],
        ),
        ("alter", &["ALTER TABLE t ADD b int", "ALTER TABLE t RENAME TO u", "ALTER ROLE r NOLOGIN"]),
        ("alter_system", &["ALTER SYSTEM SET fsync = off"]),
        ("drop", &["DROP TABLE t", "DROP INDEX i", "DROP ROLE r", "DROP DATABASE d", "DROP OWNED BY r"]),
        (
            "grant",
            &[
                "GRANT SELECT ON t TO u",
                "REVOKE ALL ON t FROM u",
                "GRANT a TO b",
                "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO u",
            ],
        ),
        ("role", &["CREATE USER u", "ALTER ROLE r SET work_mem = '1MB'", "DROP ROLE r"]),
        ("set", &["SET a.b = 1", "RESET ALL", "SET ROLE x", "SET CONSTRAINTS ALL DEFERRED"]),
        (
            "set_role",
            &["SET ROLE x", "SET \"Role\" = x", "SET SESSION AUTHORIZATION x", "SELECT set_config('role', 'x', false)"],
        ),
        ("show", &["SHOW ALL"]),
        ("transaction", &["BEGIN", "COMMIT", "SAVEPOINT a"]),
        ("savepoint", &["SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"]),
        ("two_phase", &["PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"]),
        ("lock", &["LOCK TABLE t"]),
        ("listen", &["LISTEN c", "UNLISTEN *"]),
        ("notify", &["NOTIFY c"]),
        (
            "maintenance",
            &["VACUUM", "ANALYZE t", "REINDEX TABLE t", "CLUSTER t", "REFRESH MATERIALIZED VIEW m", "CHECKPOINT"],
        ),
        ("load", &["LOAD 'x'"]),
        ("discard", &["DISCARD ALL"]),
    ];
    for (kind, texts) in cases {
        refuses(&mut plugin(&[kind]), texts);
    }
    let harmless = ["INSERT INTO t SELECT * FROM u WHERE a IN (SELECT 1)"];
    for (kind, _) in cases.iter().filter(|(kind, _)| *kind != "insert") {
        allows(&mut plugin(&[kind]), &harmless);
    }
    // SET LOCAL and SET TRANSACTION are SET too; BEGIN is none.
    allows(&mut plugin(&["set"]), &["BEGIN"]);
    allows(&mut plugin(&["explain_analyze"]), &["EXPLAIN SELECT 1", "EXPLAIN (ANALYZE off) SELECT 1"]);
    allows(&mut plugin(&["set_role"]), &["SET a.b = 1", "SELECT set_config('a.b', 'x', false)"]);
    allows(&mut plugin(&["create_temporary"]), &["CREATE TABLE t (a int)", "SELECT 1 INTO t"]);
    allows(&mut plugin(&["copy_server_file"]), &["COPY t TO STDOUT"]);
    allows(&mut plugin(&["set"]), &["CREATE FUNCTION f() RETURNS int LANGUAGE sql SET work_mem = '1MB' AS 'SELECT 1'"]);
}

#[test]
fn delete_and_update_need_a_condition_on_some_column() {
    let mut plugin = plugin(&["delete_without_where", "update_without_where"]);
    refuses(
        &mut plugin,
        &[
            "DELETE FROM t",
            "DELETE FROM t WHERE true",
            "DELETE FROM t WHERE 1 = 1 AND NOT false",
            "DELETE FROM t WHERE $1",
            "DELETE FROM t USING u",
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "EXPLAIN ANALYZE DELETE FROM t",
            "COPY (DELETE FROM t RETURNING 1) TO STDOUT",
            "PREPARE p AS DELETE FROM t",
            "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u",
            "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; END",
            "UPDATE t SET a = 1",
            "UPDATE t SET a = 1 WHERE 'x' = 'x'",
            "UPDATE t SET a = u.a FROM u",
        ],
    );
    allows(
        &mut plugin,
        &[
            "DELETE FROM t WHERE id = 1",
            "DELETE FROM t WHERE id > $1 OR b",
            "DELETE FROM t WHERE CURRENT OF c",
            "DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE u.id = t.id)",
            "UPDATE t SET a = 1 WHERE id = $1",
            "SELECT 1",
        ],
    );
}

#[test]
fn several_statements_in_a_string_can_be_denied() {
    let mut plugin = plugin(&["multiple_statements"]);
    let one = statement("SELECT 1");
    assert!(refusal(&mut plugin, &one).is_none());
    let several = statement("SELECT 1").several_statements();
    assert!(refusal(&mut plugin, &several).unwrap().message().contains("several statements"));
    // A driver that pipelines sends several statements, too, but each in a message of its own.
    let pipelined = statement("SELECT 1").several_statements().extended();
    assert!(refusal(&mut plugin, &pipelined).is_none());
}

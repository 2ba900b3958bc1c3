use super::{allows, refuses, refuses_with, start, with_rule};
use serde_json::json;

#[test]
fn a_denied_table_is_refused_wherever_it_stands() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"]}));
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM secrets",
            "select 1 from SECRETS",
            "TABLE secrets",
            "SELECT * FROM public.secrets",
            "SELECT * FROM other.secrets",
            "SELECT * FROM app.public.secrets",
            "SELECT * FROM ONLY secrets AS s",
            "SELECT * FROM a, b, (c CROSS JOIN secrets)",
            "SELECT * FROM a LEFT JOIN (b NATURAL JOIN secrets) ON true",
            "SELECT * FROM secrets TABLESAMPLE SYSTEM (1)",
            "SELECT (SELECT max(id) FROM secrets)",
            "SELECT 1 WHERE EXISTS (SELECT FROM secrets)",
            "SELECT 1 WHERE 1 IN (SELECT id FROM secrets)",
            "SELECT ARRAY(SELECT id FROM secrets)",
            "SELECT CASE WHEN true THEN (SELECT id FROM secrets) END",
            "SELECT f((SELECT id FROM secrets))",
            "SELECT 1 FROM t GROUP BY a HAVING (SELECT true FROM secrets)",
            "SELECT 1 FROM t ORDER BY (SELECT id FROM secrets)",
            "SELECT 1 LIMIT (SELECT id FROM secrets)",
            "SELECT 1 OFFSET (SELECT id FROM secrets)",
            "SELECT sum(a) OVER (ORDER BY (SELECT id FROM secrets)) FROM t",
            "SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM secrets)) FROM t",
            "SELECT DISTINCT ON ((SELECT id FROM secrets)) 1 FROM t",
            "SELECT * FROM a JOIN b ON a.id = (SELECT id FROM secrets)",
            "SELECT * FROM (SELECT * FROM (SELECT * FROM secrets) x) y",
            "SELECT * FROM a, LATERAL (SELECT * FROM secrets WHERE id = a.id) x",
            "SELECT * FROM generate_series(1, (SELECT id FROM secrets))",
            "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY(SELECT id FROM secrets)))",
            "SELECT * FROM XMLTABLE('/r' PASSING (SELECT x FROM secrets) COLUMNS a int PATH 'a')",
            "SELECT 1 UNION SELECT id FROM secrets",
            "SELECT 1 EXCEPT (SELECT 2 INTERSECT SELECT id FROM secrets)",
            "VALUES ((SELECT id FROM secrets))",
            "WITH x AS (SELECT * FROM secrets) SELECT 1",
            "WITH x AS (DELETE FROM secrets RETURNING *) SELECT * FROM x",
            "INSERT INTO secrets VALUES (1)",
            "INSERT INTO t SELECT * FROM secrets",
            "INSERT INTO t VALUES ((SELECT id FROM secrets))",
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = (SELECT id FROM secrets)",
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1 WHERE EXISTS (SELECT FROM secrets)",
            "INSERT INTO t VALUES (1) RETURNING (SELECT id FROM secrets)",
            "UPDATE secrets SET a = 1",
            "UPDATE t SET a = (SELECT id FROM secrets)",
            "UPDATE t SET (a, b) = (SELECT id, id FROM secrets)",
            "UPDATE t SET a = s.a FROM secrets s WHERE s.id = t.id",
            "UPDATE t SET a = 1 RETURNING (SELECT id FROM secrets)",
            "DELETE FROM secrets",
            "DELETE FROM t USING secrets WHERE t.id = secrets.id",
            "DELETE FROM t WHERE id IN (TABLE secrets)",
            "MERGE INTO secrets USING t ON t.id = secrets.id WHEN MATCHED THEN DELETE",
            "MERGE INTO t USING secrets s ON t.id = s.id WHEN MATCHED THEN DELETE",
            "MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED THEN INSERT VALUES ((SELECT id FROM secrets))",
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND EXISTS (SELECT FROM secrets) THEN DELETE",
            "COPY secrets TO STDOUT",
            "COPY secrets FROM STDIN",
            "COPY (SELECT * FROM secrets) TO STDOUT",
            "COPY (DELETE FROM secrets RETURNING *) TO STDOUT",
            "COPY t FROM STDIN WHERE EXISTS (SELECT FROM secrets)",
            "EXPLAIN SELECT * FROM secrets",
            "EXPLAIN ANALYZE DELETE FROM secrets",
            "PREPARE p AS SELECT * FROM secrets",
            "EXECUTE p((SELECT id FROM secrets))",
            "DECLARE c CURSOR FOR SELECT * FROM secrets",
            "CREATE TABLE t AS SELECT * FROM secrets",
            "CREATE TABLE t AS TABLE secrets",
            "SELECT * INTO t FROM secrets",
            "SELECT 1 INTO secrets",
            "CREATE VIEW v AS SELECT * FROM secrets",
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM secrets",
            "CREATE SCHEMA s CREATE VIEW v AS SELECT * FROM secrets",
            "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM secrets",
            "CREATE RULE r AS ON SELECT TO secrets DO INSTEAD NOTHING",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT id FROM secrets; END",
            "CREATE FUNCTION f() RETURNS int RETURN (SELECT id FROM secrets)",
            "CREATE FUNCTION f(a int DEFAULT (SELECT id FROM secrets)) RETURNS int RETURN a",
            "CREATE TABLE t () INHERITS (secrets)",
            "CREATE TABLE t (LIKE secrets)",
            "CREATE TABLE t PARTITION OF secrets DEFAULT",
            "CREATE TABLE t (a int REFERENCES secrets)",
            "CREATE TRIGGER g AFTER INSERT ON secrets EXECUTE FUNCTION f()",
            "CREATE POLICY p ON secrets USING (true)",
            "CREATE POLICY p ON t USING (EXISTS (SELECT FROM secrets))",
            "CREATE PUBLICATION p FOR TABLE secrets",
            "CREATE PUBLICATION p FOR ALL TABLES",
            "CREATE INDEX ON secrets (a)",
            "CREATE STATISTICS st ON a, b FROM secrets",
            "CREATE SEQUENCE sq OWNED BY secrets.id",
            "ALTER TABLE secrets ADD a int",
            "ALTER TABLE secrets RENAME TO open",
            "ALTER TABLE secrets SET SCHEMA other",
            "ALTER TABLE t ATTACH PARTITION secrets DEFAULT",
            "ALTER TABLE t INHERIT secrets",
            "ALTER TABLE t ALTER a SET DEFAULT (SELECT id FROM secrets)",
            "DROP TABLE a, secrets",
            "DROP TABLE IF EXISTS public.secrets CASCADE",
            "DROP OWNED BY someone",
            "DROP SCHEMA s CASCADE",
            "TRUNCATE a, secrets",
            "LOCK TABLE secrets",
            "VACUUM secrets",
            "ANALYZE secrets (a)",
            "REINDEX TABLE secrets",
            "CLUSTER secrets",
            "COMMENT ON TABLE secrets IS 'x'",
            "COMMENT ON COLUMN secrets.a IS 'x'",
            "COMMENT ON CONSTRAINT c ON secrets IS 'x'",
            "DROP POLICY p ON secrets",
            "DROP TRIGGER g ON public.secrets",
            "ALTER POLICY p ON secrets USING (true)",
            "ALTER EXTENSION e ADD TABLE secrets",
            "SECURITY LABEL ON TABLE secrets IS 'x'",
            "ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b",
            "GRANT SELECT ON secrets TO x",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO x",
            "REVOKE ALL ON TABLE secrets FROM x",
            "CALL p((SELECT id FROM secrets))",
        ],
    );
    allows(
        &mut plugin,
        &[
            "SELECT * FROM t",
            "SELECT secrets FROM t",
            "SELECT 'secrets', secrets.a FROM t AS secrets",
            "SELECT * FROM \"SECRETS\"",
            "SELECT * FROM secrets2",
            "SELECT secrets(1)",
            "INSERT INTO t (secrets) VALUES (1)",
            "CREATE TABLE t (secrets int)",
            "DROP TABLE t",
            "DROP FUNCTION secrets()",
            "SET statement_timeout = 0",
            "BEGIN",
            "SELECT * FROM t secrets FOR UPDATE OF secrets",
        ],
    );
}

#[test]
fn with_queries_hide_a_table_only_where_their_name_holds() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"]}));
    allows(
        &mut plugin,
        &[
            "WITH secrets AS (SELECT 1) SELECT * FROM secrets",
            "WITH secrets AS (SELECT 1), b AS (SELECT * FROM secrets) SELECT * FROM b",
            "WITH secrets AS (SELECT 1) SELECT (SELECT 1 FROM (SELECT * FROM secrets) x)",
            "WITH RECURSIVE secrets AS (SELECT 1 UNION ALL SELECT * FROM secrets) SELECT * FROM secrets",
            "WITH RECURSIVE a AS (SELECT * FROM secrets), secrets AS (SELECT 1) SELECT * FROM a",
            "WITH secrets AS (SELECT 1) INSERT INTO t SELECT * FROM secrets",
            "WITH secrets AS (SELECT 1) UPDATE t SET a = 1 FROM secrets",
            "WITH secrets AS (SELECT 1) DELETE FROM t USING secrets WHERE true",
            "WITH secrets AS (SELECT 1) SELECT 1 UNION SELECT * FROM secrets",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
            "WITH a AS (SELECT * FROM secrets), secrets AS (SELECT 1) SELECT * FROM a",
            "WITH secrets AS (SELECT 1) SELECT * FROM public.secrets",
            "WITH secrets AS (SELECT 1) DELETE FROM secrets",
            "WITH secrets AS (SELECT 1) UPDATE secrets SET a = 1",
            "WITH secrets AS (SELECT 1) INSERT INTO secrets SELECT 1",
            "WITH secrets AS (SELECT 1) MERGE INTO secrets USING t ON true WHEN MATCHED THEN DELETE",
            "SELECT * FROM (WITH secrets AS (SELECT 1) SELECT * FROM secrets) x, secrets",
            "(WITH secrets AS (SELECT 1) SELECT * FROM secrets) UNION SELECT * FROM secrets",
            "SELECT (WITH secrets AS (SELECT 1) SELECT 1), (SELECT 1 FROM secrets)",
            "WITH \"SECRETS\" AS (SELECT 1) SELECT * FROM secrets",
        ],
    );
}

#[test]
fn use_tells_reading_from_writing() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["log"], "use": "write"}));
    allows(&mut plugin, &["SELECT * FROM log", "INSERT INTO t SELECT * FROM log", "COPY log TO STDOUT"]);
    refuses(
        &mut plugin,
        &[
            "INSERT INTO log VALUES (1)",
            "UPDATE log SET a = 1",
            "DELETE FROM log WHERE a = 1",
            "TRUNCATE log",
            "COPY log FROM STDIN",
            "DROP TABLE log",
            "SELECT * FROM log FOR UPDATE",
        ],
    );
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["log"], "use": "read"}));
    allows(&mut plugin, &["INSERT INTO log VALUES (1)", "COPY log FROM STDIN", "UPDATE log SET a = 1", "TRUNCATE log"]);
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM log",
            "COPY log TO STDOUT",
            "INSERT INTO log VALUES (1) RETURNING *",
            "INSERT INTO log VALUES (1) ON CONFLICT (a) DO UPDATE SET b = log.b",
            "UPDATE log SET a = 1 WHERE b = 2",
            "UPDATE log SET a = 1 RETURNING b",
            "DELETE FROM log WHERE a = 1",
            "INSERT INTO log SELECT * FROM log",
            "MERGE INTO log USING t ON log.a = t.a WHEN NOT MATCHED THEN INSERT VALUES (1)",
        ],
    );
}

#[test]
fn names_without_a_schema_are_looked_for_on_the_search_path() {
    let rule = json!({"type": "deny_tables", "tables": ["private.*", "app.users", "pg_catalog.pg_authid", "audit_*"]});
    let mut plugin = with_rule(&rule);
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM private.anything",
            "SELECT * FROM app.users",
            "SELECT * FROM pg_authid",
            "SELECT * FROM pg_catalog.pg_authid",
            "SELECT * FROM audit_2024",
            "SELECT * FROM other.audit_2024",
            "DROP SCHEMA private",
            "GRANT USAGE ON SCHEMA private TO x",
            "ALTER SCHEMA private RENAME TO public2",
            "CREATE PUBLICATION p FOR TABLES IN SCHEMA private",
        ],
    );
    allows(
        &mut plugin,
        &["SELECT * FROM anything", "SELECT * FROM users", "SELECT * FROM public.users", "SELECT * FROM pg_class"],
    );
    let mut plugin = start(&json!({"search_path": ["app", "public"], "rules": [rule]}));
    refuses(&mut plugin, &["SELECT * FROM users", "SELECT * FROM app.users"]);
    allows(&mut plugin, &["SELECT * FROM public.users", "SELECT * FROM anything"]);
}

#[test]
fn quoted_names_in_the_rule_are_exact() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["\"Secrets\"", "\"My.Schema\".\"T\""]}));
    refuses(&mut plugin, &["SELECT * FROM \"Secrets\"", "SELECT * FROM \"My.Schema\".\"T\""]);
    allows(&mut plugin, &["SELECT * FROM Secrets", "SELECT * FROM \"My.Schema\".t"]);
}

#[test]
fn the_refusal_names_the_table() {
    let mut plugin = with_rule(&json!({"type": "deny_tables", "tables": ["secrets"]}));
    refuses_with(&mut plugin, "table \"public.secrets\" may not be used", &["SELECT * FROM public.secrets"]);
    refuses_with(&mut plugin, "Rule 1 of the validator plugin", &["SELECT * FROM secrets"]);
}

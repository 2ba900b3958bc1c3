//! Several tables and several levels: joins, subqueries, WITH, UNION. Each occurrence of a sharded table needs a key.

use super::*;

#[test]
fn a_join_on_the_key_carries_it_over() {
    for sql in [
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id WHERE u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id WHERE p.user_id = 5",
        "SELECT * FROM users u, posts p WHERE p.user_id = u.id AND u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id AND u.id = 5",
        "SELECT * FROM users u CROSS JOIN posts p WHERE u.id = p.user_id AND u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id::bigint = u.id JOIN posts q ON q.user_id = p.user_id WHERE q.user_id = 5",
        "SELECT * FROM users u JOIN posts p ON (p.user_id, p.x) = (u.id, u.y) WHERE u.id = 5",
        "SELECT * FROM users JOIN posts ON user_id = id WHERE id = 5",
        "SELECT * FROM users a JOIN users b USING (id) WHERE a.id = 5",
        "SELECT * FROM users a JOIN users b USING (id) WHERE id = 5",
        "SELECT * FROM users a JOIN users b USING (id) AS j WHERE j.id = 5",
        "SELECT * FROM users a NATURAL JOIN users b WHERE id = 5",
        "SELECT * FROM (users u JOIN posts p ON p.user_id = u.id) AS j WHERE j.id = 5",
        "SELECT * FROM users u JOIN countries c ON c.code = u.country WHERE u.id = 5",
        "SELECT * FROM countries c JOIN users u ON u.country = c.code AND u.id = 5",
        "SELECT * FROM accounts a JOIN users u ON a.x = u.y WHERE u.id = 5",
        "SELECT * FROM users u JOIN (VALUES (5), (5)) AS v(id) ON u.id = v.id",
        "SELECT * FROM users u JOIN (VALUES (5)) AS v(id) USING (id)",
        "SELECT * FROM users u JOIN (SELECT 5 AS id) v ON u.id = v.id",
        "SELECT * FROM users u, unnest(ARRAY[5, 5]) AS k(id) WHERE u.id = k.id",
        "SELECT * FROM users u JOIN unnest('{5}'::bigint[]) k ON u.id = k",
    ] {
        goes(sql, int(5));
    }
}

#[test]
fn a_join_without_the_key_is_refused() {
    for sql in [
        "SELECT * FROM users u, posts p WHERE u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id > u.id WHERE u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.author = u.id WHERE u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id",
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id OR p.public WHERE u.id = 5",
        "SELECT * FROM users u JOIN posts p ON p.user_id::text = u.id::text WHERE u.id = 5",
        "SELECT * FROM users u JOIN docs d ON d.name = u.id WHERE u.id = 5",
        // Through a column whose type is not known, equality need not carry on.
        "SELECT * FROM users u JOIN accounts a ON a.uid = u.id JOIN posts p ON p.user_id = a.uid WHERE u.id = 5",
        "SELECT * FROM users JOIN accounts USING (id) WHERE id = 5",
        "SELECT * FROM users NATURAL JOIN accounts WHERE id = 5",
        "SELECT * FROM users a FULL JOIN users b USING (id) WHERE id = 5",
        "SELECT * FROM (users u JOIN posts p ON p.user_id = u.id) AS j (a, b) WHERE a = 5",
        "SELECT * FROM posts AS p (a, b) WHERE user_id = 5",
        "SELECT * FROM posts AS p (a, b) WHERE a = 5",
        "SELECT * FROM users u JOIN (VALUES (5), (5.5)) AS v(id) ON u.id = v.id",
    ] {
        missing(sql);
    }
    several("SELECT * FROM users u, posts p WHERE u.id = 5 AND p.user_id = 9");
    several("SELECT * FROM users u JOIN (VALUES (5), (9)) AS v(id) ON u.id = v.id");
    goes("SELECT * FROM users u, posts p WHERE u.id = 5 AND p.user_id = 5", int(5));
}

#[test]
fn an_outer_join_filters_only_its_inner_side() {
    for sql in [
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id WHERE u.id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id WHERE p.user_id = 5",
        "SELECT * FROM posts p RIGHT JOIN users u ON p.user_id = u.id WHERE u.id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = 5 WHERE u.id = 5",
        "SELECT * FROM countries c LEFT JOIN users u ON u.id = 5",
        "SELECT * FROM countries c LEFT JOIN users u ON u.country = c.code AND u.id = 5",
        "SELECT * FROM countries c LEFT JOIN (users u JOIN posts p ON p.user_id = u.id) ON u.id = 5",
        "SELECT * FROM countries c LEFT JOIN (users u LEFT JOIN posts p ON p.user_id = u.id) ON u.id = 5",
        "SELECT * FROM countries c LEFT JOIN (users u LEFT JOIN posts p ON p.user_id = u.id) ON p.user_id = 5",
        "SELECT * FROM users u FULL JOIN posts p ON p.user_id = u.id WHERE u.id = 5 AND p.user_id = 5",
        "SELECT * FROM users u FULL JOIN posts p ON p.user_id = u.id WHERE u.id = 5",
        "SELECT * FROM users a LEFT JOIN users b USING (id) WHERE id = 5",
        "SELECT * FROM users a RIGHT JOIN users b USING (id) WHERE id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id LEFT JOIN posts q ON q.user_id = p.user_id WHERE u.id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id WHERE u.id = 5 AND p.user_id IS NULL",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id AND u.id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id AND p.user_id = 5",
        "SELECT * FROM posts p RIGHT JOIN users u ON p.user_id = u.id AND u.id = 5",
        "SELECT * FROM users u LEFT JOIN countries c ON u.id = 5",
        "SELECT * FROM users u FULL JOIN countries c ON u.id = 5",
        "SELECT * FROM users u FULL JOIN posts p ON p.user_id = u.id AND u.id = 5",
        "SELECT * FROM countries c FULL JOIN users u ON u.id = 5 AND c.x = 1",
        "SELECT * FROM countries c LEFT JOIN (users u LEFT JOIN posts p ON p.user_id = 5) ON p.x = c.x",
        "SELECT * FROM countries c LEFT JOIN users u ON u.x = c.x WHERE u.id IS NULL",
        "SELECT * FROM (SELECT * FROM countries c LEFT JOIN users u ON u.id = 5) q JOIN posts p ON p.user_id = q.id AND q.x",
    ] {
        missing(sql);
    }
}

#[test]
fn facts_rise_out_of_subqueries_in_from() {
    for sql in [
        "SELECT * FROM (SELECT * FROM users WHERE id = 5) u",
        "SELECT count(*) FROM (SELECT * FROM users WHERE id = 5 LIMIT 3) u",
        "SELECT * FROM (SELECT id FROM users WHERE id = 5) u JOIN posts p ON p.user_id = u.id",
        "SELECT * FROM (SELECT id AS uid FROM users WHERE id = 5 LIMIT 1) u JOIN posts p ON p.user_id = u.uid",
        "SELECT * FROM (SELECT u.* FROM users u WHERE id = 5) u JOIN posts p ON p.user_id = u.id",
        "SELECT * FROM (SELECT email, id FROM users WHERE id = 5) u (e, k) JOIN posts p ON p.user_id = k",
        "SELECT * FROM (SELECT id, count(*) AS n FROM users WHERE id = 5 GROUP BY id) u JOIN posts p ON p.user_id = u.id",
        "SELECT * FROM (SELECT id, lower(email) FROM users WHERE id = 5) u JOIN posts p ON p.user_id = u.id",
        "SELECT * FROM posts p LEFT JOIN (SELECT id FROM users WHERE id = 5) u ON p.user_id = u.id WHERE p.user_id = 5",
        "SELECT * FROM users u, LATERAL (SELECT * FROM posts p WHERE p.user_id = u.id LIMIT 3) q WHERE u.id = 5",
        "SELECT * FROM users u LEFT JOIN LATERAL (SELECT count(*) FROM posts p WHERE p.user_id = u.id) q ON true WHERE u.id = 5",
        "SELECT * FROM users u, LATERAL (SELECT p.user_id FROM posts p WHERE p.user_id = u.id AND p.user_id = 5) q",
    ] {
        goes(sql, int(5));
    }
}

#[test]
fn facts_sink_into_subqueries_that_they_may_be_asked_in() {
    for sql in [
        "SELECT * FROM (SELECT * FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT id AS k, email FROM users) u WHERE u.k = 5",
        "SELECT * FROM (SELECT DISTINCT id FROM users) u WHERE u.id = 5",
        "SELECT * FROM (SELECT user_id, count(*) FROM posts GROUP BY user_id) p JOIN users u ON u.id = p.user_id WHERE u.id = 5",
        "SELECT * FROM (SELECT * FROM (SELECT * FROM users) a) b WHERE b.id = 5",
        "SELECT * FROM (SELECT u.id FROM users u LEFT JOIN posts p ON p.user_id = u.id) q WHERE id = 5",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "SELECT * FROM (SELECT * FROM users LIMIT 10) u WHERE id = 5",
        "SELECT * FROM (SELECT * FROM users OFFSET 1) u WHERE id = 5",
        "SELECT * FROM (SELECT DISTINCT ON (email) id FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT id, row_number() OVER () FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT id + 1 AS id FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT id FROM users UNION SELECT user_id FROM posts) u WHERE id = 5",
        "SELECT * FROM (SELECT id FROM users GROUP BY ROLLUP (id)) u WHERE id = 5",
        "SELECT * FROM (SELECT count(*) AS id FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT max(id) AS id FROM users) u WHERE id = 5",
        "SELECT * FROM (SELECT * FROM users) u (a, b) WHERE a = 5",
    ] {
        missing(sql);
    }
}

#[test]
fn aggregates_without_a_group_have_a_row_without_rows() {
    // The subquery has a row for every u: its conditions say nothing of u.
    missing("SELECT * FROM users u, LATERAL (SELECT count(*) FROM posts p WHERE p.user_id = u.id AND p.user_id = 5) q");
    missing(
        "SELECT * FROM users u WHERE EXISTS (SELECT count(*) FROM posts p WHERE p.user_id = u.id AND p.user_id = 5)",
    );
    missing(
        "SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id AND p.user_id = 5 HAVING true)",
    );
    missing(
        "SELECT * FROM users u, LATERAL (SELECT 1 FROM posts p WHERE p.user_id = u.id AND p.user_id = 5 GROUP BY ()) q",
    );
    missing(
        "SELECT * FROM users u WHERE EXISTS (SELECT p.count FROM posts p WHERE p.user_id = u.id AND p.user_id = 5)",
    );
    goes("SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id AND p.user_id = 5)", int(5));
}

#[test]
fn subqueries_in_conditions_need_their_key_too() {
    for sql in [
        "SELECT * FROM users u WHERE u.id = 5 AND EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id)",
        "SELECT * FROM users u WHERE u.id = 5 AND NOT EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id)",
        "SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id) AND u.id = 5",
        "SELECT * FROM users WHERE id = 5 AND EXISTS (SELECT 1 FROM posts WHERE user_id = users.id)",
        "SELECT * FROM users u WHERE u.id IN (SELECT user_id FROM posts WHERE user_id = 5)",
        "SELECT * FROM users u WHERE u.id IN (SELECT user_id FROM posts) AND u.id = 5",
        "SELECT * FROM users u WHERE u.id = ANY (SELECT user_id FROM posts) AND u.id = 5",
        "SELECT * FROM users u WHERE (u.id, u.x) IN (SELECT user_id, x FROM posts) AND u.id = 5",
        "SELECT * FROM users u WHERE u.id = (SELECT user_id FROM posts WHERE user_id = 5)",
        "SELECT * FROM users u WHERE (SELECT max(user_id) FROM posts WHERE user_id = 5) = 1 AND u.id = 5",
        "SELECT (SELECT count(*) FROM posts p WHERE p.user_id = u.id) FROM users u WHERE u.id = 5",
        "SELECT * FROM users u WHERE u.id = 5 ORDER BY (SELECT count(*) FROM posts p WHERE p.user_id = u.id)",
        "SELECT count(*) FROM users u WHERE u.id = 5 HAVING EXISTS (SELECT 1 FROM posts WHERE user_id = 5)",
        "SELECT * FROM users u WHERE u.id = 5 AND u.x > (SELECT avg(x) FROM posts p WHERE p.user_id = u.id AND EXISTS (SELECT 1 FROM users v WHERE v.id = p.user_id))",
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM posts WHERE user_id = 5) THEN 1 END",
        "SELECT ARRAY(SELECT id FROM users WHERE id = 5)",
        "SELECT JSON_ARRAY(SELECT id FROM users WHERE id = 5)",
        "SELECT * FROM generate_series(1, (SELECT count(*) FROM users WHERE id = 5)) g",
        "SELECT * FROM users u JOIN posts p ON p.user_id = u.id AND EXISTS (SELECT 1 FROM posts q WHERE q.user_id = u.id) WHERE u.id = 5",
        "SELECT * FROM users u LEFT JOIN posts p ON p.user_id = u.id AND EXISTS (SELECT 1 FROM posts q WHERE q.user_id = p.user_id) WHERE u.id = 5",
        "VALUES ((SELECT email FROM users WHERE id = 5))",
        "SELECT * FROM users WHERE id = 5 AND email IN (SELECT name FROM accounts)",
        "SELECT * FROM users WHERE id = 5 LIMIT (SELECT count(*) FROM posts WHERE user_id = 5)",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "SELECT * FROM users u WHERE u.id = 5 AND EXISTS (SELECT 1 FROM posts p)",
        "SELECT * FROM users u WHERE u.id = 5 AND EXISTS (SELECT 1 FROM posts p WHERE p.x = u.id)",
        "SELECT * FROM users u WHERE u.id = 5 AND u.id NOT IN (SELECT user_id FROM posts)",
        "SELECT * FROM users u WHERE u.id = 5 AND u.id = ALL (SELECT user_id FROM posts)",
        "SELECT * FROM users u WHERE u.id = 5 OR u.id IN (SELECT user_id FROM posts WHERE user_id = 5)",
        "SELECT * FROM users u WHERE u.id = 5 AND u.id = (SELECT user_id FROM posts)",
        "SELECT * FROM users u WHERE u.id = 5 AND u.id IN (SELECT user_id FROM posts LIMIT 5)",
        "SELECT * FROM users u WHERE u.id = (SELECT max(user_id) FROM posts WHERE user_id = 5)",
        "SELECT * FROM users u WHERE NOT EXISTS (SELECT 1 FROM posts p WHERE p.user_id = u.id AND p.user_id = 5)",
        "SELECT (SELECT count(*) FROM posts) FROM users u WHERE u.id = 5",
        "SELECT * FROM users WHERE id = 5 AND x = ANY (ARRAY(SELECT user_id FROM posts))",
        "SELECT JSON_ARRAY(SELECT id FROM users)",
        "SELECT sum((SELECT count(*) FROM posts)) FROM countries",
        "SELECT * FROM countries WHERE id IN (SELECT id FROM users)",
    ] {
        missing(sql);
    }
    several("SELECT * FROM users u WHERE u.id = 5 AND EXISTS (SELECT 1 FROM posts WHERE user_id = 9)");
}

#[test]
fn a_name_inside_means_the_nearest_column_that_may_have_it() {
    // accounts may have a column id: then this says nothing of users.
    missing("SELECT * FROM users WHERE EXISTS (SELECT 1 FROM accounts WHERE id = 5)");
    missing("SELECT * FROM users WHERE EXISTS (SELECT 1 FROM posts WHERE user_id = 5 AND id = 5)");
    missing("SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM accounts u WHERE u.id = 5)");
    missing("SELECT * FROM users, LATERAL (SELECT * FROM accounts WHERE id = 5) a");
    goes("SELECT * FROM users WHERE EXISTS (SELECT 1 WHERE id = 5)", int(5));
    goes("SELECT * FROM users WHERE EXISTS (SELECT 1 FROM (VALUES (1)) v(x) WHERE id = 5)", int(5));
    goes("SELECT * FROM users, accounts WHERE id = 5", int(5));
    goes("SELECT * FROM users WHERE EXISTS (SELECT 1 FROM accounts WHERE users.id = 5)", int(5));
    // Not LATERAL: the inner u is another one, or an error.
    missing("SELECT * FROM users u JOIN (SELECT * FROM posts WHERE user_id = u.id) p ON true WHERE u.id = 5");
}

#[test]
fn common_table_expressions_carry_their_keys() {
    for sql in [
        "WITH u AS (SELECT * FROM users WHERE id = 5) SELECT * FROM u",
        "WITH u AS (SELECT * FROM users WHERE id = 5) SELECT * FROM u JOIN posts p ON p.user_id = u.id",
        "WITH u (k) AS (SELECT id FROM users WHERE id = 5), p AS (SELECT * FROM posts JOIN u ON user_id = k) SELECT * FROM p",
        "WITH u AS (SELECT * FROM users WHERE id = 5) SELECT * FROM posts WHERE user_id IN (SELECT id FROM u)",
        "WITH u AS MATERIALIZED (SELECT id FROM users WHERE id = 5 LIMIT 1) DELETE FROM posts USING u WHERE user_id = u.id",
        "WITH k AS (SELECT 5 AS id) SELECT * FROM users JOIN k ON users.id = k.id",
        "WITH k (id) AS (VALUES (5)) SELECT * FROM users WHERE id = (SELECT id FROM k)",
        "WITH users AS (SELECT * FROM users WHERE id = 5) SELECT * FROM users",
        "WITH users AS (SELECT 1 AS id) SELECT * FROM users, posts WHERE user_id = 5",
        "WITH RECURSIVE t AS (SELECT id, boss FROM users WHERE id = 5 UNION ALL SELECT 1, 2 FROM t) SELECT * FROM t",
        "WITH a AS (SELECT 1) SELECT * FROM (WITH b AS (SELECT * FROM users WHERE id = 5) SELECT * FROM b) c",
        "SELECT * FROM posts WHERE user_id = 5 AND EXISTS (WITH x AS (SELECT 1 FROM users WHERE id = posts.user_id) SELECT * FROM x)",
    ] {
        goes(sql, int(5));
    }
    for sql in [
        "WITH u AS (SELECT * FROM users) SELECT * FROM u WHERE id = 5",
        "WITH u AS (SELECT * FROM users) SELECT 1",
        "WITH users AS (SELECT 1 AS id) SELECT * FROM public.users",
        "WITH a AS (SELECT * FROM users), users AS (SELECT 1) SELECT 1",
        "WITH RECURSIVE t AS (SELECT * FROM users WHERE id = 5 UNION ALL SELECT u.* FROM users u JOIN t ON u.boss = t.id) SELECT * FROM t",
        "WITH u AS (SELECT id FROM users WHERE id = 5) SELECT * FROM u a LEFT JOIN posts p ON p.x = a.id",
        "WITH u AS (SELECT max(id) AS id FROM users WHERE id = 5) SELECT * FROM posts JOIN u ON user_id = u.id",
    ] {
        missing(sql);
    }
    goes("WITH users AS (SELECT 1 AS id) SELECT * FROM users", Answer::Skip);
    goes("WITH RECURSIVE a AS (SELECT * FROM users), users AS (SELECT 1) SELECT 1", Answer::Skip);
    several("WITH u AS (SELECT * FROM users WHERE id = 5) SELECT * FROM u, posts WHERE user_id = 9");
    // Two references are two rows: what is said of one is not said of the other.
    missing(
        "WITH k AS (SELECT user_id FROM posts WHERE user_id = 5 UNION SELECT x FROM accounts) SELECT * FROM k a, k b, users WHERE a.user_id = 5 AND users.id = b.user_id",
    );
}

#[test]
fn every_branch_of_a_union_needs_its_key() {
    goes("SELECT id FROM users WHERE id = 5 UNION ALL SELECT user_id FROM posts WHERE user_id = 5", int(5));
    goes(
        "(SELECT id FROM users WHERE id = 5 LIMIT 1) EXCEPT (SELECT 1 INTERSECT SELECT user_id FROM posts WHERE user_id = 5)",
        int(5),
    );
    goes("SELECT 1 UNION SELECT 2 UNION SELECT id FROM users WHERE id = 5 UNION SELECT 4", int(5));
    goes("SELECT * FROM (SELECT 5 AS id UNION ALL SELECT 5) k JOIN users ON users.id = k.id", int(5));
    goes("SELECT * FROM (SELECT id FROM users WHERE id = 5 UNION ALL SELECT 5) k JOIN posts ON user_id = k.id", int(5));
    missing("SELECT id FROM users WHERE id = 5 UNION ALL SELECT user_id FROM posts");
    missing("SELECT * FROM (SELECT 5 AS id UNION ALL SELECT x FROM accounts) k JOIN users ON users.id = k.id");
    several("SELECT id FROM users WHERE id = 5 UNION ALL SELECT user_id FROM posts WHERE user_id = 9");
    several("SELECT * FROM (SELECT 5 AS id UNION ALL SELECT 9) k JOIN users ON users.id = k.id");
}

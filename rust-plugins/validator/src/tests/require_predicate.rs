//! Which statements say which tenant's rows they mean, whatever the tenant is.

use super::{allows, refuses, refuses_with, with_rule};
use pooler_plugin::testing::Runner;
use serde_json::json;

fn plugin() -> Runner {
    with_rule(&json!({"type": "require_predicate", "tables": ["orders", "items"], "column": "tenant_id"}))
}

#[test]
fn a_query_needs_the_equality_at_the_top_of_its_condition() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            "SELECT * FROM orders WHERE tenant_id = 5",
            "SELECT * FROM orders WHERE tenant_id = $1 AND id > 7",
            "SELECT * FROM orders WHERE id > 7 AND (a OR b) AND (c AND 5 = tenant_id)",
            "SELECT * FROM orders WHERE orders.tenant_id = '5'::bigint",
            "SELECT * FROM public.orders WHERE public.orders.tenant_id = 5",
            "SELECT * FROM public.orders WHERE orders.tenant_id = 5",
            "SELECT * FROM orders o WHERE o.tenant_id = current_setting('app.tenant')::int",
            "SELECT * FROM orders o WHERE tenant_id OPERATOR(pg_catalog.=) 5",
            "SELECT * FROM orders WHERE tenant_id IN (5)",
            "SELECT * FROM orders WHERE tenant_id IN ($1, $2)",
            "SELECT * FROM orders WHERE (tenant_id, id) = (5, 7)",
            "SELECT * FROM other",
            "SELECT 1",
            "WITH orders AS (SELECT 1) SELECT * FROM orders",
            "SELECT * FROM orders WHERE tenant_id = 5 FOR UPDATE",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM orders",
            "TABLE orders",
            "SELECT * FROM orders WHERE id = 5",
            "SELECT * FROM orders WHERE tenant_id = 5 OR true",
            "SELECT * FROM orders WHERE NOT tenant_id = 5",
            "SELECT * FROM orders WHERE (tenant_id = 5) IS NOT NULL",
            "SELECT * FROM orders WHERE tenant_id = tenant_id",
            "SELECT * FROM orders o WHERE o.tenant_id = orders_id",
            "SELECT * FROM orders WHERE tenant_id <> 5",
            "SELECT * FROM orders WHERE tenant_id >= 5 AND tenant_id <= 5",
            "SELECT * FROM orders WHERE tenant_id = ANY (ARRAY[1, 2])",
            "SELECT * FROM orders WHERE tenant_id NOT IN (5)",
            "SELECT * FROM orders WHERE tenant_id IN (SELECT id FROM tenants)",
            "SELECT * FROM orders WHERE tenant_id IN (5, id)",
            "SELECT * FROM orders WHERE tenant_id = (SELECT 5)",
            "SELECT * FROM orders WHERE tenant_id + 0 = 5",
            "SELECT * FROM orders WHERE tenant_id::text = '5'",
            "SELECT * FROM orders WHERE tenant_id OPERATOR(evil.=) 5",
            "SELECT * FROM orders WHERE tenant_id IS NOT DISTINCT FROM 5",
            "SELECT * FROM orders WHERE CASE WHEN true THEN tenant_id = 5 END",
            "SELECT * FROM orders WHERE \"Tenant_Id\" = 5",
            "SELECT * FROM orders GROUP BY tenant_id HAVING tenant_id = 5",
            "SELECT tenant_id = 5 FROM orders",
            "SELECT * FROM orders WHERE (tenant_id, id) = (SELECT 5, 7)",
            "SELECT * FROM orders WHERE (tenant_id, id) IN ((5, 7))",
            "SELECT * FROM orders WHERE (orders).tenant_id = 5",
            "SELECT * FROM orders WHERE tenant_id(orders) = 5",
        ],
    );
    refuses_with(
        &mut plugin,
        "table \"orders\" may only be used with a condition \"tenant_id\" = value",
        &["TABLE orders"],
    );
}

#[test]
fn renamed_columns_are_not_trusted() {
    refuses(
        &mut plugin(),
        &[
            "SELECT * FROM orders AS o (tenant_id, id) WHERE o.tenant_id = 5",
            "SELECT * FROM orders AS o (tenant_id) WHERE tenant_id = 5",
        ],
    );
}

#[test]
fn every_table_of_a_join_needs_it() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            "SELECT * FROM orders o JOIN items i ON i.order_id = o.id WHERE o.tenant_id = 5 AND i.tenant_id = 5",
            "SELECT * FROM orders o JOIN items i ON i.tenant_id = o.tenant_id WHERE o.tenant_id = 5",
            "SELECT * FROM orders o JOIN items i ON i.tenant_id = o.tenant_id AND o.tenant_id = $1",
            "SELECT * FROM orders o, items i WHERE i.tenant_id = o.tenant_id AND o.tenant_id = 5",
            "SELECT * FROM tenants t JOIN orders o ON o.tenant_id = t.id WHERE t.id = 5",
            "SELECT * FROM orders o LEFT JOIN items i ON i.tenant_id = o.tenant_id AND i.order_id = o.id WHERE o.tenant_id = 5",
            "SELECT * FROM tenants t LEFT JOIN orders o ON o.tenant_id = 5 AND o.id = t.id",
            "SELECT * FROM orders o RIGHT JOIN tenants t ON o.tenant_id = 5",
            "SELECT * FROM orders o JOIN items i USING (tenant_id) WHERE tenant_id = 5",
            "SELECT * FROM orders o JOIN items i USING (tenant_id, order_id) WHERE o.tenant_id = 5",
            "SELECT * FROM orders o LEFT JOIN items i USING (tenant_id) WHERE o.tenant_id = 5",
            "SELECT * FROM orders NATURAL JOIN items WHERE orders.tenant_id = 5",
            "SELECT * FROM orders o JOIN other x USING (id) WHERE tenant_id = 5",
            "SELECT * FROM orders FULL JOIN items USING (tenant_id) WHERE tenant_id = 5",
            "SELECT * FROM orders a JOIN orders b USING (tenant_id) JOIN items c USING (tenant_id) WHERE a.tenant_id = 5",
            "SELECT * FROM a CROSS JOIN (orders o JOIN items i ON i.tenant_id = 5 AND o.tenant_id = 5)",
            "SELECT * FROM a LEFT JOIN (orders o JOIN items i ON i.tenant_id = 5 AND o.tenant_id = 5) ON true",
            "SELECT * FROM (orders o JOIN items i ON i.tenant_id = 5 AND o.tenant_id = 5) AS j",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM orders o JOIN items i ON i.order_id = o.id WHERE o.tenant_id = 5",
            "SELECT * FROM orders o, orders p WHERE o.tenant_id = 5",
            "SELECT * FROM orders o JOIN items i ON i.tenant_id = o.tenant_id",
            "SELECT * FROM orders o JOIN items i ON i.tenant_id = o.tenant_id OR true WHERE o.tenant_id = 5",
            // An outer join keeps the rows of one side whatever ON says.
            "SELECT * FROM orders o LEFT JOIN items i ON o.tenant_id = 5 AND i.tenant_id = 5",
            "SELECT * FROM orders o LEFT JOIN items i ON i.tenant_id = o.tenant_id AND i.tenant_id = 5",
            "SELECT * FROM tenants t RIGHT JOIN orders o ON o.tenant_id = 5",
            "SELECT * FROM tenants t FULL JOIN orders o ON o.tenant_id = 5",
            "SELECT * FROM orders o FULL JOIN items i ON i.tenant_id = o.tenant_id WHERE o.tenant_id = 5",
            "SELECT * FROM orders o RIGHT JOIN items i USING (tenant_id) WHERE o.tenant_id = 5",
            "SELECT * FROM orders o FULL JOIN items i USING (tenant_id) WHERE o.tenant_id = 5",
            "SELECT * FROM orders o JOIN (SELECT 5 AS tenant_id) s USING (tenant_id)",
            // What an aliased join hides cannot be named from outside, and its columns may go by other names.
            "SELECT * FROM (orders o JOIN items i ON true) AS j (a, tenant_id) WHERE tenant_id = 5",
            "SELECT * FROM (orders o JOIN a ON true) AS j WHERE j.tenant_id = 5",
        ],
    );
}

#[test]
fn every_subquery_needs_it() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            "SELECT * FROM (SELECT * FROM orders WHERE tenant_id = 5) o",
            "SELECT * FROM tenants WHERE id IN (SELECT id FROM orders WHERE tenant_id = 5)",
            "SELECT * FROM orders o WHERE o.tenant_id = 5 AND EXISTS (SELECT FROM items i WHERE i.tenant_id = o.tenant_id)",
            "SELECT (SELECT count(*) FROM items i WHERE i.tenant_id = o.tenant_id) FROM orders o WHERE o.tenant_id = 5",
            "SELECT * FROM orders o, LATERAL (SELECT * FROM items i WHERE i.tenant_id = o.tenant_id) x WHERE o.tenant_id = 5",
            "SELECT * FROM orders WHERE tenant_id = 5 UNION SELECT * FROM items WHERE tenant_id = 5",
            "WITH x AS (SELECT * FROM orders WHERE tenant_id = 5) SELECT * FROM x",
            "WITH x AS (DELETE FROM orders WHERE tenant_id = 5 RETURNING *) SELECT * FROM x",
            "INSERT INTO other SELECT * FROM orders WHERE tenant_id = 5",
            "COPY (SELECT * FROM orders WHERE tenant_id = 5) TO STDOUT",
            "EXPLAIN SELECT * FROM orders WHERE tenant_id = 5",
            "PREPARE p AS SELECT * FROM orders WHERE tenant_id = $1",
            "DECLARE c CURSOR FOR SELECT * FROM orders WHERE tenant_id = 5",
            "CREATE VIEW v AS SELECT * FROM orders WHERE tenant_id = 5",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "SELECT * FROM (SELECT * FROM orders) o WHERE o.tenant_id = 5",
            "SELECT * FROM tenants WHERE id IN (SELECT id FROM orders)",
            "SELECT * FROM orders o WHERE o.tenant_id = 5 AND EXISTS (SELECT FROM items i WHERE i.order_id = o.id)",
            "SELECT * FROM orders o WHERE EXISTS (SELECT FROM items i WHERE i.tenant_id = 5 AND o.tenant_id = 5)",
            "SELECT * FROM orders o WHERE o.tenant_id = 5 AND EXISTS (SELECT FROM items i WHERE i.tenant_id = tenant_id)",
            "SELECT (SELECT count(*) FROM items i WHERE i.tenant_id = o.tenant_id) FROM tenants o WHERE true",
            // The inner o is another one than the outer.
            "SELECT * FROM orders o WHERE o.tenant_id = 5 AND EXISTS (SELECT FROM other o, items i WHERE i.tenant_id = o.tenant_id)",
            "SELECT * FROM orders o WHERE o.tenant_id = 5 AND EXISTS (SELECT FROM (other o JOIN LATERAL (SELECT FROM items i WHERE i.tenant_id = o.tenant_id) x ON true) AS j)",
            "SELECT * FROM other o WHERE EXISTS (SELECT FROM LATERAL (SELECT FROM items i WHERE i.tenant_id = o.tenant_id) x, orders o WHERE o.tenant_id = 5)",
            "SELECT * FROM orders x WHERE x.tenant_id = 5 AND EXISTS (SELECT FROM (other o JOIN items i ON true) AS x WHERE i.tenant_id = x.tenant_id)",
            "SELECT * FROM orders x WHERE x.tenant_id = 5 AND EXISTS (SELECT FROM other o JOIN items i USING (tenant_id) AS x WHERE i.tenant_id = x.tenant_id)",
            "SELECT * FROM orders f WHERE f.tenant_id = 5 AND EXISTS (SELECT FROM f(1), items i WHERE i.tenant_id = f.tenant_id)",
            "SELECT * FROM public.orders WHERE tenant_id = 5 AND EXISTS (SELECT FROM orders, items i WHERE orders.tenant_id = 5 AND i.tenant_id = public.orders.tenant_id)",
            "SELECT * FROM orders o, (SELECT * FROM items i WHERE i.tenant_id = o.tenant_id) x WHERE o.tenant_id = 5",
            "SELECT * FROM orders WHERE tenant_id = 5 UNION SELECT * FROM items",
            "WITH x AS (SELECT * FROM orders) SELECT * FROM x WHERE tenant_id = 5",
            "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
            "INSERT INTO other SELECT * FROM orders",
            "COPY (SELECT * FROM orders) TO STDOUT",
            "EXPLAIN ANALYZE SELECT * FROM orders",
            "PREPARE p AS SELECT * FROM orders",
            "DECLARE c CURSOR FOR SELECT * FROM orders",
            "CREATE VIEW v AS SELECT * FROM orders",
            "CREATE TABLE x AS TABLE orders",
            "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM orders",
            "CREATE FUNCTION f() RETURNS bigint RETURN (SELECT count(*) FROM orders)",
        ],
    );
}

#[test]
fn changes_need_it_too() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            "UPDATE orders SET a = 1 WHERE tenant_id = $1 AND id = $2",
            "UPDATE orders o SET a = i.a FROM items i WHERE o.tenant_id = 5 AND i.tenant_id = o.tenant_id",
            "DELETE FROM orders WHERE tenant_id = 5",
            "DELETE FROM orders USING tenants t WHERE orders.tenant_id = t.id AND t.id = 5",
            "MERGE INTO orders o USING s ON o.tenant_id = 5 AND o.id = s.id WHEN MATCHED THEN DELETE",
            "MERGE INTO orders o USING s ON o.tenant_id = $1 WHEN NOT MATCHED THEN INSERT (tenant_id, a) VALUES ($1, 1)",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "UPDATE orders SET a = 1 WHERE id = $2",
            "UPDATE orders SET tenant_id = 5",
            "UPDATE orders o SET a = i.a FROM items i WHERE o.tenant_id = 5",
            "UPDATE other SET a = (SELECT max(a) FROM orders)",
            "DELETE FROM orders",
            "DELETE FROM orders WHERE CURRENT OF c",
            "DELETE FROM orders RETURNING tenant_id = 5",
            "DELETE FROM other USING orders WHERE other.tenant_id = 5",
            "TRUNCATE orders",
            "COPY orders TO STDOUT",
            "COPY orders (tenant_id) TO STDOUT",
            "MERGE INTO orders o USING s ON o.id = s.id WHEN MATCHED THEN DELETE",
            "MERGE INTO orders o USING s ON o.tenant_id = 5 WHEN NOT MATCHED BY SOURCE THEN DELETE",
            "MERGE INTO t USING orders o ON t.id = o.id AND o.tenant_id = 5 WHEN NOT MATCHED THEN INSERT VALUES (o.a)",
            "MERGE INTO orders o USING s ON o.tenant_id = 5 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
            "MERGE INTO orders o USING s ON o.tenant_id = 5 WHEN NOT MATCHED THEN INSERT VALUES (5, 1)",
        ],
    );
}

#[test]
fn an_insert_must_list_the_column() {
    let mut plugin = plugin();
    allows(
        &mut plugin,
        &[
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5)",
            "INSERT INTO orders (id, tenant_id) VALUES (1, DEFAULT), ($1, $2)",
            "INSERT INTO orders (tenant_id, id) SELECT 5, id FROM other",
            "INSERT INTO orders (tenant_id, id) SELECT tenant_id, id FROM items WHERE tenant_id = 5",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT DO NOTHING",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT (tenant_id, id) DO UPDATE SET a = excluded.a",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET a = 1 WHERE orders.tenant_id = 5",
            "INSERT INTO other VALUES (1)",
            "COPY orders (tenant_id, id) FROM STDIN",
        ],
    );
    refuses(
        &mut plugin,
        &[
            "INSERT INTO orders VALUES (5, 1)",
            "INSERT INTO orders (id) VALUES (1)",
            "INSERT INTO orders DEFAULT VALUES",
            "INSERT INTO orders (id, tenant_id) VALUES (1)",
            "INSERT INTO orders SELECT * FROM other",
            "INSERT INTO orders (tenant_id, id) SELECT * FROM other",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET a = 1",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT ((tenant_id + 1)) DO UPDATE SET a = 1",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT ON CONSTRAINT c DO UPDATE SET a = 1",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET a = 1 WHERE excluded.tenant_id = 5",
            "INSERT INTO orders (id, tenant_id) VALUES (1, 5) RETURNING (SELECT count(*) FROM items)",
            "WITH x AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT * FROM x",
            "COPY orders FROM STDIN",
            "COPY orders (id) FROM STDIN",
        ],
    );
}

//! The hand-written structs and constants against the C header: a probe compiled from the header prints every size,
//! alignment, offset and number, and both lists must be the same, so nothing can be missing on either side.

use pooler_plugin::sys;
use std::collections::BTreeMap;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/plugin-abi/include/pooler_plugin.h")
}

type Facts = BTreeMap<String, i64>;

/// Struct and field names, and constants, as the header's text declares them.
fn declared(text: &str) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let text = without_comments(text);
    let mut structs = Vec::new();
    for part in text.split("typedef struct ").skip(1) {
        let (name, rest) = part.split_once('{').expect("a struct has a body");
        let (body, _) = rest.split_once('}').expect("a struct's body ends");
        let fields = body.split(';').map(str::trim).filter(|field| !field.is_empty());
        let names = fields.map(|field| {
            let name = field.rsplit([' ', '*']).next().expect("a field has a name");
            name.to_owned()
        });
        structs.push((name.trim().to_owned(), names.collect()));
    }
    let constants = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let name = words.next()?;
        let is_number = words.next()?.trim_start_matches(['(', '-']).starts_with(|c: char| c.is_ascii_digit());
        is_number.then(|| name.to_owned())
    });
    (structs, constants.collect())
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    out + rest
}

/// What the C compiler makes of the header.
fn by_c() -> Facts {
    let text = std::fs::read_to_string(header()).expect("the header is there");
    let (structs, constants) = declared(&text);
    assert!(structs.len() > 10 && constants.len() > 50, "the header was not understood");
    let mut probe = String::from("#include <stdio.h>\n#include \"pooler_plugin.h\"\nint main(void) {\n");
    for (name, fields) in &structs {
        probe += &format!("printf(\"sizeof {name} %zu\\nalignof {name} %zu\\n\", sizeof({name}), _Alignof({name}));\n");
        for field in fields {
            probe += &format!("printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));\n");
        }
    }
    for name in constants {
        probe += &format!("printf(\"{name} %lld\\n\", (long long)({name}));\n");
    }
    probe += "return 0;\n}\n";

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&source, probe).expect("the probe can be written");
    let include = header().parent().expect("the header lies in a folder").to_owned();
    let status = Command::new("cc")
        .args(["-std=c11", "-I"])
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status()
        .expect("a C compiler `cc` is needed");
    assert!(status.success(), "the probe did not compile");
    let output = Command::new(&program).output().expect("the probe runs");
    let lines = String::from_utf8(output.stdout).expect("the probe prints text");
    lines
        .lines()
        .map(|line| {
            let (name, number) = line.rsplit_once(' ').expect("a name and a number");
            (name.to_owned(), number.parse().expect("a number"))
        })
        .collect()
}

macro_rules! structs {
    ($facts:ident: $( $c_name:literal $name:ident { $( $field:ident ),* } )*) => { $(
        $facts.insert(concat!("sizeof ", $c_name).into(), size_of::<sys::$name>() as i64);
        $facts.insert(concat!("alignof ", $c_name).into(), align_of::<sys::$name>() as i64);
        $( $facts.insert(
            format!(concat!($c_name, ".{}"), stringify!($field).trim_start_matches("r#")),
            offset_of!(sys::$name, $field) as i64,
        ); )*
    )* };
}

macro_rules! constants {
    ($facts:ident: $( $name:ident )*) => { $(
        $facts.insert(concat!("POOLER_", stringify!($name)).into(), i64::from(sys::$name));
    )* };
}

/// What the SDK has.
fn by_rust() -> Facts {
    let mut facts = Facts::new();
    structs! { facts:
        "pooler_slice" Slice { offset, length }
        "pooler_array" Array { offset, count, stride, reserved }
        "pooler_plugin_info" PluginInfo {
            size, abi_major, abi_minor, min_host_minor, hooks, capabilities, grammar_min, grammar_max, name, version, sdk
        }
        "pooler_input" Input {
            size, protocol, flags, role, shard, ms_since_write, query_id, statement, session, cluster, reserved, parameters
        }
        "pooler_parameter" Parameter { value, format, type_oid, flags, reserved }
        "pooler_table" Table { catalog, schema, name, r#use, reserved }
        "pooler_function" Function { schema, name }
        "pooler_statement" Statement {
            size, kind, id, fingerprint, facts, grammar, sql, tables, functions, parse_tree, parse_error
        }
        "pooler_session" Session {
            size, flags, id, user, database, application_name, client_address, client_encoding
        }
        "pooler_host" Host { shard, role, flags, lag_ms, address }
        "pooler_cluster" Cluster { size, shards, generation, name, hosts }
        "pooler_create_input" CreateInput { size, host_minor, config, name, worker, grammar }
        "pooler_pair" Pair { name, value }
        "pooler_connect_input" ConnectInput {
            size, flags, session, reserved, asked_user, asked_database, peer_name, parameters
        }
        "pooler_disconnect_input" DisconnectInput { size, flags, session, reserved, duration_us }
        "pooler_server_input" ServerInput {
            size, flags, id, shard, role, process_id, reserved, database, server_database, user, address, parameters
        }
        "pooler_end_input" EndInput {
            size, flags, query_id, duration_us, rows, statement, session, protocol, role, shard, reserved, address,
            command_tag, sqlstate, message
        }
        "pooler_row_input" RowInput {
            size, flags, query_id, statement_id, cookie, row, session, reserved, columns, values
        }
        "pooler_column" Column { name, type_oid, type_modifier, type_size, format }
        "pooler_value" Value { value, flags, reserved }
        "pooler_output" Output {
            size, used, needed, flags, role, shard, sqlstate, message, detail, hint, sql, parameters, columns, values,
            command_tag, cookie, user, database, server_user, server_password, once_sql
        }
    }
    constants! { facts:
        ABI_MAJOR ABI_MINOR SKIP FORWARD ERROR REWRITE INTERCEPT ACCEPT ROW_KEEP ROW_CHANGE ROW_DROP OK NOT_MINE FAILED PANICKED BAD_INPUT NEEDS_SPACE
        HOOK_ROUTE_QUERY HOOK_CLIENT_CONNECT HOOK_SERVER_CONNECT HOOK_QUERY_END HOOK_CLIENT_DISCONNECT HOOK_RELOAD
        HOOK_RESULT_ROW CAP_INSPECT CAP_EVERY_STATEMENT CAP_FACTS CAP_PARSE_TREE CAP_FINGERPRINT CAP_LITERALS CAP_BLOCKING
        PROTOCOL_SIMPLE PROTOCOL_EXTENDED IN_TRANSACTION READ_ONLY FIRST_STATEMENT PREPARE_ONLY ROLE_DECIDED
        SHARD_DECIDED REWRITTEN SEVERAL_STATEMENTS NEVER PARAMETER_NULL PARAMETER_LITERAL
        STATEMENT_OTHER STATEMENT_SELECT STATEMENT_INSERT STATEMENT_UPDATE STATEMENT_DELETE STATEMENT_MERGE
        STATEMENT_COPY STATEMENT_EXPLAIN STATEMENT_DDL STATEMENT_SET STATEMENT_SHOW STATEMENT_TRANSACTION
        STATEMENT_PREPARE STATEMENT_EXECUTE STATEMENT_CALL STATEMENT_CURSOR STATEMENT_LISTEN STATEMENT_EMPTY
        FACT_PARSED FACT_WRITES FACT_LOCKS_ROWS FACT_MODIFYING_CTE FACT_UNKNOWN_FUNCTION FACT_SYNTAX_ERROR
        TABLE_READ TABLE_WRITE TABLE_LOCK SESSION_TLS HOST_UP ROLE_OPEN ROLE_WRITE ROLE_READ SHARD_OPEN SHARD_ALL
        DISCONNECT_LOGGED_IN SERVER_TLS END_FAILED END_LOCAL END_SUSPENDED END_REWRITTEN
        OUT_PARAMETERS OUT_ROUTE OUT_ROWS VALUE_NULL VALUE_KEEP
    }
    facts
}

#[test]
fn structs_and_constants_are_those_of_the_c_header() {
    let (c, rust) = (by_c(), by_rust());
    // pooler_bytes is a convenience of the header's own accessors; it never crosses the boundary.
    let crossing = |name: &&String| !name.contains("pooler_bytes");
    let missing: Vec<_> = c.keys().filter(crossing).filter(|name| !rust.contains_key(*name)).collect();
    assert!(missing.is_empty(), "the header has, and the SDK lacks: {missing:?}");
    let unknown: Vec<_> = rust.keys().filter(|name| !c.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "the SDK has, and the header lacks: {unknown:?}");
    for (name, value) in &rust {
        assert_eq!(c.get(name), Some(value), "{name}");
    }
}

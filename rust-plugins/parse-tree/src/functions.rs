//! The functions that PostgreSQL brings along, and which of them only read.
//!
//! `builtin_functions.txt` says what the catalogs say; the two lists below are the exceptions, each judged by hand.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Not volatile in the catalog, yet no reads: they allot a transaction id, fail on a standby, tell of the session's own
/// server, or run SQL that they are given as text.
const NOT_READS: &[&str] = &[
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "pg_current_xact_id",
    "pg_cursor",
    "pg_listening_channels",
    "pg_my_temp_schema",
    "pg_prepared_statement",
    "pg_walfile_name",
    "pg_walfile_name_offset",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "txid_current",
];

/// Volatile in the catalog because they answer differently each time; they change nothing and run on a standby.
const VOLATILE_READS: &[&str] = &[
    "array_sample",
    "array_shuffle",
    "bernoulli",
    "clock_timestamp",
    "current_query",
    "gen_random_uuid",
    "lo_get",
    "pg_collation_actual_version",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_get_wal_replay_pause_state",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_jit_available",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "random",
    "random_normal",
    "system",
    "timeofday",
    // Volatile by mistake before PostgreSQL 17: AT TIME ZONE.
    "timezone",
    "uuidv4",
    "uuidv7",
];

/// What calling a function can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing, and a standby can run it.
    Reads,
    /// It is known to do more.
    Acts,
}

/// The effect of a function of pg_catalog, all overloads together; `None` when PostgreSQL has none of this name.
pub fn builtin(name: &str) -> Option<Effect> {
    static TABLE: OnceLock<HashMap<&'static str, Effect>> = OnceLock::new();
    TABLE.get_or_init(table).get(name).copied()
}

fn table() -> HashMap<&'static str, Effect> {
    let mut table = HashMap::with_capacity(3000);
    for line in include_str!("builtin_functions.txt").lines() {
        match line.split_once(' ') {
            Some(("i" | "s", name)) => table.insert(name, Effect::Reads),
            Some(("v", name)) => table.insert(name, Effect::Acts),
            _ => None,
        };
    }
    table.extend(NOT_READS.iter().map(|name| (*name, Effect::Acts)));
    table.extend(VOLATILE_READS.iter().map(|name| (*name, Effect::Reads)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_change_something_are_not_reads() {
        for name in [
            "nextval",
            "setval",
            "currval",
            "lastval",
            "set_config",
            "setseed",
            "pg_notify",
            "pg_advisory_lock",
            "pg_try_advisory_xact_lock_shared",
            "pg_advisory_unlock_all",
            "lo_creat",
            "lo_unlink",
            "lowrite",
            "txid_current",
            "pg_current_xact_id",
            "pg_terminate_backend",
            "pg_reload_conf",
            "pg_export_snapshot",
            "pg_logical_emit_message",
            "pg_create_physical_replication_slot",
            "pg_switch_wal",
            "pg_stat_reset",
            "query_to_xml",
            "ts_stat",
            "ts_rewrite",
            "brin_summarize_new_values",
            "pg_read_file",
        ] {
            assert_eq!(builtin(name), Some(Effect::Acts), "{name}");
        }
    }

    #[test]
    fn functions_that_only_compute_are_reads() {
        for name in [
            "count",
            "sum",
            "lower",
            "now",
            "coalesce_is_no_function",
            "date_trunc",
            "jsonb_build_object",
            "row_number",
            "generate_series",
            "current_setting",
            "to_char",
            "extract",
            "timezone",
            "random",
            "gen_random_uuid",
            "pg_sleep",
            "pg_is_in_recovery",
            "inet_server_port",
            "pg_backend_pid",
            "has_table_privilege",
            "pg_get_viewdef",
            "unnest",
        ] {
            let expected = if name == "coalesce_is_no_function" { None } else { Some(Effect::Reads) };
            assert_eq!(builtin(name), expected, "{name}");
        }
    }

    #[test]
    fn every_exception_is_a_function_and_an_exception() {
        let listed: HashMap<&str, &str> = include_str!("builtin_functions.txt")
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(v, name)| (name, v))
            .collect();
        for name in NOT_READS.iter().chain(VOLATILE_READS) {
            assert!(listed.contains_key(name), "{name} is no function of pg_catalog");
        }
        for name in VOLATILE_READS {
            assert_eq!(listed[name], "v", "{name} needs no exception");
        }
    }
}

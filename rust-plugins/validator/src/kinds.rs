//! The kinds of statements that a configuration may deny. A statement can be of several: `DELETE` without WHERE in a WITH
//! query of an EXPLAIN ANALYZE is `explain`, `explain_analyze`, `delete` and `delete_without_where`.

use parse_tree::{Fields, Node, Relation, boolean_option};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A query as a statement of its own, in WITH, EXPLAIN, PREPARE, COPY or a cursor; not a subquery.
    Select,
    SelectInto,
    /// FOR UPDATE and the like, anywhere.
    RowLock,
    Insert,
    Update,
    UpdateWithoutWhere,
    Delete,
    DeleteWithoutWhere,
    Merge,
    Truncate,
    Copy,
    CopyFrom,
    CopyTo,
    /// COPY with a file or program of the server.
    CopyServerFile,
    Explain,
    ExplainAnalyze,
    Prepare,
    Execute,
    Deallocate,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    Call,
    Do,
    /// Every change of the schema, with GRANT, COMMENT and the like.
    Ddl,
    Create,
    /// CREATE FUNCTION and PROCEDURE.
    CreateFunction,
    /// CREATE TEMPORARY TABLE and the like.
    CreateTemporary,
    Alter,
    AlterSystem,
    Drop,
    /// GRANT and REVOKE, of privileges and of roles.
    Grant,
    /// CREATE, ALTER and DROP of roles and users.
    Role,
    Set,
    /// SET ROLE and SET SESSION AUTHORIZATION.
    SetRole,
    Show,
    /// BEGIN, COMMIT, ROLLBACK, savepoints.
    Transaction,
    Savepoint,
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TwoPhase,
    Lock,
    /// LISTEN and UNLISTEN.
    Listen,
    Notify,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH MATERIALIZED VIEW, CHECKPOINT.
    Maintenance,
    Load,
    Discard,
    /// Several statements in one query string of the simple protocol.
    MultipleStatements,
}

impl Kind {
    /// For messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Kind::Select => "SELECT",
            Kind::SelectInto => "SELECT INTO",
            Kind::RowLock => "SELECT with a row lock",
            Kind::Insert => "INSERT",
            Kind::Update => "UPDATE",
            Kind::UpdateWithoutWhere => "UPDATE without WHERE",
            Kind::Delete => "DELETE",
            Kind::DeleteWithoutWhere => "DELETE without WHERE",
            Kind::Merge => "MERGE",
            Kind::Truncate => "TRUNCATE",
            Kind::Copy => "COPY",
            Kind::CopyFrom => "COPY FROM",
            Kind::CopyTo => "COPY TO",
            Kind::CopyServerFile => "COPY with a file or program of the server",
            Kind::Explain => "EXPLAIN",
            Kind::ExplainAnalyze => "EXPLAIN ANALYZE",
            Kind::Prepare => "PREPARE",
            Kind::Execute => "EXECUTE",
            Kind::Deallocate => "DEALLOCATE",
            Kind::Cursor => "a cursor",
            Kind::Call => "CALL",
            Kind::Do => "DO",
            Kind::Ddl => "a change of the schema",
            Kind::Create => "CREATE",
            Kind::CreateFunction => "CREATE FUNCTION",
            Kind::CreateTemporary => "CREATE TEMPORARY",
            Kind::Alter => "ALTER",
            Kind::AlterSystem => "ALTER SYSTEM",
            Kind::Drop => "DROP",
            Kind::Grant => "GRANT or REVOKE",
            Kind::Role => "a change of roles",
            Kind::Set => "SET",
            Kind::SetRole => "SET ROLE",
            Kind::Show => "SHOW",
            Kind::Transaction => "transaction control",
            Kind::Savepoint => "a savepoint",
            Kind::TwoPhase => "a two-phase commit",
            Kind::Lock => "LOCK TABLE",
            Kind::Listen => "LISTEN",
            Kind::Notify => "NOTIFY",
            Kind::Maintenance => "a maintenance statement",
            Kind::Load => "LOAD",
            Kind::Discard => "DISCARD",
            Kind::MultipleStatements => "several statements in one query string",
        }
    }
}

/// Adds the kinds of this statement, not of those within it. False when no one knows the statement.
pub(crate) fn add_kinds(statement: Node<'_>, kinds: &mut BTreeSet<Kind>) -> bool {
    let fields = statement.fields;
    let found: &[Kind] = match statement.kind {
        "SelectStmt" => &[Kind::Select],
        "InsertStmt" => &[Kind::Insert],
        "UpdateStmt" => &[Kind::Update],
        "DeleteStmt" => &[Kind::Delete],
        "MergeStmt" => &[Kind::Merge],
        "TruncateStmt" => &[Kind::Truncate],
        "CopyStmt" => {
            if fields.flag("is_program") || fields.has("filename") {
                kinds.insert(Kind::CopyServerFile);
            }
            if fields.flag("is_from") { &[Kind::Copy, Kind::CopyFrom] } else { &[Kind::Copy, Kind::CopyTo] }
        }
        "ExplainStmt" if analyzes(fields) => &[Kind::Explain, Kind::ExplainAnalyze],
        "ExplainStmt" => &[Kind::Explain],
        "PrepareStmt" => &[Kind::Prepare],
        "ExecuteStmt" => &[Kind::Execute],
        "DeallocateStmt" => &[Kind::Deallocate],
        "DeclareCursorStmt" | "FetchStmt" | "ClosePortalStmt" => &[Kind::Cursor],
        "CallStmt" => &[Kind::Call],
        "DoStmt" => &[Kind::Do],
        "VariableSetStmt" => match fields.text("name").to_ascii_lowercase().as_str() {
            "role" | "session_authorization" => &[Kind::Set, Kind::SetRole],
            _ => &[Kind::Set],
        },
        "ConstraintsSetStmt" => &[Kind::Set],
        "VariableShowStmt" => &[Kind::Show],
        "TransactionStmt" => match fields.text("kind") {
            "TRANS_STMT_SAVEPOINT" | "TRANS_STMT_RELEASE" | "TRANS_STMT_ROLLBACK_TO" => {
                &[Kind::Transaction, Kind::Savepoint]
            }
            "TRANS_STMT_PREPARE" | "TRANS_STMT_COMMIT_PREPARED" | "TRANS_STMT_ROLLBACK_PREPARED" => {
                &[Kind::Transaction, Kind::TwoPhase]
            }
            _ => &[Kind::Transaction],
        },
        "LockStmt" => &[Kind::Lock],
        "ListenStmt" | "UnlistenStmt" => &[Kind::Listen],
        "NotifyStmt" => &[Kind::Notify],
        "VacuumStmt" | "ReindexStmt" | "ClusterStmt" | "RefreshMatViewStmt" | "CheckPointStmt" => &[Kind::Maintenance],
        "LoadStmt" => &[Kind::Load],
        "DiscardStmt" => &[Kind::Discard],
        // The body of a SQL function.
        "ReturnStmt" => &[],
        _ => return add_definition(statement, kinds),
    };
    kinds.extend(found);
    true
}

fn add_definition(statement: Node<'_>, kinds: &mut BTreeSet<Kind>) -> bool {
    let fields = statement.fields;
    let found: &[Kind] = match statement.kind {
        "CreateFunctionStmt" => &[Kind::Create, Kind::CreateFunction],
        "CreateRoleStmt" => &[Kind::Create, Kind::Role],
        "AlterRoleStmt" | "AlterRoleSetStmt" => &[Kind::Alter, Kind::Role],
        "DropRoleStmt" => &[Kind::Drop, Kind::Role],
        "AlterSystemStmt" => &[Kind::Alter, Kind::AlterSystem],
        "GrantStmt" | "GrantRoleStmt" | "AlterDefaultPrivilegesStmt" => &[Kind::Grant],
        "ViewStmt" | "IndexStmt" | "RuleStmt" | "DefineStmt" | "CompositeTypeStmt" | "CreatedbStmt" => &[Kind::Create],
        "RenameStmt" => &[Kind::Alter],
        "DropdbStmt" => &[Kind::Drop],
        "CommentStmt" | "SecLabelStmt" | "ReassignOwnedStmt" | "ImportForeignSchemaStmt" => &[],
        kind if kind.starts_with("Create") => &[Kind::Create],
        kind if kind.starts_with("Alter") => &[Kind::Alter],
        kind if kind.starts_with("Drop") => &[Kind::Drop],
        _ => return false,
    };
    kinds.insert(Kind::Ddl);
    kinds.extend(found);
    if found.contains(&Kind::Create) && makes_temporary(fields) {
        kinds.insert(Kind::CreateTemporary);
    }
    true
}

/// The name that the statement creates is a RangeVar in one of these fields.
fn makes_temporary(fields: Fields<'_>) -> bool {
    let into = fields.bare("into").and_then(|into| into.bare("rel"));
    ["relation", "view", "sequence"]
        .iter()
        .filter_map(|field| fields.bare(field))
        .chain(into)
        .filter_map(Relation::of_fields)
        .any(|relation| relation.temporary || relation.schema == Some("pg_temp"))
}

/// Whether EXPLAIN runs the statement; the last ANALYZE counts, and one that nobody understands counts as yes.
fn analyzes(fields: Fields<'_>) -> bool {
    let options = fields.nodes("options").filter(|option| option.fields.text("defname") == "analyze");
    options.last().is_some_and(|option| boolean_option(option.fields).unwrap_or(true))
}

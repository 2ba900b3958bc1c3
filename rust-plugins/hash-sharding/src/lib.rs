//! Pooler plugin that finds the shard of a statement by PostgreSQL's own hash partitioning.

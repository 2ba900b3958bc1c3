//! Pooler plugin that sends reads to replicas and writes to the primary.

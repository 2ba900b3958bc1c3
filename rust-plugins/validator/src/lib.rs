//! Pooler plugin that refuses statements by configurable rules.

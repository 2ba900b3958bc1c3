//! The attribute macros of `pooler-plugin`; use them through that crate.

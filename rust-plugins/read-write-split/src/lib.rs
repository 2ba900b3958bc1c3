//! Pooler plugin that sends reads to replicas and writes to the primary.

mod access;
#[cfg(test)]
mod access_tests;
mod config;
mod names;

//! Pooler plugin that sends reads to replicas and everything that can write to the primary.
//!
//! It decides the role and leaves the shard open. What it is not sure of goes to the primary; what it takes for a read and
//! is none (a view over a function that writes) is refused by the replica, never lost.

#![deny(unsafe_code)]

mod access;
#[cfg(test)]
mod access_tests;
mod config;
mod names;
mod plugin;
#[cfg(test)]
mod plugin_tests;

pub use plugin::ReadWriteSplit;

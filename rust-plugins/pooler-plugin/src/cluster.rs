//! Where a statement may go: the cluster of the session's database, its shards and hosts.

use crate::frame::{Record, first_size};
use crate::route::Role;
use crate::sys;
use std::borrow::Cow;
use std::mem::offset_of;

/// The cluster that the session's database lies on.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    record: Record<'a>,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(record: Record<'a>) -> Self {
        Cluster { record }
    }

    /// The cluster's name in the configuration.
    pub fn name(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.record.bytes(offset_of!(sys::Cluster, name)).unwrap_or_default())
    }

    /// How many shards there are: a route's shard is below it. 0 only when the host named no cluster.
    pub fn shards(&self) -> u32 {
        self.record.u32(offset_of!(sys::Cluster, shards))
    }

    /// Changes whenever anything about the cluster does: a key for what you derive from it.
    pub fn generation(&self) -> u64 {
        self.record.u64(offset_of!(sys::Cluster, generation))
    }

    /// Every host of every shard.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = ClusterHost<'a>> + use<'a> {
        self.record
            .records(offset_of!(sys::Cluster, hosts), first_size::<sys::Host>())
            .iter()
            .map(|record| ClusterHost { record })
    }
}

/// One PostgreSQL server of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct ClusterHost<'a> {
    record: Record<'a>,
}

impl<'a> ClusterHost<'a> {
    /// The shard that it holds, 0-based.
    pub fn shard(&self) -> u32 {
        self.record.u32(offset_of!(sys::Host, shard))
    }

    /// `Role::Write` for a primary, `Role::Read` for a replica.
    pub fn role(&self) -> Role {
        Role::from_number(self.record.u32(offset_of!(sys::Host, role)))
    }

    /// Whether it was reachable when last looked at.
    pub fn up(&self) -> bool {
        self.record.u32(offset_of!(sys::Host, flags)) & sys::HOST_UP != 0
    }

    /// How far a replica is behind, `None` when that is not known.
    pub fn lag_ms(&self) -> Option<u32> {
        match self.record.u32(offset_of!(sys::Host, lag_ms)) {
            sys::NEVER => None,
            ms => Some(ms),
        }
    }

    /// `host:port`.
    pub fn address(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.record.bytes(offset_of!(sys::Host, address)).unwrap_or_default())
    }
}

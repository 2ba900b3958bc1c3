//! Where a statement shall go: a role, a shard, both, or neither. Pure values.

use crate::sys;

/// What kind of server a statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Not decided: a later plugin may, else the primary.
    #[default]
    Open,
    /// The primary.
    Write,
    /// A replica, or the primary where there is none.
    Read,
}

impl Role {
    /// The number that the contract gives this role.
    pub const fn number(self) -> u32 {
        match self {
            Role::Open => sys::ROLE_OPEN,
            Role::Write => sys::ROLE_WRITE,
            Role::Read => sys::ROLE_READ,
        }
    }

    /// The role of a number; what this version does not know is `Open`.
    pub const fn from_number(number: u32) -> Self {
        match number {
            sys::ROLE_WRITE => Role::Write,
            sys::ROLE_READ => Role::Read,
            _ => Role::Open,
        }
    }
}

/// Which shard a statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shard {
    /// Not decided: a later plugin may, else what the configuration says.
    #[default]
    Open,
    /// This one, 0-based; below [`Cluster::shards`](crate::Cluster::shards).
    Number(u32),
    /// All of them.
    All,
}

impl Shard {
    /// The number that the contract gives this shard; `None` for a number that means something else.
    pub const fn number(self) -> Option<u32> {
        match self {
            Shard::Open => Some(sys::SHARD_OPEN),
            Shard::All => Some(sys::SHARD_ALL),
            Shard::Number(sys::SHARD_OPEN | sys::SHARD_ALL) => None,
            Shard::Number(number) => Some(number),
        }
    }

    /// The shard of a number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            sys::SHARD_OPEN => Shard::Open,
            sys::SHARD_ALL => Shard::All,
            number => Shard::Number(number),
        }
    }
}

/// A role and a shard, each of which may stay open for a later plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Route {
    role: Role,
    shard: Shard,
}

impl Route {
    /// Any combination of the two.
    pub const fn new(role: Role, shard: Shard) -> Self {
        Route { role, shard }
    }

    /// A replica of this shard.
    pub const fn read(shard: u32) -> Self {
        Route::new(Role::Read, Shard::Number(shard))
    }

    /// The primary of this shard.
    pub const fn write(shard: u32) -> Self {
        Route::new(Role::Write, Shard::Number(shard))
    }

    /// A replica; the shard stays open.
    pub const fn read_any() -> Self {
        Route::new(Role::Read, Shard::Open)
    }

    /// A primary; the shard stays open.
    pub const fn write_any() -> Self {
        Route::new(Role::Write, Shard::Open)
    }

    /// A replica of every shard.
    pub const fn read_all() -> Self {
        Route::new(Role::Read, Shard::All)
    }

    /// The primary of every shard.
    pub const fn write_all() -> Self {
        Route::new(Role::Write, Shard::All)
    }

    /// This role; the shard stays open.
    pub const fn only_role(role: Role) -> Self {
        Route::new(role, Shard::Open)
    }

    /// This shard; the role stays open.
    pub const fn only_shard(shard: u32) -> Self {
        Route::new(Role::Open, Shard::Number(shard))
    }

    /// Every shard; the role stays open.
    pub const fn all_shards() -> Self {
        Route::new(Role::Open, Shard::All)
    }

    /// The role.
    pub const fn role(self) -> Role {
        self.role
    }

    /// The shard.
    pub const fn shard(self) -> Shard {
        self.shard
    }
}

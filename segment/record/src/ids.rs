//! The numbers that name places in the log, each with a type of its own.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// One totally ordered log among those that share a disk log.
    ShardId(u32)
}
number! {
    /// The number of a frame in a disk log, over all shards and segments.
    ///
    /// Starts at 1 and grows by one per frame; 0 stands for "none".
    Lsn(u64)
}
number! {
    /// Raft's term; 0 before the first election.
    Term(u64)
}
number! {
    /// A node; 0 stands for "none".
    NodeId(u64)
}
number! {
    /// The name of one life of a segment file. A recycled file gets a new one.
    ///
    /// The checksums of two ids are sure to differ where the ids differ by
    /// less than 2^32, so ids are to be counted up, not drawn.
    SegmentId(u64)
}
number! {
    /// The place of a record in its shard: `index << 16 | slot`.
    ///
    /// Increases from record to record; gaps are normal. Indexes start at 1,
    /// so every offset of a record is above [`Offset::ZERO`].
    Offset(u64)
}

impl Lsn {
    /// The number of the next frame.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Offset {
    /// Before every record.
    pub const ZERO: Self = Self(0);
    /// After every record.
    pub const MAX: Self = Self(u64::MAX);
    /// Bits of an offset that hold the slot.
    pub const SLOT_BITS: u32 = 16;
    /// The highest Raft index that an offset can hold.
    pub const INDEX_MAX: u64 = u64::MAX >> Self::SLOT_BITS;

    /// The offset of a record by its batch's Raft index and its slot there.
    ///
    /// # Panics
    /// When `index` is above [`Offset::INDEX_MAX`] (2^48 − 1 batches).
    #[must_use]
    pub const fn new(index: u64, slot: u16) -> Self {
        assert!(
            index <= Self::INDEX_MAX,
            "a shard has at most 2^48 - 1 batches"
        );
        Self(index << Self::SLOT_BITS | slot as u64)
    }

    /// The Raft index of the batch.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 >> Self::SLOT_BITS
    }

    /// The record's place in its batch.
    #[must_use]
    pub const fn slot(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The smallest offset above this one; [`Offset::MAX`] stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

//! One offset per shard: where a reader stands in every log.

use robustmq_record::{Offset, ShardId};

/// Offsets by shard; a shard never named stands at offset zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    offsets: Vec<Offset>,
}

impl Positions {
    /// The position in one shard.
    pub(crate) fn get(&self, shard: ShardId) -> Offset {
        self.offsets
            .get(shard.0 as usize)
            .copied()
            .unwrap_or(Offset(0))
    }

    /// Puts the position of one shard.
    pub(crate) fn set(&mut self, shard: ShardId, offset: Offset) {
        let index = shard.0 as usize;
        if index >= self.offsets.len() {
            self.offsets.resize(index + 1, Offset(0));
        }
        self.offsets[index] = offset;
    }

    /// Moves one shard's position back to `offset` if it is beyond it.
    pub(crate) fn lower(&mut self, shard: ShardId, offset: Offset) {
        if offset < self.get(shard) {
            self.set(shard, offset);
        }
    }

    /// Moves one shard's position on to `offset` if it is before it.
    pub(crate) fn raise(&mut self, shard: ShardId, offset: Offset) {
        if offset > self.get(shard) {
            self.set(shard, offset);
        }
    }

    /// All shards with their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ShardId, Offset)> + '_ {
        self.offsets
            .iter()
            .enumerate()
            .map(|(shard, offset)| (ShardId(shard as u32), *offset))
    }
}

impl FromIterator<(ShardId, Offset)> for Positions {
    fn from_iter<T: IntoIterator<Item = (ShardId, Offset)>>(entries: T) -> Self {
        let mut positions = Self::default();
        for (shard, offset) in entries {
            positions.set(shard, offset);
        }
        positions
    }
}

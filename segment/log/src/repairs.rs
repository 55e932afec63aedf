//! Batches that were damaged here and came back from another node.
//!
//! Each lies in a file of its own beside the segments, as a frame. A damaged
//! segment is not written to: where its frames begin may be just what is
//! damaged, and its file may go into other hands.
//!
//! **Invariants**
//! 1. What came back is served only after its frame was verified again.
//! 2. Nothing is asked for that the disk still has.
//!
//! **Not here**: whom to ask ([`Repairer`]).

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use robustmq_record::{
    Batch, BodyEncoder, FrameFields, HEADER_LEN, Lsn, SegmentId, ShardId, encode_frame,
    parse_header, read_batch,
};

use crate::file_names;
use crate::state::{LogCounters, LogState};

/// What seeds the checksums of these frames: no segment has this number.
const SEED: SegmentId = SegmentId(u64::MAX);

/// Gets a batch from where it is not damaged.
pub trait Repairer: Send + Sync {
    /// The committed batch of a shard at an index; `None` if nobody has it or
    /// can be asked. Blocks, for some seconds at most.
    fn fetch(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>>;
}

/// What came back, and who is asked for more.
#[derive(Default)]
pub(crate) struct Repairs {
    stored: RwLock<BTreeSet<(ShardId, u64)>>,
    repairer: RwLock<Option<Arc<dyn Repairer>>>,
    /// Held while somebody is asked: many readers may meet the same damage.
    fetching: Mutex<()>,
}

impl Repairs {
    /// Knows the batches whose files are there.
    pub(crate) fn new(stored: BTreeSet<(ShardId, u64)>) -> Self {
        Self {
            stored: RwLock::new(stored),
            ..Self::default()
        }
    }

    pub(crate) fn connect(&self, repairer: Arc<dyn Repairer>) {
        *self.repairer.write() = Some(repairer);
    }
}

/// A batch that the log should hold and does not: from an earlier repair, or
/// from somebody else.
pub(crate) fn repaired(state: &LogState, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
    if let Some(batch) = stored(state, shard, index) {
        return Some(batch);
    }
    let repairs = &state.repairs;
    let repairer = repairs.repairer.read().clone()?;
    let _fetching = repairs.fetching.lock();
    if let Some(batch) = stored(state, shard, index) {
        return Some(batch);
    }
    let batch = repairer.fetch(shard, index)?;
    if (batch.shard(), batch.index()) != (shard, index) {
        return None;
    }
    match store(state, &batch) {
        Ok(()) => {
            LogCounters::add(&state.counters.repairs, 1);
            repairs.stored.write().insert((shard, index));
            tracing::info!(
                shard = shard.0,
                index,
                "a damaged batch was repaired from another node"
            );
        }
        // It is served all the same, and asked for again the next time.
        Err(error) => {
            tracing::warn!(shard = shard.0, index, %error, "a repaired batch could not be stored");
        }
    }
    Some(batch)
}

/// A batch that was repaired before.
pub(crate) fn stored(state: &LogState, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
    if !state.repairs.stored.read().contains(&(shard, index)) {
        return None;
    }
    let read = || -> io::Result<Vec<u8>> {
        let file = state.disk.open(&file_names::repaired(shard, index))?;
        let mut frame = vec![0; file.len()? as usize];
        let read = file.read_at(0, &mut frame)?;
        frame.truncate(read);
        Ok(frame)
    };
    let frame = match read() {
        Ok(frame) => frame,
        Err(error) => {
            tracing::warn!(shard = shard.0, index, %error, "a repaired batch could not be read");
            return None;
        }
    };
    let batch = parse_header(&frame, SEED)
        .and_then(|header| read_batch(&header, &frame[HEADER_LEN..], SEED));
    match batch {
        Ok(batch) if (batch.shard(), batch.index()) == (shard, index) => Some(Arc::new(batch)),
        Ok(_) => None,
        Err(fault) => {
            tracing::warn!(shard = shard.0, index, %fault, "a repaired batch is damaged again");
            None
        }
    }
}

fn store(state: &LogState, batch: &Batch) -> io::Result<()> {
    let mut encoder = BodyEncoder::new(state.config.compression);
    let fields = FrameFields {
        leader: state.config.node_id,
        lsn: Lsn(1),
        ..FrameFields::of_batch(batch)
    };
    let mut frame = Vec::new();
    encode_frame(&fields, encoder.encode(batch.body()), SEED, &mut frame);
    let name = file_names::repaired(batch.shard(), batch.index());
    let temporary = file_names::temporary(&name);
    match state.disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let file = state.disk.create(&temporary)?;
    file.write_at(0, &frame)?;
    file.sync_data()?;
    state.disk.rename(&temporary, &name)?;
    state.disk.sync_dir()
}

/// Removes what lies before the start of its shard.
pub(crate) fn retire(state: &LogState) -> io::Result<()> {
    let is_gone = |&(shard, index): &(ShardId, u64)| index < state.position(shard).local_start;
    let stored = state.repairs.stored.read();
    let gone: Vec<_> = stored.iter().copied().filter(is_gone).collect();
    drop(stored);
    for (shard, index) in gone {
        state.disk.remove(&file_names::repaired(shard, index))?;
        state.repairs.stored.write().remove(&(shard, index));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Compaction: a batch with fewer records, whose offsets stay as they were.

use super::Batch;
use crate::builder::BatchBuilder;
use crate::record::RecordRef;

impl Batch {
    /// The batch without the records that `keep` refuses; `None` when none is
    /// left. Records keep their offsets; names that no record uses any more
    /// leave the dictionary.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(RecordRef<'_>) -> bool) -> Option<Self> {
        let mut builder = BatchBuilder::compacting();
        for record in self.records().filter(|record| keep(*record)) {
            builder.push_at(record.slot, &record.to_input());
        }
        match builder.count() {
            0 => None,
            count if count == self.count() => Some(self.clone()),
            _ => Some(builder.finish(self.shard, self.index, self.term)),
        }
    }
}

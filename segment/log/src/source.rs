//! Where batches come from and who hears that they are stored.

use std::sync::Arc;

use robustmq_record::{Batch, BatchBuilder, ShardId};

use crate::error::{AppendError, FatalLogError};

/// Called once with a batch's outcome, on the writer thread.
pub type Completion = Box<dyn FnOnce(Result<Arc<Batch>, AppendError>) + Send>;

/// A batch handed to the log.
pub struct TakenBatch {
    /// The records.
    pub builder: BatchBuilder,
    /// Who hears how it ended.
    pub completion: Completion,
}

/// Where the writer takes batches from when it is ready to write: until then
/// they grow.
pub trait BatchSource: Send + Sync + 'static {
    /// What has gathered for a shard; none if nothing has.
    fn take(&self, shard: ShardId) -> Option<TakenBatch>;
}

/// Who is told of committed batches, in log order per shard.
pub trait CommitSink: Send + Sync + 'static {
    /// A batch is durable. Blocking here holds the writer back, which is how
    /// backpressure reaches the sources. Comes before the batch's completion.
    fn committed(&self, batch: Arc<Batch>);
    /// The log has failed. Called once.
    fn failed(&self, error: FatalLogError);
}

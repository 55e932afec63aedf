//! What is damaged here is got from a node where it is not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use robustmq_log::{LogReader, Repairer};
use robustmq_record::{Batch, ShardId};
use tokio::runtime::Handle;

use crate::membership::MembershipStore;
use crate::transport::{Transport, kind};
use crate::wire;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the other nodes of a group for batches; works before the groups do.
pub struct GroupRepairer {
    /// This node.
    pub node_id: u64,
    /// Who takes part in the groups.
    pub store: Arc<dyn MembershipStore>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Where questions are asked, while threads outside of it wait.
    pub handle: Handle,
}

impl Repairer for GroupRepairer {
    fn fetch(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
        let membership = match self.store.load(shard) {
            Ok(membership) => membership?,
            Err(error) => {
                tracing::warn!(shard = shard.0, %error, "nobody can be asked for a batch that is damaged here");
                return None;
            }
        };
        let nodes = membership.membership().nodes();
        let others = nodes.filter(|(id, _)| **id != self.node_id);
        let others = others.map(|(id, node)| (*id, node.addr.clone())).collect();
        let (done, fetched) = std::sync::mpsc::channel();
        let asked = ask(Arc::clone(&self.transport), others, shard, index);
        self.handle.spawn(async move {
            // Who waited may have given up.
            let _ = done.send(asked.await);
        });
        // Nothing comes when the runtime has ended.
        fetched.recv().ok().flatten()
    }
}

/// Asks one node after the other.
async fn ask(
    transport: Arc<dyn Transport>,
    nodes: BTreeMap<u64, String>,
    shard: ShardId,
    index: u64,
) -> Option<Arc<Batch>> {
    for (node, address) in nodes {
        let body = wire::write_fetch(shard, index);
        let answer = transport
            .call(node, &address, kind::FETCH, body, TIMEOUT)
            .await;
        let fetched = answer
            .map_err(|error| error.to_string())
            .and_then(|answer| wire::read_fetched(answer).map_err(|error| error.to_string()));
        match fetched {
            Ok(batch) => return Some(Arc::new(batch)),
            Err(reason) => {
                tracing::warn!(
                    node,
                    shard = shard.0,
                    index,
                    reason,
                    "a node could not help out with a batch that is damaged here"
                );
            }
        }
    }
    None
}

/// Answers another node's question, with what this node itself has: two nodes
/// with the same damage must not ask each other for ever.
pub(crate) fn answer(log: &LogReader, shard: ShardId, body: Bytes) -> Result<Bytes, String> {
    let index = wire::read_fetch(body).map_err(|error| error.to_string())?;
    if index >= log.position(shard).commit_end {
        return Err("it is not committed here".to_owned());
    }
    let batch = log.entry(shard, index).map_err(|error| error.to_string())?;
    let batch = batch.ok_or("it is not here")?;
    Ok(wire::write_fetched(&batch))
}

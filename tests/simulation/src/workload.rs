//! Publishers: each gives numbered batches to one node after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use robustmq_log::{Clock, TakenBatch};
use robustmq_record::{BatchBuilder, BatchLimits, RecordInput, ShardId};
use robustmq_views::testing::Chance;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::Planted;
use crate::node::{Running, SHARDS, World};
use crate::oracle::payload;
use crate::run::Nodes;

/// How long a publisher waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Publisher {
    pub(crate) id: u64,
    pub(crate) chance: Chance,
}

impl Publisher {
    /// Publishes until it is told to stop.
    pub(crate) async fn run(mut self, world: World, nodes: Arc<Mutex<Nodes>>) {
        loop {
            sleep(Duration::from_millis(self.chance.below(40))).await;
            let mut outcomes = Vec::new();
            {
                let nodes = nodes.lock();
                if nodes.is_over {
                    return;
                }
                let up: Vec<&Running> = nodes.running.values().collect();
                if up.is_empty() {
                    continue;
                }
                let node = up[self.chance.below(up.len() as u64) as usize];
                let wall_ms = nodes.kept[&node.id].clock.wall_ms();
                for _ in 0..=self.chance.below(3) {
                    outcomes.push(self.publish(&world, node, wall_ms));
                }
            }
            for outcome in outcomes {
                // No answer is no answer: it may be there or not.
                drop(timeout(PATIENCE, outcome).await);
            }
        }
    }

    /// Gives a node a batch.
    pub(crate) fn publish(
        &mut self,
        world: &World,
        node: &Running,
        wall_ms: u64,
    ) -> oneshot::Receiver<bool> {
        let shard = ShardId(self.chance.below(u64::from(SHARDS)) as u32);
        let messages = 1 + self.chance.below(3) as u32;
        let number = world.oracle.sends(shard, self.id, node.run, messages);
        let chance = self.chance.clone();
        let builder = self.batch(shard, number, messages, wall_ms);
        let again =
            (world.planted == Some(Planted::ProposedTwice) && number % 50 == 49).then(|| {
                self.chance = chance;
                self.batch(shard, number, messages, wall_ms)
            });
        let (told, outcome) = oneshot::channel();
        let (oracle, is_up) = (Arc::clone(&world.oracle), Arc::clone(&node.is_up));
        let completion = move |result: Result<Arc<robustmq_record::Batch>, _>| {
            let batch = result.ok().filter(|_| is_up.load(Ordering::Relaxed));
            if let Some(batch) = &batch {
                oracle.acked(number, batch);
            }
            // The publisher may have given up.
            let _ = told.send(batch.is_some());
        };
        node.push(
            shard,
            TakenBatch {
                builder,
                term: None,
                completion: Box::new(completion),
            },
        );
        if let Some(builder) = again {
            let completion = Box::new(|_| ());
            node.push(
                shard,
                TakenBatch {
                    builder,
                    term: None,
                    completion,
                },
            );
        }
        outcome
    }

    fn batch(&mut self, shard: ShardId, number: u64, messages: u32, wall_ms: u64) -> BatchBuilder {
        let mut builder = BatchBuilder::new(BatchLimits::default());
        let client_id = format!("publisher-{}", self.id);
        for part in 0..messages {
            // A topic belongs to one shard.
            let topic = format!("t/{}/{}", shard.0, self.chance.below(12));
            let payload = payload(number, part);
            let qos = self.chance.below(3) as u8;
            let record = RecordInput {
                qos,
                retain: self.chance.once_in(3),
                namespace: "default",
                topic: &topic,
                client_id: &client_id,
                timestamp_ms: wall_ms,
                packet_id: (qos == 2).then(|| 1 + self.chance.below(60) as u16),
                payload: payload.as_bytes(),
                ..RecordInput::default()
            };
            builder.try_push(&record).expect("it is small");
        }
        builder
    }
}

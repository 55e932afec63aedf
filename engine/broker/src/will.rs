//! Publishing wills.

use robustmq_record::RecordInput;
use robustmq_views::Will;

use crate::broker::Broker;
use crate::shard_map::DEFAULT_NAMESPACE;

/// Publishes a client's will and waits until it is stored. A failure is logged:
/// there is nobody left to tell.
pub(crate) async fn publish(broker: &Broker, client_id: &str, will: &Will) {
    let shard = broker.shard_map.topic(DEFAULT_NAMESPACE, &will.topic);
    let record = RecordInput {
        kind: crate::dispatch::KIND_MESSAGE,
        qos: will.qos,
        retain: will.retain,
        namespace: DEFAULT_NAMESPACE,
        topic: &will.topic,
        client_id,
        timestamp_ms: broker.clock.wall_ms(),
        message_expiry_s: will.message_expiry_s,
        packet_id: None,
        properties: &will.properties,
        payload: &will.payload,
    };
    match broker.mailboxes.append_and_wait(shard, &record).await {
        Ok(()) => broker.counters.wills_published.add(1),
        Err(error) => tracing::warn!(client_id, %error, "a will could not be published"),
    }
}

//! Publishing wills.

use robustmq_record::RecordInput;
use robustmq_views::{Will, kind};

use crate::broker::Broker;
use crate::delayed;
use crate::shard_map::DEFAULT_NAMESPACE;

/// Publishes a client's will and waits until it is stored. A failure is logged:
/// there is nobody left to tell.
pub(crate) async fn publish(broker: &Broker, client_id: &str, will: &Will) {
    let now_ms = broker.clock.wall_ms();
    let delayed = delayed::is_delayed(&will.topic)
        .then(|| delayed::admit(broker, &will.topic, now_ms))
        .transpose();
    let delayed = match delayed {
        Ok(delayed) => delayed,
        Err(refused) => {
            broker.counters.publishes_rejected.add(1);
            tracing::warn!(
                client_id,
                topic = will.topic,
                reason = refused.text,
                "a will could not be published"
            );
            return;
        }
    };
    let body = delayed.map(|delayed| delayed::body(delayed, &will.payload));
    let topic = delayed.map_or(&*will.topic, |delayed| delayed.topic);
    let shard = broker.shard_map.topic(DEFAULT_NAMESPACE, topic);
    let record = RecordInput {
        kind: match delayed {
            Some(_) => kind::DELAYED_STORED,
            None => crate::dispatch::KIND_MESSAGE,
        },
        qos: will.qos,
        retain: will.retain,
        namespace: DEFAULT_NAMESPACE,
        topic: match delayed {
            Some(_) => "",
            None => topic,
        },
        client_id,
        timestamp_ms: now_ms,
        message_expiry_s: will.message_expiry_s,
        packet_id: None,
        properties: &will.properties,
        payload: body.as_deref().unwrap_or(&will.payload),
    };
    match broker.mailboxes.append_and_wait(shard, &record).await {
        Ok(()) => broker.counters.wills_published.add(1),
        Err(error) => tracing::warn!(client_id, %error, "a will could not be published"),
    }
}

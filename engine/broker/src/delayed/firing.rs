//! Publishing what is due.
//!
//! The node that leads a message's shard does it, from views that show all that
//! was stored before it led, and only for the term in which it leads: a batch
//! that was not stored when the lead goes to another node is given up, and the
//! other node finds the message waiting.

use std::sync::Arc;
use std::time::Duration;

use robustmq_log::AppendError;
use robustmq_record::RecordInput;
use robustmq_views::{DelayedMessage, DelayedPage, StateBody, ViewError};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::dispatch::KIND_MESSAGE;
use crate::shard_map::DEFAULT_NAMESPACE;

/// How often due messages are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Messages published at a time.
const COUNT_MAX: usize = 512;

/// Bytes of their payloads.
const BYTES_MAX: usize = 4 << 20;

/// Publishes what is due until told to stop.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        if broker.views.delayed_count() > 0 {
            fire_due(&broker, &stop).await;
        }
    }
}

/// Publishes everything that is due, some at a time. What could not be stored
/// waits for the next round.
async fn fire_due(broker: &Arc<Broker>, stop: &watch::Receiver<bool>) {
    let mut last: Option<DelayedMessage> = None;
    while !*stop.borrow() {
        // A message is cancelled before it is looked at here, or not any more.
        let _ending = broker.delayed_ending.lock().await;
        let due = match due(broker, last).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "delayed messages could not be read");
                return;
            }
        };
        if due.is_empty() {
            return;
        }
        fire(broker, &due).await;
        last = due.into_iter().last();
    }
}

async fn due(
    broker: &Arc<Broker>,
    after: Option<DelayedMessage>,
) -> Result<Vec<DelayedMessage>, ViewError> {
    let views = Arc::clone(&broker.views);
    let due_ms = broker.clock.wall_ms();
    let read = tokio::task::spawn_blocking(move || {
        views.delayed_messages(&DelayedPage {
            due_ms,
            after: after.as_ref(),
            skip: 0,
            count_max: COUNT_MAX,
            bytes_max: BYTES_MAX,
        })
    });
    match read.await {
        Ok(read) => read,
        // A panic has been logged with its place.
        Err(_) => Ok(Vec::new()),
    }
}

/// Appends messages in the order in which they are due, each in one batch with
/// the record that ends its waiting, and waits until all are stored.
async fn fire(broker: &Broker, due: &[DelayedMessage]) {
    let mut stored = Vec::with_capacity(due.len());
    for message in due {
        let Some(term) = broker.term_led(message.shard) else {
            continue;
        };
        let now_ms = broker.clock.wall_ms();
        let ended = StateBody::DelayedEnded {
            offset: message.offset,
            published: true,
        };
        let payload = ended.encode();
        let records = [
            RecordInput {
                kind: KIND_MESSAGE,
                qos: message.qos,
                retain: message.retain,
                namespace: DEFAULT_NAMESPACE,
                topic: &message.topic,
                client_id: &message.publisher,
                timestamp_ms: now_ms,
                message_expiry_s: message.message_expiry_s,
                packet_id: None,
                properties: &message.properties,
                payload: &message.payload,
            },
            RecordInput {
                kind: ended.kind(),
                namespace: DEFAULT_NAMESPACE,
                timestamp_ms: now_ms,
                payload: &payload,
                ..RecordInput::default()
            },
        ];
        let appended = broker
            .mailboxes
            .append_together(message.shard, &records, term);
        stored.push(appended.await);
    }
    let mut failed = 0u64;
    for stored in stored {
        match stored.await {
            Ok(Ok(())) => broker.counters.messages_delayed_published.add(1),
            // Whoever leads now does it.
            Ok(Err(AppendError::NotLeader)) => {}
            Ok(Err(_)) | Err(_) => failed += 1,
        }
    }
    if failed > 0 {
        // They wait in the views and are tried again.
        tracing::warn!(failed, "delayed messages that are due could not be stored");
    }
}

//! What happens when its time has come: delayed wills and the end of offline
//! sessions.
//!
//! Timers are a view of the log; firing one appends records, and their being
//! applied removes it. A crash between a will's publish and the record that
//! clears it publishes the will again: at least once, like every publish whose
//! acknowledgement is lost.

use std::sync::Arc;
use std::time::Duration;

use robustmq_views::{SessionState, StateBody, Timer, TimerKind};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::link::{Link, LinkLimits};
use crate::shard_map::DEFAULT_NAMESPACE;
use crate::will;

/// How often due timers are looked for.
const TICK: Duration = Duration::from_millis(250);

/// Timers handled at a time.
const DUE_MAX: usize = 256;

/// Fires timers until told to stop.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        let due = match broker.views.due(broker.clock.wall_ms(), DUE_MAX) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the timers could not be read");
                continue;
            }
        };
        for timer in due {
            let shard = broker
                .shard_map
                .session(DEFAULT_NAMESPACE, &timer.client_id);
            // Of several nodes one decides.
            if broker.leads(shard) {
                fire(&broker, &timer).await;
            }
        }
    }
}

async fn fire(broker: &Arc<Broker>, timer: &Timer) {
    let limits = LinkLimits {
        queue_messages_max: 0,
        queue_bytes_max: 0,
    };
    let link = Arc::new(Link::new(&timer.client_id, limits));
    // Whoever owns the session now decides for it: its opening has cancelled
    // the timer or will when it is applied.
    let Some(_ownership) = broker.registry.try_claim(&link) else {
        return;
    };
    let Ok(Some(state)) = broker.views.session(&timer.client_id) else {
        return;
    };
    if state.epoch != timer.epoch || state.connected {
        return;
    }
    match timer.kind {
        TimerKind::Will => {
            publish_will(broker, &state).await;
            let body = StateBody::WillFired { epoch: timer.epoch };
            append(broker, &timer.client_id, &body).await;
        }
        TimerKind::Expiry => {
            // The end of the session is the latest moment for its will [MQTT-3.1.2-8].
            publish_will(broker, &state).await;
            let body = StateBody::SessionExpired { epoch: timer.epoch };
            append(broker, &timer.client_id, &body).await;
            broker.dispatch.forget(timer.client_id.clone());
            broker.cursors.groups.session_ended(broker, &state);
            broker.counters.sessions_expired.add(1);
            tracing::info!(client_id = timer.client_id, "session expired");
        }
    }
}

/// Publishes the will a session still has, if any.
pub(crate) async fn publish_will(broker: &Broker, state: &SessionState) {
    if let Some(pending) = &state.will {
        will::publish(broker, &state.client_id, pending).await;
    }
}

async fn append(broker: &Broker, client_id: &str, body: &StateBody) {
    if let Err(error) = broker.append_state(client_id, body).await {
        // The timer stays in the view and is tried again.
        tracing::warn!(client_id, %error, "a timer could not be recorded as done");
    }
}

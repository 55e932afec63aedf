//! The end of a connection: what the client is told, what is stored, and
//! whether its will is published.
//!
//! Order matters: the session is given back (and another connection may take
//! it) only after its last state is stored and applied.

use std::sync::Arc;
use std::time::Duration;

use robustmq_protocol::{ProtocolVersion, ReasonCode, codec};
use robustmq_views::StateBody;

use super::io::Io;
use super::session::{Ending, Session};
use crate::cursors::Cursor;
use crate::net::Transport;
use crate::will;

/// How long a client is given to take its last packet.
const FAREWELL: Duration = Duration::from_secs(1);

impl Session {
    /// Ends the session's connection and stores what outlives it.
    pub(super) async fn close<S: Transport>(mut self: Box<Self>, mut io: Io<S>) {
        let ending = self.ending.clone().unwrap_or(Ending::Lost);
        self.log_ending(&ending);
        if let (Ending::Server { reason, text }, ProtocolVersion::V5) = (&ending, self.version) {
            let text = self.problem_info.then_some(*text);
            self.write_disconnect(&mut io.output, *reason, text);
        }
        if let Ending::Client {
            expiry_s: Some(expiry_s),
            ..
        } = ending
        {
            self.tenure.expiry_s = expiry_s;
        }
        // What they gave is others' from now on.
        let returned = self.cursors.shared_in_flight() as u64;
        self.broker.counters.messages_shared_returned.add(returned);
        let cursors = self.cursors.leave();
        tokio::join!(io.close(FAREWELL), self.store_end(&ending, &cursors));
        // A group is kept for the sessions that last.
        self.settle_groups(&cursors).await;
        if !self.is_persistent() {
            self.broker.registry.exclusive.release_all(self.client_id());
        }
    }

    /// Without the text where that makes it too large for the client [MQTT-3.14.2-3].
    fn write_disconnect(&self, output: &mut Vec<u8>, reason: ReasonCode, text: Option<&str>) {
        let start = output.len();
        codec::encode_disconnect(output, reason, text);
        let fits = |length| length <= self.sender.limits.packet_size_max as usize;
        if !fits(output.len() - start) {
            output.truncate(start);
            codec::encode_disconnect(output, reason, None);
        }
        if !fits(output.len() - start) {
            output.truncate(start);
        }
    }

    async fn store_end(&self, ending: &Ending, cursors: &[Arc<Cursor>]) {
        for cursor in cursors {
            cursor.store(&self.broker).await;
        }
        // Taken before detaching: what is dispatched from here on is read
        // again from the log.
        let cursor = self.is_persistent().then(|| self.cursor_bodies());
        if let Some(subscriber) = self.subscriber {
            self.broker
                .dispatch
                .detach(subscriber, self.is_persistent())
                .await;
        }
        // One moment for both: a will that is due when the session ends must not
        // be published before it has ended.
        let now_ms = self.broker.clock.wall_ms();
        let will_wanted = !matches!(
            ending,
            Ending::Client {
                with_will: false,
                ..
            }
        );
        let mut fires_at_ms = None;
        if let (true, Some(pending)) = (will_wanted, &self.will) {
            let delay_s = pending.delay_s.min(self.tenure.expiry_s);
            if delay_s == 0 {
                will::publish(&self.broker, self.client_id(), pending).await;
            } else {
                let delay_ms = u64::from(delay_s) * 1000;
                fires_at_ms = Some(now_ms + delay_ms);
            }
        }
        if !self.tenure.logged {
            return;
        }
        for body in cursor.iter().flatten() {
            self.store_last(body).await;
        }
        self.store_last(&StateBody::SessionClosed {
            epoch: self.tenure.epoch,
            at_ms: now_ms,
            expiry_s: self.tenure.expiry_s,
            will: fires_at_ms,
        })
        .await;
    }

    async fn store_last(&self, body: &StateBody) {
        if let Err(error) = self.broker.append_state(self.client_id(), body).await {
            // The state stored before stands: QoS 1 messages may repeat.
            tracing::warn!(client_id = self.client_id(), %error, "a session's state could not be stored");
        }
    }

    fn log_ending(&self, ending: &Ending) {
        let client_id = self.client_id();
        match ending {
            Ending::Client { .. } => tracing::debug!(client_id, "client disconnected"),
            Ending::Lost => tracing::debug!(client_id, "connection lost"),
            Ending::Server { reason, text } => {
                if is_protocol_fault(*reason) {
                    self.broker.counters.protocol_errors.add(1);
                }
                tracing::info!(
                    client_id,
                    reason = reason.name(),
                    text,
                    "connection ended by the broker"
                );
            }
        }
    }
}

fn is_protocol_fault(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::ReceiveMaximumExceeded
            | ReasonCode::TopicAliasInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::TopicNameInvalid
    )
}

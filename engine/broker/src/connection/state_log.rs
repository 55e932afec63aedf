//! What a connected session writes about itself into the log: identifiers of
//! QoS 2 exchanges before the packets that depend on them, its cursor lazily.
//!
//! **Not here**: opening and closing records (`handshake`, `closing`), which
//! are waited for.

use robustmq_protocol::session::outbound::{self, InflightRecord};
use robustmq_record::{Offset, RecordInput, ShardId};
use robustmq_views::{AssignedEntry, InflightStage, InflightState, StateBody};

use super::deliver::HeldPublish;
use super::session::Session;
use crate::link::Ticket;
use crate::mailbox::MailboxFull;
use crate::shard_map::DEFAULT_NAMESPACE;

impl Session {
    /// Writes the state that packets wait for. What does not fit stays and is
    /// tried again when the mailbox has been taken.
    pub(super) fn flush_state(&mut self) {
        if !self.sender.unassigned.is_empty() {
            // What did not fit is tried again at the next occasion.
            let _ = self.flush_assigned();
        }
        if !self.unreceived.is_empty() && self.flush_received().is_ok() {
            self.group += 1;
        }
        while let Some((packet_id, shard, answered)) = self.unreleased.front().copied() {
            let body = StateBody::InboundReleased {
                packet_id: packet_id.get(),
            };
            let ticket = answered.then_some(Ticket::Release(packet_id));
            if self.append_state(shard, &body, ticket).is_err() {
                break;
            }
            self.unreleased.pop_front();
        }
    }

    fn flush_assigned(&mut self) -> Result<(), MailboxFull> {
        // Before an identifier is given out again, its last exchange must be
        // known to be over: these records are folded in this order.
        self.flush_completed()?;
        // What replays send says nothing about how far the session's own cursor
        // has come, so it is told apart. The last record of the group is waited
        // for; they are written in this order.
        let (replayed, own) = std::mem::take(&mut self.sender.unassigned)
            .into_iter()
            .partition::<Vec<_>, _>(|held| held.dress.replayed);
        let bodies = [
            StateBody::OutboundAssigned {
                entries: entries(&own),
            },
            StateBody::ReplayAssigned {
                entries: entries(&replayed),
            },
        ];
        let mut stored = Ok(());
        for (body, held) in bodies.iter().zip([own, replayed]) {
            if held.is_empty() {
                continue;
            }
            let ticket = Some(Ticket::Assigned(self.group));
            stored = stored.and_then(|()| self.append_state(self.state_shard(), body, ticket));
            if stored.is_ok() {
                self.sender.assigning.push_back((self.group, held));
                self.group += 1;
            } else {
                // Tried again with what comes meanwhile.
                self.sender.unassigned.extend(held);
            }
        }
        stored
    }

    fn flush_completed(&mut self) -> Result<(), MailboxFull> {
        if self.completed.is_empty() {
            return Ok(());
        }
        let packet_ids = self.completed.iter().map(|id| id.get()).collect();
        self.append_state(
            self.state_shard(),
            &StateBody::OutboundCompleted { packet_ids },
            None,
        )?;
        self.completed.clear();
        Ok(())
    }

    fn flush_received(&mut self) -> Result<(), MailboxFull> {
        let packet_ids = self.unreceived.iter().map(|id| id.get()).collect();
        let body = StateBody::OutboundReceived { packet_ids };
        self.append_state(
            self.state_shard(),
            &body,
            Some(Ticket::Received(self.group)),
        )?;
        let ids = std::mem::take(&mut self.unreceived);
        self.receiving.push_back((self.group, ids));
        Ok(())
    }

    /// Stores where the session stands, if that has changed. Not waited for: a
    /// crash before it is durable repeats QoS 1 messages, it loses none.
    pub(super) fn store_cursor(&mut self) {
        if !self.cursor_dirty {
            return;
        }
        self.store_cursors();
        if !self.is_persistent() {
            self.cursor_dirty = false;
            return;
        }
        let stored = self
            .flush_completed()
            .and_then(|()| self.append_state(self.state_shard(), &self.cursor_body(), None))
            .and_then(|()| match self.replay_body() {
                Some(body) => self.append_state(self.state_shard(), &body, None),
                None => Ok(()),
            });
        if stored.is_ok() {
            self.cursor_dirty = false;
        }
    }

    /// The records that say where the session stands.
    pub(super) fn cursor_bodies(&self) -> Vec<StateBody> {
        let mut bodies = Vec::with_capacity(2);
        if !self.completed.is_empty() {
            let packet_ids = self.completed.iter().map(|id| id.get()).collect();
            bodies.push(StateBody::OutboundCompleted { packet_ids });
        }
        bodies.push(self.cursor_body());
        bodies.extend(self.replay_body());
        bodies
    }

    fn cursor_body(&self) -> StateBody {
        StateBody::CursorStored {
            epoch: self.tenure.epoch,
            cursors: self.positions().iter().collect(),
            inflight: self
                .sender
                .outbound
                .snapshot()
                .iter()
                // What cursors gave is theirs again when the connection ends.
                .filter(|record| !self.cursors.holds(record.packet_id))
                .map(inflight_state)
                .collect(),
        }
    }

    fn state_shard(&self) -> ShardId {
        self.broker
            .shard_map
            .session(DEFAULT_NAMESPACE, self.client_id())
    }

    fn append_state(
        &self,
        shard: ShardId,
        body: &StateBody,
        ticket: Option<Ticket>,
    ) -> Result<(), MailboxFull> {
        let payload = body.encode();
        let record = RecordInput {
            kind: body.kind(),
            qos: 0,
            retain: false,
            namespace: DEFAULT_NAMESPACE,
            topic: "",
            client_id: self.client_id(),
            timestamp_ms: self.broker.clock.wall_ms(),
            message_expiry_s: None,
            packet_id: None,
            properties: &[],
            payload: &payload,
        };
        self.broker
            .mailboxes
            .appender(&self.link)
            .push(shard, &record, ticket)
    }
}

fn entries(held: &[HeldPublish]) -> Vec<AssignedEntry> {
    let entry = |held: &HeldPublish| {
        let token = held.source.token();
        (
            held.packet_id.get(),
            ShardId(token.shard),
            Offset(token.offset),
        )
    };
    held.iter().map(entry).collect()
}

fn inflight_state(record: &InflightRecord) -> InflightState {
    InflightState {
        packet_id: record.packet_id.get(),
        shard: ShardId(record.token.shard),
        offset: Offset(record.token.offset),
        qos: record.qos as u8,
        state: match record.state {
            outbound::InflightState::Sent => InflightStage::Sent,
            outbound::InflightState::AssignedQos2 => InflightStage::Assigned,
            outbound::InflightState::Received => InflightStage::Received,
        },
    }
}

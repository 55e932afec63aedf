//! What dispatch does when it comes to an opening by another node.

use robustmq_protocol::ReasonCode;
use robustmq_record::Batch;
use robustmq_views::kind::SESSION_OPENED;
use robustmq_views::{StateBody, owner_of};

use super::Worker;
use crate::cursors::cursor_name;
use crate::link::Order;

impl Worker {
    /// Connections end whose sessions another node has opened after them.
    pub(super) fn end_what_others_own(&self, batch: &Batch) {
        let openings = batch.records();
        for record in openings.filter(|record| record.kind() == SESSION_OPENED) {
            let Ok(StateBody::SessionOpened { epoch, .. }) = StateBody::decode(&record) else {
                continue;
            };
            if let Some(name) = cursor_name(record.client_id()) {
                if owner_of(epoch) != self.node_id {
                    self.cursors.lost(name);
                }
                continue;
            }
            let Some(link) = self.registry.owner(record.client_id()) else {
                continue;
            };
            if owner_of(epoch) == self.node_id {
                link.note_opened();
            } else if link.is_opened() {
                link.order(Order::Disconnect(ReasonCode::SessionTakenOver));
            }
        }
    }
}

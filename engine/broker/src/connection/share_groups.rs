//! The session's side of shared subscriptions: joining a group, and leaving it
//! for good.
//!
//! What a group gives is delivered as from a named cursor ([`super::cursors`]),
//! but looks like any message of a subscription.
//!
//! **Not here**: the groups themselves (`crate::cursors::groups`).

use std::sync::Arc;

use robustmq_protocol::ReasonCode;
use robustmq_protocol::topic::SharedFilter;

use super::session::Session;
use crate::cursors::{Cursor, CursorRefusal, groups};
use crate::subscription::SubscriptionOptions;

impl Session {
    /// Becomes a member of a group, without telling anybody.
    pub(super) async fn join_group(
        &mut self,
        name: &str,
        options: SubscriptionOptions,
    ) -> Result<(), (ReasonCode, String)> {
        if !self.broker.config.shared_subscription.enable {
            let text = "shared subscriptions are switched off".to_owned();
            return Err((ReasonCode::SharedSubscriptionsNotSupported, text));
        }
        let shared = SharedFilter::parse(name)
            .map_err(|error| (ReasonCode::TopicFilterInvalid, error.to_string()))?;
        self.check_cursor(&shared.filter)?;
        let refused = |error: CursorRefusal| (error.reason(), error.to_string());
        let is_lasting = self.is_persistent();
        let joined = self
            .broker
            .cursors
            .groups
            .join(&self.broker, &shared, &self.link, is_lasting);
        let membership = joined.await.map_err(refused)?;
        // Whoever publishes may be a member [MQTT-3.8.3-4].
        let options = SubscriptionOptions {
            no_local: false,
            ..options
        };
        self.add_use(name, membership, options, Some(shared.group.to_owned()));
        Ok(())
    }

    /// The session has left these for good, or its connection ends: groups
    /// without connected members are put to rest.
    pub(super) async fn settle_groups(&self, cursors: &[Arc<Cursor>]) {
        for cursor in cursors {
            if groups::is_group(cursor.name()) {
                self.broker
                    .cursors
                    .groups
                    .settle(&self.broker, cursor)
                    .await;
            }
        }
    }
}

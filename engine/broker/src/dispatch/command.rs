//! What connections ask of dispatch. Every command takes effect between two
//! batches, and its answer says between which.

use std::sync::Arc;

use robustmq_views::ViewSnapshot;
use tokio::sync::oneshot;

use super::interest::SubscriberId;
use crate::link::Link;
use crate::positions::Positions;
use crate::subscription::SubscriptionOptions;

/// A session that dispatch now delivers to.
#[derive(Debug)]
pub(crate) struct Attached {
    /// Its number.
    pub(crate) subscriber: SubscriberId,
    /// From here on dispatch delivers; what lies before, the session reads.
    pub(crate) live_from: Positions,
}

/// Subscriptions that now take effect.
pub(crate) struct Subscribed {
    /// From here on the new subscriptions are delivered.
    pub(crate) live_from: Positions,
    /// The views as of just before that, if asked for.
    pub(crate) snapshot: Option<ViewSnapshot>,
}

/// A filter with its options.
pub(crate) type FilterOptions = (String, SubscriptionOptions);

pub(super) enum Command {
    Attach {
        link: Arc<Link>,
        subscriptions: Vec<FilterOptions>,
        reply: oneshot::Sender<Attached>,
    },
    Subscribe {
        subscriber: SubscriberId,
        subscriptions: Vec<FilterOptions>,
        with_snapshot: bool,
        reply: oneshot::Sender<Subscribed>,
    },
    Unsubscribe {
        subscriber: SubscriberId,
        filters: Vec<String>,
        reply: oneshot::Sender<()>,
    },
    Watch {
        subscriber: SubscriberId,
        filters: Vec<String>,
    },
    Rejoin {
        subscriber: SubscriberId,
        reply: oneshot::Sender<Positions>,
    },
    Detach {
        subscriber: SubscriberId,
        keep: bool,
        reply: oneshot::Sender<()>,
    },
    EnterOffline {
        client_id: String,
        subscriptions: Vec<FilterOptions>,
    },
    Forget {
        client_id: String,
    },
}

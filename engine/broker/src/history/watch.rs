//! Waiting for more: being woken when a topic gets a message, without being
//! delivered to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Broker;
use crate::dispatch::SubscriberId;
use crate::link::{Link, LinkLimits};

/// Makes the names of watchers differ. No client can have such a name: the
/// broker refuses identifiers that hold U+0000.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Somebody who watches topics; until dropped.
pub(crate) struct Watch {
    broker: Arc<Broker>,
    link: Arc<Link>,
    subscriber: SubscriberId,
}

impl Watch {
    /// Begins to watch; none when the broker stops. What is published from now
    /// on wakes [`Watch::changed`].
    pub(crate) async fn new(broker: &Arc<Broker>, filters: Vec<String>) -> Option<Self> {
        let name = format!("watch\0{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let limits = LinkLimits {
            queue_messages_max: 0,
            queue_bytes_max: 0,
        };
        let link = Arc::new(Link::new(&name, limits));
        let attached = broker
            .dispatch
            .attach(Arc::clone(&link), Vec::new())
            .await?;
        broker.dispatch.watch(attached.subscriber, filters);
        Some(Self {
            broker: Arc::clone(broker),
            link,
            subscriber: attached.subscriber,
        })
    }

    /// Returns when something has been published since it last returned. May
    /// return without that, too.
    pub(crate) async fn changed(&mut self) {
        self.link.woken().await;
        self.link.take(true);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.broker.dispatch.leave(self.subscriber);
    }
}

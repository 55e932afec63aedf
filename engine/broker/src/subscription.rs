//! What a subscription asks for, and how overlapping ones combine.

use robustmq_protocol::QoS;
use robustmq_views::SubscriptionState;
use smallvec::SmallVec;

/// Options of one subscription (section 3.8.3.1 of MQTT 5.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    /// Maximum QoS granted.
    pub(crate) qos: QoS,
    /// Do not send the client its own messages.
    pub(crate) no_local: bool,
    /// Keep the RETAIN flag as it was published.
    pub(crate) retain_as_published: bool,
    /// Subscription Identifier, 1 to 268 435 455.
    pub(crate) identifier: Option<u32>,
}

impl From<&SubscriptionState> for SubscriptionOptions {
    fn from(stored: &SubscriptionState) -> Self {
        Self {
            qos: QoS::try_from(stored.qos).unwrap_or(QoS::AtMostOnce),
            no_local: stored.no_local,
            retain_as_published: stored.retain_as_published,
            identifier: stored.identifier,
        }
    }
}

/// What one copy of a message is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    /// Highest QoS granted by the matching subscriptions [MQTT-3.3.4-2].
    pub(crate) qos: QoS,
    /// Whether any of them keeps the RETAIN flag.
    pub(crate) retain_as_published: bool,
    /// The identifiers of all that have one [MQTT-3.3.4-4].
    pub(crate) identifiers: SmallVec<[u32; 2]>,
}

/// The matching subscriptions of one session for one topic, combined: a
/// session gets one copy of a message, whatever number of filters match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetOptions {
    others: Option<Effective>,
    own: Option<Effective>,
}

impl TargetOptions {
    /// Adds one matching subscription.
    pub(crate) fn add(&mut self, subscription: &SubscriptionOptions) {
        combine(&mut self.others, subscription);
        if !subscription.no_local {
            combine(&mut self.own, subscription);
        }
    }

    /// How the message is sent; none if only No Local subscriptions match and
    /// the session itself published it [MQTT-3.8.3-3].
    pub(crate) fn effective(&self, published_by_self: bool) -> Option<&Effective> {
        if published_by_self {
            self.own.as_ref()
        } else {
            self.others.as_ref()
        }
    }

    /// Whether it matters who published.
    pub(crate) fn depends_on_publisher(&self) -> bool {
        self.own != self.others
    }
}

impl From<&SubscriptionOptions> for TargetOptions {
    fn from(subscription: &SubscriptionOptions) -> Self {
        let mut options = Self::default();
        options.add(subscription);
        options
    }
}

fn combine(effective: &mut Option<Effective>, subscription: &SubscriptionOptions) {
    let combined = effective.get_or_insert_with(|| Effective {
        qos: QoS::AtMostOnce,
        retain_as_published: false,
        identifiers: SmallVec::new(),
    });
    combined.qos = combined.qos.max(subscription.qos);
    combined.retain_as_published |= subscription.retain_as_published;
    combined.identifiers.extend(subscription.identifier);
}

#[cfg(test)]
mod tests;

//! Delayed publishing: `$delayed/{seconds}/{topic}`.
//!
//! What is published there is stored as a state record in the shard of its
//! topic and acknowledged when that is durable. It waits in the views. When its
//! time has come, the message and the record that ends its waiting are appended
//! in one batch: either both are in the log or none is, so it is published once
//! whatever dies when (`firing`).
//!
//! **Invariants**
//! 1. A message waits for its time and is then published, or is cancelled:
//!    never both, never twice.
//! 2. Memory holds the messages that are due now, a bounded number at a time.
//!
//! **Not here**: carrying waiting messages forward when the log is cut
//! (`robustmq-views`).

mod admin;
mod firing;
mod topic;

pub(crate) use admin::cancel_here;
pub use admin::{DelayedInfo, DelayedSettings, cancel, change_settings, list, settings, show};
pub(crate) use firing::run;
pub(crate) use topic::{Delayed, is_delayed, parse};

use bytes::Bytes;
use robustmq_protocol::ReasonCode;
use robustmq_views::{DelayedStored, StateBody};

use crate::broker::Broker;

/// Why a message is not taken for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotTaken {
    pub(crate) reason: ReasonCode,
    pub(crate) text: &'static str,
}

/// When and where a message to `$delayed/…` is to be published.
pub(crate) fn admit<'a>(
    broker: &Broker,
    name: &'a str,
    now_ms: u64,
) -> Result<Delayed<'a>, NotTaken> {
    let settings = &broker.rules.current().delayed;
    if !settings.enable {
        return Err(NotTaken {
            reason: ReasonCode::TopicNameInvalid,
            text: "delayed publishing is switched off",
        });
    }
    let delayed = parse(name, now_ms).map_err(|text| NotTaken {
        reason: ReasonCode::TopicNameInvalid,
        text,
    })?;
    let count_max = u64::from(settings.max_delayed_messages);
    if count_max > 0 && broker.views.delayed_count() >= count_max {
        broker.counters.messages_delayed_refused.add(1);
        return Err(NotTaken {
            reason: ReasonCode::QuotaExceeded,
            text: "as many messages wait as may (max_delayed_messages)",
        });
    }
    Ok(delayed)
}

/// What a message that waits is stored as: the payload of its record.
pub(crate) fn body(delayed: Delayed<'_>, payload: &[u8]) -> Vec<u8> {
    let stored = DelayedStored {
        due_ms: delayed.due_ms,
        topic: delayed.topic.to_owned(),
        payload: Bytes::copy_from_slice(payload),
    };
    StateBody::DelayedStored(stored).encode()
}

#[cfg(test)]
mod tests;

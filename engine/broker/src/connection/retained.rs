//! Sending retained messages after a SUBSCRIBE, page by page from the view as
//! it was when the subscription took effect.

use std::collections::VecDeque;
use std::sync::Arc;

use robustmq_views::{RetainedMessage, ViewError, ViewSnapshot};

use super::deliver::Source;
use crate::exclusive::topic_of;
use crate::subscription::{Effective, SubscriptionOptions};

/// Messages read from the view at a time.
const PAGE_MESSAGES_MAX: usize = 64;

/// The retained messages of one subscription, yet to be sent.
pub(super) struct RetainedScan {
    snapshot: Arc<ViewSnapshot>,
    filter: String,
    effective: Effective,
    page: VecDeque<Arc<RetainedMessage>>,
    after: Option<String>,
    exhausted: bool,
}

impl RetainedScan {
    pub(super) fn new(
        snapshot: Arc<ViewSnapshot>,
        filter: String,
        options: &SubscriptionOptions,
    ) -> Self {
        let effective = Effective {
            qos: options.qos,
            retain_as_published: true,
            identifiers: options.identifier.into_iter().collect(),
        };
        Self {
            snapshot,
            filter: topic_of(&filter).to_owned(),
            effective,
            page: VecDeque::new(),
            after: None,
            exhausted: false,
        }
    }

    pub(super) fn effective(&self) -> &Effective {
        &self.effective
    }

    /// The next message, which stays the next until [`RetainedScan::advance`].
    pub(super) fn peek(&mut self, now_ms: u64) -> Result<Option<Source>, ViewError> {
        if self.page.is_empty() && !self.exhausted {
            let found = self.snapshot.retained(
                &self.filter,
                now_ms,
                PAGE_MESSAGES_MAX,
                self.after.as_deref(),
            )?;
            self.exhausted = found.len() < PAGE_MESSAGES_MAX;
            self.after = found.last().map(|message| message.topic.clone());
            self.page = found.into_iter().map(Arc::new).collect();
        }
        Ok(self
            .page
            .front()
            .map(|message| Source::Retained(Arc::clone(message))))
    }

    pub(super) fn advance(&mut self) {
        self.page.pop_front();
    }
}

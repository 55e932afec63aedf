//! Looking at messages that wait for their time.

use std::sync::atomic::Ordering;

use robustmq_record::{Offset, ShardId};

use super::{NAMESPACE_DEFAULT, Views};
use crate::delayed::{DelayedMessage, DelayedPage};
use crate::error::ViewError;
use crate::read;

impl Views {
    /// How many messages wait for their time.
    #[must_use]
    pub fn delayed_count(&self) -> u64 {
        self.delayed_count.load(Ordering::Relaxed)
    }

    /// Messages that wait for their time. One that is due is listed again until
    /// the record of its being published has been applied.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn delayed_messages(
        &self,
        page: &DelayedPage<'_>,
    ) -> Result<Vec<DelayedMessage>, ViewError> {
        read::delayed_messages(&*self.store, NAMESPACE_DEFAULT, page)
    }

    /// The message that waits and was stored there.
    ///
    /// # Errors
    /// As [`Views::session`].
    pub fn delayed_message(
        &self,
        place: (ShardId, Offset),
    ) -> Result<Option<DelayedMessage>, ViewError> {
        read::delayed_message(&*self.store, NAMESPACE_DEFAULT, place)
    }
}

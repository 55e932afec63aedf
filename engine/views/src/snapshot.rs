//! Views as they were at one moment.

use robustmq_protocol::PacketId;
use robustmq_record::{Offset, ShardId};

use crate::error::ViewError;
use crate::read::{self, RetainedPage};
use crate::retained::RetainedMessage;
use crate::session::SessionState;
use crate::store::KvRead;
use crate::views::NAMESPACE_DEFAULT;

/// All reads of [`crate::Views`], at a fixed moment. Holding one keeps what has
/// been replaced since from being freed.
pub struct ViewSnapshot {
    store: Box<dyn KvRead>,
}

impl ViewSnapshot {
    pub(crate) fn new(store: Box<dyn KvRead>) -> Self {
        Self { store }
    }

    /// As [`crate::Views::session`].
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn session(&self, client_id: &str) -> Result<Option<SessionState>, ViewError> {
        read::session(&*self.store, NAMESPACE_DEFAULT, client_id)
    }

    /// As [`crate::Views::for_each_session`].
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn for_each_session(
        &self,
        visit: &mut dyn FnMut(SessionState) -> bool,
    ) -> Result<(), ViewError> {
        read::for_each_session(&*self.store, NAMESPACE_DEFAULT, visit)
    }

    /// As [`crate::Views::inbound_qos2`].
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn inbound_qos2(
        &self,
        client_id: &str,
    ) -> Result<Vec<(PacketId, ShardId, Offset)>, ViewError> {
        read::inbound_qos2(&*self.store, NAMESPACE_DEFAULT, client_id)
    }

    /// As [`crate::Views::retained`].
    ///
    /// # Errors
    /// [`ViewError`].
    pub fn retained(
        &self,
        filter: &str,
        now_ms: u64,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<RetainedMessage>, ViewError> {
        let page = RetainedPage {
            filter,
            now_ms,
            limit,
            after,
        };
        read::retained(&*self.store, NAMESPACE_DEFAULT, &page)
    }
}

impl std::fmt::Debug for ViewSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewSnapshot").finish_non_exhaustive()
    }
}

//! While a shard is rebuilt: what is said about a session between the
//! announcement of its copy and the copy, to be taken on top of it.
//!
//! Kept in the store, since a rebuild may be interrupted, and dropped when the
//! copy has come or the rebuild is over.

use robustmq_record::{Offset, RecordRef};

use super::Fold;
use crate::error::ViewError;
use crate::keys;
use crate::state::StateBody;
use crate::store::KeyRange;
use crate::wire::{Reader, Writer};

/// What is known of a session besides its copy.
pub(super) struct Held {
    /// Where the copy was announced.
    pub(super) announced: Offset,
    /// What was said from then on.
    pub(super) records: Vec<(Offset, StateBody)>,
}

impl Fold<'_> {
    /// Begins to hold what is said about a session; what was held is dropped.
    pub(super) fn hold(&mut self, record: &RecordRef<'_>) -> Result<(), ViewError> {
        if self.rebuild.is_none() {
            return Ok(());
        }
        let prefix = keys::held(self.shard, record.namespace(), record.client_id());
        self.drop_held(&prefix)?;
        let mut value = Writer::new();
        value.number(record.offset().0);
        self.overlay
            .put(keys::held_at(&prefix, Offset::ZERO), value.finish());
        Ok(())
    }

    /// Holds a record about a session, if that has begun.
    pub(super) fn hold_record(&mut self, record: &RecordRef<'_>) -> Result<(), ViewError> {
        if self.rebuild.is_none() {
            return Ok(());
        }
        let prefix = keys::held(self.shard, record.namespace(), record.client_id());
        if self.announced(&prefix)?.is_some() {
            let mut value = Writer::new();
            value.u8(record.kind());
            value.rest(record.payload());
            let key = keys::held_at(&prefix, record.offset());
            self.overlay.put(key, value.finish());
        }
        Ok(())
    }

    /// Where the copy of a session was announced.
    fn announced(&self, prefix: &[u8]) -> Result<Option<Offset>, ViewError> {
        let stored = self.overlay.get(&keys::held_at(prefix, Offset::ZERO))?;
        let read = |bytes: bytes::Bytes| Reader::new(&bytes).number().map(Offset);
        let announced = stored.map(read).transpose();
        announced.map_err(ViewError::damaged("rebuild"))
    }

    /// Takes what is held of a session whose copy has come, if the copy was
    /// made after its announcement.
    pub(super) fn take_held(
        &mut self,
        record: &RecordRef<'_>,
        as_of: Offset,
    ) -> Result<Option<Held>, ViewError> {
        let client_id = record.client_id();
        let prefix = keys::held(self.shard, record.namespace(), client_id);
        let announced = self.announced(&prefix)?.filter(|at| *at < as_of);
        let Some(announced) = announced else {
            return Ok(None);
        };
        let range = KeyRange::prefix(prefix.clone());
        let mut records = Vec::new();
        for (key, value) in self
            .overlay
            .collect(&range.after(&keys::held_at(&prefix, Offset::ZERO)))?
        {
            let place = key.get(prefix.len()..).and_then(keys::take_u64);
            let (at, _) = place.ok_or_else(|| ViewError::bad_key("rebuild"))?;
            let body = value.split_first().and_then(|(kind, payload)| {
                StateBody::decode_parts(*kind, client_id, payload).ok()
            });
            records.push((
                Offset(at),
                body.ok_or_else(|| ViewError::bad_key("rebuild"))?,
            ));
        }
        self.drop_held(&prefix)?;
        Ok(Some(Held { announced, records }))
    }

    fn drop_held(&mut self, prefix: &[u8]) -> Result<(), ViewError> {
        for key in self.overlay.collect(&KeyRange::prefix(prefix))?.into_keys() {
            self.overlay.delete(key);
        }
        Ok(())
    }
}

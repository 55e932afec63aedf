//! From records to views: what each record changes.
//!
//! A fold takes batches in log order, reads what they touch, and leaves one
//! write batch that takes the views from before to after.
//!
//! **Invariants**
//! 1. The outcome depends on the records of each shard and their order alone:
//!    not on how they are batched, how shards interleave, or on time.
//! 2. An entry of a view is governed by records of one shard only.
//! 3. What a record of an older epoch says about a session is ignored; what has
//!    no epoch is of the connection's node, and ignored once another node has
//!    opened the session: it was under way when its node was cut off.
//!
//! **Not here**: positions and the writing (`views`).

pub(crate) mod delayed;
mod held;
pub(crate) mod inbound;
pub(crate) mod messages;
pub(crate) mod rules;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use robustmq_record::{Batch, KIND_CONSENSUS, KIND_MESSAGE, Offset, RecordRef, ShardId};

use crate::carry::Standing;
use crate::error::ViewError;
use crate::keys;
use crate::state::StateBody;
use crate::store::{KeyRange, KvRead, WriteBatch};
use crate::wire::{Reader, Writer};
use sessions::SessionWork;

/// Changes by key over what a store holds; none for a removed key.
pub(crate) struct Overlay<'a> {
    store: &'a dyn KvRead,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(store: &'a dyn KvRead) -> Self {
        Self {
            store,
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.as_deref().map(Bytes::copy_from_slice)),
            None => Ok(self.store.get(key)?),
        }
    }

    /// Everything in a range.
    fn collect(&self, range: &KeyRange) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ViewError> {
        let mut found = BTreeMap::new();
        self.store.scan(range.clone(), &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        let changes = self.changes.range(range.start.clone()..);
        let within = |key: &Vec<u8>| range.end.as_ref().is_none_or(|end| key < end);
        for (key, value) in changes.take_while(|(key, _)| within(key)) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found)
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    pub(crate) fn into_writes(self) -> WriteBatch {
        let mut writes = WriteBatch::new();
        for (key, value) in self.changes {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
        }
        writes
    }
}

/// What folding came to, besides its writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// Records that could not be read.
    pub(crate) unreadable: u64,
    /// Whether a record was about rules.
    pub(crate) rules_changed: bool,
    /// Delayed messages that came, less those that went.
    pub(crate) delayed_change: i64,
}

/// Folds batches into changes.
pub(crate) struct Fold<'a> {
    overlay: Overlay<'a>,
    /// The shard being folded.
    shard: ShardId,
    /// Where its folding began, if what was before is not known.
    rebuild: Option<Offset>,
    /// The node that proposed the batch being folded, in a cluster.
    proposer: Option<u64>,
    /// By namespace and client id.
    sessions: BTreeMap<(String, String), SessionWork>,
    unreadable: u64,
    /// Whether a record was about rules.
    rules_changed: bool,
    delayed_change: i64,
}

impl<'a> Fold<'a> {
    pub(crate) fn new(store: &'a dyn KvRead) -> Self {
        Self {
            overlay: Overlay::new(store),
            shard: ShardId(0),
            rebuild: None,
            proposer: None,
            sessions: BTreeMap::new(),
            unreadable: 0,
            rules_changed: false,
            delayed_change: 0,
        }
    }

    /// Folds the records of a batch from `applied` on; `rebuild` says where
    /// the shard's folding began, if what was before is not known.
    pub(crate) fn batch(
        &mut self,
        batch: &Batch,
        applied: Offset,
        rebuild: Option<Offset>,
    ) -> Result<(), ViewError> {
        self.shard = batch.shard();
        self.rebuild = rebuild;
        self.proposer = batch.mark().map(|mark| mark.node);
        for record in batch.records_from(applied) {
            self.record(&record)?;
        }
        Ok(())
    }

    /// What is to be written, and what else is to be known of it.
    pub(crate) fn finish(mut self) -> Result<(WriteBatch, Folded), ViewError> {
        for ((namespace, client_id), work) in std::mem::take(&mut self.sessions) {
            work.store(&namespace, &client_id, &mut self.overlay)?;
        }
        let folded = Folded {
            unreadable: self.unreadable,
            rules_changed: self.rules_changed,
            delayed_change: self.delayed_change,
        };
        Ok((self.overlay.into_writes(), folded))
    }

    fn record(&mut self, record: &RecordRef<'_>) -> Result<(), ViewError> {
        if record.kind() == KIND_MESSAGE {
            if record.retain() {
                self.retain(record)?;
            }
            if let (2, Some(packet_id)) = (record.qos(), record.packet_id()) {
                self.inbound_received(record, packet_id);
            }
            return Ok(());
        }
        if record.kind() == KIND_CONSENSUS {
            return Ok(());
        }
        let Ok(body) = StateBody::decode(record) else {
            // Checksums were right, so it is of a later version: going on
            // without it is better than not starting at all.
            self.unreadable += 1;
            return Ok(());
        };
        match body {
            StateBody::RetainedCarried(carried) => self.retained_carried(record, carried),
            StateBody::InboundCarried(carried) => self.inbound_carried(record, carried),
            StateBody::DelayedStored(stored) => {
                self.delayed_stored(record, stored);
                Ok(())
            }
            StateBody::DelayedEnded { offset, .. } => self.delayed_ended(record, offset),
            StateBody::DelayedCarried(carried) => self.delayed_carried(record, carried),
            StateBody::RuleCarried(carried) => self.rule_carried(record, carried),
            StateBody::RulesChanged { family, changes } => {
                self.rules_changed(record, &family, changes)
            }
            StateBody::InboundReleased { packet_id } => {
                self.inbound_released(record, packet_id);
                Ok(())
            }
            body => self.session_record(record, body),
        }
    }

    /// Notes that an entry that is not there (any more) was touched, where that
    /// may matter for a copy to come.
    fn note_touched(&mut self, entry: &[u8], at: Offset) {
        if self.rebuild.is_some() {
            let mut value = Writer::new();
            value.number(at.0);
            self.overlay
                .put(keys::touched(self.shard, entry), value.finish());
        }
    }

    /// Where an entry stands for a copy of it; `changed` if it is there.
    fn standing(&self, entry: &[u8], changed: Option<Offset>) -> Result<Standing, ViewError> {
        let mut touched = changed;
        if self.rebuild.is_some()
            && let Some(noted) = self.overlay.get(&keys::touched(self.shard, entry))?
        {
            let noted = Reader::new(&noted).number();
            let noted = Offset(noted.map_err(ViewError::damaged("rebuild"))?);
            touched = touched.max(Some(noted));
        }
        Ok(Standing {
            is_there: changed.is_some(),
            touched,
            rebuild: self.rebuild,
        })
    }
}

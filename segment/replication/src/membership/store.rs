//! Keeps who takes part for when the log no longer says it: its entry may lie
//! in what retention removed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::Disk;
use robustmq_record::{ShardId, Term};
use serde::{Deserialize, Serialize};

use super::WrittenMembership;
use crate::types::{StoredMembership, batch_index, log_id, term_of};

/// The membership could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[error("{action} {file} failed: {reason}")]
pub struct MembershipStoreError {
    action: &'static str,
    file: String,
    reason: String,
}

/// Keeps each group's last applied membership.
pub trait MembershipStore: Send + Sync {
    /// The membership that was stored last.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&self, shard: ShardId) -> Result<Option<StoredMembership>, MembershipStoreError>;

    /// Stores a membership; durable when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    fn store(
        &self,
        shard: ShardId,
        membership: &StoredMembership,
    ) -> Result<(), MembershipStoreError>;
}

/// Keeps memberships in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryMembershipStore(Mutex<HashMap<ShardId, StoredMembership>>);

impl MembershipStore for MemoryMembershipStore {
    fn load(&self, shard: ShardId) -> Result<Option<StoredMembership>, MembershipStoreError> {
        Ok(self.0.lock().get(&shard).cloned())
    }

    fn store(
        &self,
        shard: ShardId,
        membership: &StoredMembership,
    ) -> Result<(), MembershipStoreError> {
        self.0.lock().insert(shard, membership.clone());
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// The batch that says so; none for what a group began with.
    index: Option<u64>,
    term: u64,
    membership: WrittenMembership,
}

/// Keeps each group's membership in a file of its own, replaced as a whole.
pub struct FileMembershipStore {
    disk: Arc<dyn Disk>,
}

impl FileMembershipStore {
    /// Keeps the files in a directory, which nothing else uses.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    fn name(shard: ShardId) -> String {
        format!("shard-{:05}.json", shard.0)
    }
}

impl MembershipStore for FileMembershipStore {
    fn load(&self, shard: ShardId) -> Result<Option<StoredMembership>, MembershipStoreError> {
        let name = Self::name(shard);
        let failed = |reason: String| MembershipStoreError {
            action: "reading",
            file: name.clone(),
            reason,
        };
        let file = match self.disk.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let len = file.len().map_err(|error| failed(error.to_string()))?;
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(0, &mut bytes);
        bytes.truncate(read.map_err(|error| failed(error.to_string()))?);
        let written: Written =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        let membership = written.membership.read();
        let membership = membership.ok_or_else(|| failed("it does not fit together".into()))?;
        let id = written.index.map(|index| log_id(Term(written.term), index));
        Ok(Some(StoredMembership::new(id, membership)))
    }

    fn store(
        &self,
        shard: ShardId,
        membership: &StoredMembership,
    ) -> Result<(), MembershipStoreError> {
        let id = membership.log_id();
        let written = Written {
            index: id.as_ref().map(|id| batch_index(id.index)),
            term: id.as_ref().map_or(0, |id| term_of(id).0),
            membership: WrittenMembership::new(membership.membership()),
        };
        let name = Self::name(shard);
        let temporary = format!("{name}.tmp");
        let bytes = serde_json::to_vec(&written).expect("numbers and addresses can be written");
        let replace = || {
            match self.disk.remove(&temporary) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            let file = self.disk.create(&temporary)?;
            file.write_at(0, &bytes)?;
            file.sync_data()?;
            self.disk.rename(&temporary, &name)?;
            self.disk.sync_dir()
        };
        replace().map_err(|error| MembershipStoreError {
            action: "writing",
            file: name.clone(),
            reason: error.to_string(),
        })
    }
}

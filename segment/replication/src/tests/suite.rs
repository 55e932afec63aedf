//! openraft's suite for implementations of its storage.

use std::io;

use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias;

use super::Node;
use crate::{Entry, LogId, ShardReader, ShardStateMachine, ShardStorage, Types};

/// The suite begins some logs in the middle, and gives up entries that nothing
/// covers, where Raft itself would have put a snapshot first. Here what comes
/// before the first entry is given up, and nothing counts as committed unless
/// the suite says so.
struct FromTheMiddle {
    storage: ShardStorage,
    said_committed: bool,
}

impl RaftLogStorage<Types> for FromTheMiddle {
    type LogReader = ShardReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.storage.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> ShardReader {
        self.storage.get_log_reader().await
    }

    async fn save_vote(&mut self, vote: &alias::VoteOf<Types>) -> Result<(), io::Error> {
        self.storage.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.said_committed = true;
        self.storage.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let committed = self.storage.read_committed().await?;
        Ok(committed.filter(|_| self.said_committed))
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let is_empty = self.storage.get_log_state().await?.last_log_id.is_none();
        if let Some(first) = entries.first()
            && is_empty
            && first.index() > 0
        {
            let mut before = first.log_id();
            before.index -= 1;
            before.leader_id.term = 0;
            self.storage.purge(before).await?;
        }
        self.storage.append(entries, flushed).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.storage.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.storage.purge(upto).await
    }
}

struct Builder;

impl StoreBuilder<Types, FromTheMiddle, ShardStateMachine, Node> for Builder {
    async fn build(
        &self,
    ) -> Result<(Node, FromTheMiddle, ShardStateMachine), openraft::StorageError<Types>> {
        let node = Node::new();
        let (_, storage, machine) = node.open();
        let storage = FromTheMiddle {
            storage,
            said_committed: false,
        };
        Ok((node, storage, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_storage_passes_the_suite_of_openraft() {
    let outcome = Suite::test_all(Builder).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

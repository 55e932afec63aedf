//! What became of every message, per shard: accepted = stored + rejected + what
//! is under way. Counted where it happens, each part by itself, so that the sum
//! says something: messages are counted in when they are given to the log (or
//! refused), and counted as stored from the batches that the log committed.
//!
//! Counts begin with the process, as Prometheus counters do; what the log holds
//! is in the log (`robust-ctl log info`).

use robustmq_record::{Batch, ShardId};

use crate::counters::Counter;
use crate::dispatch::KIND_MESSAGE;
use crate::mailbox::Mailboxes;

#[derive(Debug, Default)]
struct Account {
    refused: Counter,
    failed: Counter,
    stored: Counter,
}

/// The accounts of all shards.
#[derive(Debug)]
pub(crate) struct Ledger {
    node_id: u64,
    accounts: Vec<Account>,
}

/// The account of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The shard.
    pub shard: u32,
    /// Messages that were taken from a publisher, to be stored or refused.
    pub accepted: u64,
    /// Of these, those that were refused or could not be stored; QoS 1 and 2
    /// publishers were told.
    pub rejected: u64,
    /// Of these, those that are durable by policy.
    pub stored: u64,
}

impl Ledger {
    pub(crate) fn new(node_id: u64, shards: u32) -> Self {
        Self {
            node_id,
            accounts: (0..shards).map(|_| Account::default()).collect(),
        }
    }

    fn account(&self, shard: ShardId) -> &Account {
        &self.accounts[shard.0 as usize]
    }

    /// A message was refused before it reached the log.
    pub(crate) fn refused(&self, shard: ShardId) {
        self.account(shard).refused.add(1);
    }

    /// The log did not take messages it was given.
    pub(crate) fn failed(&self, shard: ShardId, messages: u64) {
        self.account(shard).failed.add(messages);
    }

    /// The log has committed a batch.
    pub(crate) fn committed(&self, batch: &Batch) {
        if batch.mark().is_some_and(|mark| mark.node != self.node_id) {
            // Another node took its messages from publishers and counts them.
            return;
        }
        let messages = if batch.has_state() {
            let is_message = |kind| kind == KIND_MESSAGE;
            let kinds = batch.records().map(|record| record.kind());
            kinds.filter(|kind| is_message(*kind)).count()
        } else {
            batch.count()
        };
        self.account(batch.shard()).stored.add(messages as u64);
    }

    /// All accounts as they stand. What is under way while this is read may
    /// be missing from a sum, never from `accepted`.
    pub(crate) fn entries(&self, mailboxes: &Mailboxes) -> Vec<LedgerEntry> {
        let entry = |(shard, account): (usize, &Account)| {
            // What was counted in comes last, so that it is never too little.
            let (failed, stored) = (account.failed.get(), account.stored.get());
            let refused = account.refused.get();
            let given = mailboxes.messages_taken(ShardId(shard as u32));
            LedgerEntry {
                shard: shard as u32,
                accepted: given + refused,
                rejected: refused + failed,
                stored,
            }
        };
        self.accounts.iter().enumerate().map(entry).collect()
    }
}

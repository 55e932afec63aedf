//! What has to be true, whatever happens.
//!
//! | promise | looked at |
//! | --- | --- |
//! | nodes apply the same batch at an index | when it is applied |
//! | each node applies all batches of a shard, in order, once | when it is applied |
//! | what was acknowledged is at the offset that was told | at the end, on every node |
//! | nothing is there twice, nothing that nobody sent | at the end |
//! | what one publisher sent through one node is in its order | at the end |
//! | what was sent after an acknowledgement stands behind it | at the end |
//! | all nodes have the same logs and views | at the end |
//! | views are what folding the log anew gives | at the end |
//!
//! A missing acknowledgement says nothing: the batch may be there or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use robustmq_log::{LogReader, ShardLog};
use robustmq_record::{Batch, KIND_MESSAGE, ShardId};
use robustmq_views::{MemoryStore, Views};

use crate::node::{Running, SHARDS, fold};
use crate::trace::Trace;

/// A batch that a publisher gave a node.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) shard: ShardId,
    pub(crate) publisher: u64,
    /// The run of the node it was given to.
    pub(crate) run: u64,
    pub(crate) messages: u32,
    /// The index it was acknowledged with.
    pub(crate) acked: Option<u64>,
    /// The highest index of the shard that had been acknowledged to anybody
    /// when it was sent.
    pub(crate) after: u64,
}

#[derive(Default)]
struct State {
    /// By its number.
    sent: Vec<Sent>,
    acked_max: BTreeMap<ShardId, u64>,
    /// What stands at an index: term and checksum.
    known: BTreeMap<(ShardId, u64), (u64, u32)>,
    /// The next index that a node is to apply.
    next: BTreeMap<(u64, ShardId), u64>,
}

/// Sees everything that is sent, acknowledged and applied.
pub(crate) struct Oracle {
    trace: Arc<Trace>,
    state: Mutex<State>,
}

/// What stands at each index of each shard: term and checksum.
type Logs = Vec<Vec<(u64, u32)>>;

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Batches given to nodes.
    pub sent: u64,
    /// Those acknowledged.
    pub acked: u64,
    /// Batches in the logs at the end.
    pub stored: u64,
}

impl Oracle {
    pub(crate) fn new(trace: Arc<Trace>) -> Self {
        let state = Mutex::default();
        Self { trace, state }
    }

    /// A batch is about to be sent; returns its number.
    pub(crate) fn sends(&self, shard: ShardId, publisher: u64, run: u64, messages: u32) -> u64 {
        let mut state = self.state.lock();
        let after = state.acked_max.get(&shard).copied().unwrap_or(0);
        state.sent.push(Sent {
            shard,
            publisher,
            run,
            messages,
            acked: None,
            after,
        });
        state.sent.len() as u64 - 1
    }

    /// A batch was acknowledged.
    pub(crate) fn acked(&self, number: u64, batch: &Batch) {
        self.trace.count(&[number, batch.index()]);
        let mut state = self.state.lock();
        let max = state.acked_max.entry(batch.shard()).or_default();
        *max = (*max).max(batch.index());
        let sent = &mut state.sent[number as usize];
        if sent.acked.is_some() || sent.shard != batch.shard() {
            let sent = sent.clone();
            drop(state);
            self.trace.fail(format_args!(
                "batch {number} was acknowledged wrongly: {sent:?}"
            ));
            return;
        }
        sent.acked = Some(batch.index());
    }

    /// A node starts with what is before an index applied.
    pub(crate) fn starts(&self, node: u64, shard: ShardId, end: u64) {
        self.state.lock().next.insert((node, shard), end);
    }

    /// A node applies a batch.
    pub(crate) fn applied(&self, node: u64, batch: &Batch) {
        let (shard, index) = (batch.shard(), batch.index());
        let here = (batch.term().0, crc32fast::hash(batch.body()));
        self.trace
            .count(&[node, u64::from(shard.0), index, here.0, u64::from(here.1)]);
        let mut state = self.state.lock();
        let next = state.next.entry((node, shard)).or_insert(1);
        let expected = std::mem::replace(next, index + 1);
        let known = *state.known.entry((shard, index)).or_insert(here);
        drop(state);
        if expected != index {
            self.trace.fail(format_args!(
                "node {node} applies index {index} of shard {}, expected {expected}",
                shard.0
            ));
        }
        if known != here {
            self.trace.fail(format_args!(
                "node {node} applies at index {index} of shard {} another batch (term {}) than others (term {})",
                shard.0, here.0, known.0
            ));
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        Figures {
            sent: state.sent.len() as u64,
            acked: state
                .sent
                .iter()
                .filter(|sent| sent.acked.is_some())
                .count() as u64,
            stored: state.known.len() as u64,
        }
    }

    /// After everything has healed and all nodes say that they have the same.
    pub(crate) fn check<'a>(&self, nodes: impl Iterator<Item = &'a Running>) {
        let mut first: Option<(u64, Logs, u64)> = None;
        for node in nodes {
            let reader = node.log.reader();
            let checked = self.check_log(node.id, &reader);
            let digests = digests(node, &reader);
            let (logs, (live, folded)) = match (checked, digests) {
                (Ok(logs), Ok(digests)) => (logs, digests),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.trace.fail(format_args!("node {}: {reason}", node.id));
                    continue;
                }
            };
            if live != folded {
                self.trace.fail(format_args!(
                    "node {}: its views are not what its log says",
                    node.id
                ));
            }
            match &first {
                None => first = Some((node.id, logs, live)),
                Some((other, other_logs, other_live)) => {
                    if *other_logs != logs {
                        self.trace.fail(format_args!(
                            "nodes {other} and {} have different logs",
                            node.id
                        ));
                    } else if *other_live != live {
                        self.trace.fail(format_args!(
                            "nodes {other} and {} have different views",
                            node.id
                        ));
                    }
                }
            }
        }
    }

    /// Compares a node's log with what was sent; returns what stands where.
    fn check_log(&self, node: u64, reader: &LogReader) -> Result<Logs, String> {
        let state = self.state.lock();
        let mut found = BTreeMap::<u64, u64>::new();
        let mut logs = Vec::new();
        for shard in (0..SHARDS).map(ShardId) {
            let position = reader.position(shard);
            let mut order = BTreeMap::<(u64, u64), u64>::new();
            let mut log = Vec::new();
            for index in position.local_start..position.visible_end() {
                let batch = reader.batch(shard, index);
                let batch = batch.map_err(|error| error.to_string())?;
                let batch = batch.ok_or_else(|| format!("index {index} is not readable"))?;
                log.push((batch.term().0, crc32fast::hash(batch.body())));
                let numbers = numbers(&batch)?;
                let Some(&(number, _)) = numbers.first() else {
                    continue;
                };
                let sent = state.sent.get(number as usize);
                let sent = sent.ok_or_else(|| format!("nobody sent batch {number}"))?;
                let whole: Vec<_> = (0..sent.messages).map(|part| (number, part)).collect();
                if numbers != whole || sent.shard != shard {
                    return Err(format!(
                        "index {index} holds {numbers:?}, sent was {sent:?}"
                    ));
                }
                if let Some(twice) = found.insert(number, index) {
                    return Err(format!("batch {number} is at {twice} and at {index}"));
                }
                if index <= sent.after {
                    return Err(format!(
                        "batch {number} is at {index}, but was sent after {} was acknowledged",
                        sent.after
                    ));
                }
                let before = order.insert((sent.publisher, sent.run), number);
                if before.is_some_and(|before| before > number) {
                    return Err(format!(
                        "batch {number} of publisher {} is out of order at {index}",
                        sent.publisher
                    ));
                }
            }
            logs.push(log);
        }
        for (number, sent) in state.sent.iter().enumerate() {
            let Some(acked) = sent.acked else { continue };
            let at = found.get(&(number as u64));
            if at != Some(&acked) {
                return Err(format!(
                    "LOST: batch {number} was acknowledged at index {acked} of shard {}, node {node} has it at {at:?}",
                    sent.shard.0
                ));
            }
        }
        Ok(logs)
    }
}

/// The payload of a message: the number of its batch, and its place there.
pub(crate) fn payload(number: u64, part: u32) -> String {
    format!("{number}/{part}")
}

fn numbers(batch: &Batch) -> Result<Vec<(u64, u32)>, String> {
    let messages = batch.records();
    let messages = messages.filter(|record| record.kind() == KIND_MESSAGE);
    messages
        .map(|record| {
            let text = std::str::from_utf8(record.payload()).ok();
            let parts = text.and_then(|text| text.split_once('/'));
            parts
                .and_then(|(number, part)| Some((number.parse().ok()?, part.parse().ok()?)))
                .ok_or_else(|| format!("a message that nobody sent: {:?}", record.payload()))
        })
        .collect()
}

/// Of the views as they are, and of ones folded anew from the log.
fn digests(node: &Running, reader: &LogReader) -> Result<(u64, u64), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let anew = Views::new(Arc::new(MemoryStore::default())).map_err(|error| said(&error))?;
    fold(reader, &anew)?;
    let live = node.views.digest().map_err(|error| said(&error))?;
    Ok((live, anew.digest().map_err(|error| said(&error))?))
}

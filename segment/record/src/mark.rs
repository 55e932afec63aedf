//! Who proposed a batch: the mark that a node of a cluster puts behind the
//! records of its clients.
//!
//! The mark is the batch's last record, of kind [`KIND_CONSENSUS`]; its payload
//! is three numbers of 64 bits, little-endian: node, run, sequence.

use crate::batch::Batch;
use crate::record::{KIND_CONSENSUS, RecordInput};

/// The namespace of records that consensus keeps for itself.
pub const NAMESPACE_CONSENSUS: &str = "$consensus";

/// Bytes of a mark.
const LEN: usize = 24;

/// Who proposed a batch: a run of a node, and the batch's place in what that run
/// proposed to the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The node.
    pub node: u64,
    /// A number that no other run of the node has.
    pub run: u64,
    /// Counted up from batch to batch.
    pub sequence: u64,
}

impl Mark {
    /// As it stands in a batch.
    #[must_use]
    pub fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&self.node.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.run.to_le_bytes());
        bytes[16..].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// The record that is to be a batch's last one; `payload` is the encoded
    /// mark.
    #[must_use]
    pub fn record(payload: &[u8], timestamp_ms: u64) -> RecordInput<'_> {
        RecordInput {
            kind: KIND_CONSENSUS,
            namespace: NAMESPACE_CONSENSUS,
            timestamp_ms,
            payload,
            ..RecordInput::default()
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        (bytes.len() == LEN).then_some(())?;
        Some(Self {
            node: number(0)?,
            run: number(8)?,
            sequence: number(16)?,
        })
    }
}

impl Batch {
    /// Who proposed the batch; `None` in the log of a node that is alone.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        if !self.has_state() || self.count() < 2 {
            return None;
        }
        let last = self.records().next_back()?;
        (last.kind() == KIND_CONSENSUS).then_some(())?;
        Mark::decode(last.payload())
    }
}

//! Submitters as the engine has them: a mailbox per shard whose open batch
//! grows until the log takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;
use robustmq_log::{
    AppendError, BatchSource, CarryForward, CommitSink, FatalLogError, LogReader, ReadLimits,
    ShardLog, TakenBatch,
};
use robustmq_record::{Batch, BatchBuilder, BatchLimits, Offset, RecordInput, ShardId};

/// The offset of a stored record, or why it was not stored.
pub(crate) type Answer = Result<Offset, AppendError>;

type Open = (BatchBuilder, Vec<(u16, mpsc::Sender<Answer>)>);

#[derive(Default)]
pub(crate) struct Mailboxes {
    open: Mutex<BTreeMap<ShardId, Open>>,
}

impl Mailboxes {
    /// Submits a record and waits for its fate.
    pub(crate) fn submit(
        &self,
        log: &dyn ShardLog,
        shard: ShardId,
        topic: &str,
        payload: &str,
    ) -> Answer {
        let (sender, receiver) = mpsc::channel();
        {
            let mut open = self.open.lock();
            let new = || (BatchBuilder::new(BatchLimits::default()), Vec::new());
            let (builder, senders) = open.entry(shard).or_insert_with(new);
            let record = RecordInput {
                namespace: "default",
                topic,
                payload: payload.as_bytes(),
                ..RecordInput::default()
            };
            let slot = builder.try_push(&record).expect("test batches are small");
            senders.push((slot, sender));
        }
        log.wake(shard);
        receiver.recv().expect("everybody is answered")
    }
}

impl BatchSource for Mailboxes {
    fn take(&self, shard: ShardId) -> Option<TakenBatch> {
        let (builder, senders) = self.open.lock().remove(&shard)?;
        let completion = Box::new(move |result: Result<Arc<Batch>, AppendError>| {
            let index = result.map(|batch| batch.index());
            for (slot, sender) in senders {
                let answer = index.clone().map(|index| Offset::new(index, slot));
                sender.send(answer).expect("the submitter waits");
            }
        });
        Some(TakenBatch {
            builder,
            term: None,
            completion,
        })
    }
}

/// Hears of everything and keeps nothing.
pub(crate) struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _batch: Arc<Batch>) {}

    fn failed(&self, _error: FatalLogError) {}
}

impl CarryForward for Nobody {
    fn carry_forward(&self, _shard: ShardId, _end: Offset) -> bool {
        true
    }
}

/// A record that was read: its topic and its payload.
pub(crate) type Read = (String, String);

/// Everything a shard holds; gaps must be intended.
pub(crate) fn read_all(reader: &LogReader, shard: ShardId) -> BTreeMap<Offset, Read> {
    let mut records = BTreeMap::new();
    let mut next = Offset::ZERO;
    loop {
        let chunk = reader
            .read(shard, next, None, ReadLimits::default())
            .expect("reads");
        for gap in &chunk.gaps {
            let retention = robustmq_log::GapReason::Retention;
            assert_eq!(gap.reason, retention, "{gap:?} of {shard}");
        }
        for record in chunk.batches.iter().flat_map(|batch| batch.records()) {
            let payload = String::from_utf8(record.payload().to_vec()).expect("tests write text");
            let read = (record.topic().to_owned(), payload);
            let before = records.insert(record.offset(), read);
            assert!(before.is_none(), "{:?} was read twice", record.offset());
        }
        assert!(chunk.next > next || chunk.at_end, "reading goes on");
        next = chunk.next;
        if chunk.at_end {
            return records;
        }
    }
}

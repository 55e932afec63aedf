use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use robustmq_record::{Batch, ShardId};

use super::Repairer;
use crate::disk::Disk;
use crate::file_names::{FileKind, parse};
use crate::testing::{Bench, SHARDS, payloads};
use crate::tests::flips::{Content, sample};
use crate::{Gap, LogReader};

/// Another node with the same log, undamaged.
struct Replica {
    reader: LogReader,
    asked: AtomicUsize,
}

impl Repairer for Replica {
    fn fetch(&self, shard: ShardId, index: u64) -> Option<Arc<Batch>> {
        let batch = self.reader.batch(shard, index).expect("the disk reads");
        self.asked
            .fetch_add(usize::from(batch.is_some()), Ordering::SeqCst);
        batch
    }
}

fn is_whole(bench: &Bench, expected: &[Content], context: &str) {
    for (shard, expected) in (0..SHARDS).zip(expected) {
        let (batches, gaps) = bench.read_all(shard);
        let found = batches.iter().map(|batch| (batch.index(), payloads(batch)));
        let found: Content = found.collect();
        assert!(found == *expected, "{context}: shard {shard}");
        // An index that nobody ever had may be passed over: what was last in the
        // log cannot be told from it.
        let end = expected.last().map_or(0, |(index, _)| index + 1);
        let is_real = |gap: &&Gap| gap.start.index() < end;
        assert_eq!(gaps.iter().find(is_real), None, "{context}: shard {shard}");
    }
}

#[test]
fn whatever_bit_is_flipped_comes_back_from_a_replica() {
    let (disk, history, expected) = sample();
    let replica = Bench::open(Arc::new(disk.copy()), &history).expect("opens");
    let replica = Arc::new(Replica {
        reader: replica.reader(),
        asked: AtomicUsize::new(0),
    });
    let files = disk.list().expect("lists");
    let is_segment = |name: &str| matches!(parse(name), FileKind::Segment(_));
    let mut repaired = 0;
    for file in files.iter().filter(|file| is_segment(&file.name)) {
        // One bit of every second byte: headers and bodies, each in all kinds.
        for bit in (0..file.len * 8).step_by(17) {
            let context = format!("bit {bit} of {}", file.name);
            let disk = disk.copy();
            disk.flip_bit(&file.name, bit);
            let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens");
            bench.parts.state.repairs.connect(Arc::clone(&replica) as _);
            let asked = replica.asked.load(Ordering::SeqCst);
            is_whole(&bench, &expected, &context);
            let count = replica.asked.load(Ordering::SeqCst) - asked;
            assert!(count <= 1, "{context}: asked {count} times for one batch");
            repaired += count;
            // It needs nobody any more, nor after a restart.
            is_whole(&bench, &expected, &context);
            drop(bench);
            let bench = Bench::open(Arc::new(disk.clone()), &history).expect("opens again");
            is_whole(&bench, &expected, &context);
            assert_eq!(
                replica.asked.load(Ordering::SeqCst) - asked,
                count,
                "{context}"
            );
        }
    }
    assert!(repaired > 300, "{repaired} flips hit a batch");
}

#[test]
fn without_anybody_to_ask_it_is_a_gap() {
    struct Nobody;
    impl Repairer for Nobody {
        fn fetch(&self, _shard: ShardId, _index: u64) -> Option<Arc<Batch>> {
            None
        }
    }
    let (disk, history, expected) = sample();
    let files = disk.list().expect("lists");
    let segment = files
        .iter()
        .find(|file| matches!(parse(&file.name), FileKind::Segment(_)));
    let segment = segment.expect("there are three");
    disk.flip_bit(&segment.name, segment.len * 4);
    let bench = Bench::open(Arc::new(disk), &history).expect("opens");
    bench.parts.state.repairs.connect(Arc::new(Nobody));
    let gaps: usize = (0..SHARDS).map(|shard| bench.read_all(shard).1.len()).sum();
    let read: usize = (0..SHARDS).map(|shard| bench.read_all(shard).0.len()).sum();
    let written: usize = expected.iter().map(Vec::len).sum();
    assert_eq!((gaps, read), (1, written - 1));
}

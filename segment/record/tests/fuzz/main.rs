//! Files that are damaged in any way: nothing panics, nothing loops, and what is
//! given out was verified.

use bytes::Bytes;
use robustmq_record::{
    EncodedBody, FrameFields, FrameFlags, FrameKind, FrameScanner, Lsn, NodeId, ScanItem,
    ScanOptions, SegmentId, SegmentIndex, ShardId, Term, encode_frame, read_slice,
};

/// The segment that the corpus is of.
const SEGMENT: SegmentId = SegmentId(7);

fn check_segment(input: &[u8]) {
    let options = ScanOptions {
        chunk_bytes: 4096,
        ..ScanOptions::new(SEGMENT, input.len() as u64)
    };
    let mut scanner = FrameScanner::new(options, read_slice(input));
    let mut reached = 0;
    let mut items = 0;
    while let Ok(Some(item)) = scanner.next_item() {
        items += 1;
        assert!(items <= input.len() + 2, "a scan comes to its end");
        match item {
            ScanItem::Frame(frame) => {
                assert!(frame.position >= reached, "frames come in order");
                reached = frame.position + frame.header.frame_len() as u64;
                assert!(reached <= input.len() as u64, "a frame is in the file");
                if frame.header.fields.kind == FrameKind::Batch {
                    read_batch(&frame);
                } else {
                    let _ = frame.control();
                }
            }
            ScanItem::Damaged(damage) => {
                // Frames can be missing without a byte in their place.
                assert!(damage.position >= reached);
                assert!(damage.lsn_start <= damage.lsn_end);
                reached = damage.position + damage.len;
            }
            ScanItem::End(end) => assert!(end.position <= input.len() as u64),
        }
    }
}

fn read_batch(frame: &robustmq_record::ScannedFrame<'_>) {
    let Ok(batch) = frame.batch() else {
        return;
    };
    assert_eq!(batch.records().count(), batch.count());
    for record in batch.records() {
        assert!(!record.topic().contains('\0') || record.topic().len() < 70_000);
        assert!((record.topic_id() as usize) < batch.topic_count());
        let _ = record.to_input();
    }
}

/// Bodies behind a right checksum: the first byte says how many records the
/// header claims, the rest is the body. What reads must write the same again.
fn check_body(input: &[u8]) {
    let Some((count, body)) = input.split_first() else {
        return;
    };
    let fields = FrameFields {
        kind: FrameKind::Batch,
        flags: FrameFlags::default(),
        shard: ShardId(1),
        index: 5,
        term: Term(1),
        leader: NodeId(1),
        count: u32::from(*count).max(1),
        lsn: Lsn(9),
        durable_lsn: Lsn(8),
        commit_hint: 4,
        timestamp_base_ms: 1_000,
    };
    for has_state in [false, true] {
        let flags = FrameFlags {
            has_state,
            ..fields.flags
        };
        let fields = FrameFields { flags, ..fields };
        let mut segment = Vec::new();
        encode_frame(&fields, EncodedBody::plain(body), SEGMENT, &mut segment);
        check_segment(&segment);
    }
}

fn check_index(input: &[u8]) {
    let Ok(index) = SegmentIndex::parse(Bytes::copy_from_slice(input), SEGMENT) else {
        return;
    };
    for shard in index.shards() {
        assert!(shard.index_start() <= shard.index_end());
        assert_eq!(shard.batches().count(), shard.batch_count() as usize);
        let _ = shard.find_time(0);
        let _ = shard.find_index(shard.index_start());
        assert!(shard.state_batches().count() <= shard.batch_count() as usize);
        let mut topics = 0;
        // Damage behind the checksum is an error, not a panic.
        let _ = shard.all_topics(|_| topics += 1);
        assert!(topics <= input.len());
    }
}

#[test]
fn segments() {
    robustmq_fuzzing::run("segments", check_segment);
}

#[test]
fn bodies() {
    robustmq_fuzzing::run("bodies", check_body);
}

/// Takes the corpus of bodies out of the golden segment:
/// `ROBUSTMQ_WRITE_GOLDEN=1 cargo test -p robustmq-record --test fuzz`.
#[test]
fn the_corpus_of_bodies_is_that_of_the_golden_segment() {
    let golden = robustmq_fuzzing::folder("segments").join("golden-v1.bin");
    let golden = std::fs::read(golden).expect("the golden segment");
    let options = ScanOptions::new(SEGMENT, golden.len() as u64);
    let mut scanner = FrameScanner::new(options, read_slice(&golden));
    let mut bodies = 0;
    while let Ok(Some(item)) = scanner.next_item() {
        let ScanItem::Frame(frame) = item else {
            continue;
        };
        let Ok(batch) = frame.batch() else { continue };
        let mut bytes = vec![batch.count() as u8];
        bytes.extend_from_slice(batch.body());
        let file = robustmq_fuzzing::folder("bodies").join(format!("golden-{bodies}.bin"));
        bodies += 1;
        if std::env::var_os("ROBUSTMQ_WRITE_GOLDEN").is_some() {
            std::fs::write(&file, &bytes).expect("the body is written");
        }
        assert_eq!(std::fs::read(&file).ok(), Some(bytes), "{}", file.display());
    }
    assert!(bodies > 3, "{bodies}");
}

#[test]
fn indexes() {
    robustmq_fuzzing::run("indexes", check_index);
}

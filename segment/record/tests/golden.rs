//! Files of format version 1, kept for ever: every later version reads them.
//!
//! `segment-v1.bin` holds every kind of frame and every codec, `index-v1.bin`
//! its index, and `segment-v1.txt` in words what a reader finds in both. They
//! were written by `write_golden_files` below:
//!
//! ```text
//! cargo test -p robustmq-record --test golden -- --ignored
//! ```
//!
//! It refuses to overwrite: a changed format gets a new version and new files
//! beside these.

mod content;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{
    Batch, BodyEncoder, Codec, Compression, Control, EncodedBody, FrameHeader, FrameKind,
    FrameScanner, FrameStamp, HEADER_LEN, IndexBuilder, IndexedSegment, Lsn, ScanItem, ScanOptions,
    SegmentIndex, Tail, encode_frame, read_slice,
};

use content::SEGMENT;

/// Asked for when the test runs: a build may be shared by several checkouts.
fn path(name: &str) -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    PathBuf::from(manifest).join("tests/golden").join(name)
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A frame as found in the golden segment.
struct Found {
    position: usize,
    header: FrameHeader,
    content: Content,
}

enum Content {
    Batch(Box<Batch>),
    Control(Control),
}

/// All frames up to the seal, and where that ends.
fn scan(segment: &[u8]) -> (Vec<Found>, u64) {
    let options = ScanOptions {
        lsn_start: Some(Lsn(41)),
        ..ScanOptions::new(SEGMENT, segment.len() as u64)
    };
    let mut scanner = FrameScanner::new(options, read_slice(segment));
    let mut found = Vec::new();
    loop {
        match scanner.next_item().unwrap_or_else(|error| match error {}) {
            Some(ScanItem::Frame(frame)) => found.push(Found {
                position: frame.position as usize,
                header: frame.header,
                content: match frame.header.fields.kind {
                    FrameKind::Batch => Content::Batch(Box::new(frame.batch().expect("a batch"))),
                    _ => Content::Control(frame.control().expect("a control frame")),
                },
            }),
            Some(ScanItem::End(end)) => {
                assert_eq!(end.tail, Tail::Sealed);
                return (found, end.position);
            }
            other => panic!("the golden segment is whole, but: {other:?}"),
        }
    }
}

fn build_index(found: &[Found], position_end: u64) -> Bytes {
    let mut builder = IndexBuilder::new();
    for frame in found {
        match &frame.content {
            Content::Batch(batch) => {
                builder.add_batch(frame.position as u64, frame.header.frame_len(), batch);
            }
            Content::Control(Control::Truncate(truncate)) => {
                builder.truncate(truncate.shard, truncate.index_start);
            }
            Content::Control(_) => (),
        }
    }
    let last = found.last().expect("frames").header.fields.lsn;
    builder.finish(IndexedSegment {
        segment_id: SEGMENT,
        position_end,
        lsn_start: found[0].header.fields.lsn,
        lsn_end: last.next(),
    })
}

/// In words what the files hold.
fn describe(found: &[Found], index: &SegmentIndex) -> String {
    let mut text = String::new();
    let out = &mut text;
    for frame in found {
        let header = &frame.header;
        writeln!(out, "frame at {}: {:?}", frame.position, header.fields).expect("text");
        let (body_len, raw_len) = (header.body_len, header.raw_len);
        writeln!(out, "  {:?}, {body_len} of {raw_len} bytes", header.codec).expect("text");
        match &frame.content {
            Content::Control(control) => writeln!(out, "  {control:?}").expect("text"),
            Content::Batch(batch) => describe_batch(out, batch),
        }
    }
    writeln!(out, "index: {:?}", index.segment()).expect("text");
    for shard in index.shards() {
        writeln!(out, "shard {}: {} records", shard.shard(), shard.records()).expect("text");
        shard
            .batches()
            .for_each(|entry| writeln!(out, "  {entry:?}").expect("text"));
        let states: Vec<_> = shard.state_batches().map(|entry| entry.index).collect();
        writeln!(out, "  state in {states:?}").expect("text");
        let topics = shard.all_topics(|entry| {
            let filter = FilterAutomaton::parse(entry.topic).expect("a topic is a filter");
            let postings = shard.postings(entry.namespace, &[filter]).expect("valid");
            writeln!(out, "  {entry:?} in {postings:?}").expect("text");
        });
        topics.expect("a valid index");
    }
    text
}

fn describe_batch(out: &mut String, batch: &Batch) {
    let mut repeated = 0;
    for record in batch.records() {
        if record.payload().len() > 40 && record.offset().slot() > 1 {
            repeated += 1;
            continue;
        }
        let payload = String::from_utf8_lossy(record.payload());
        write!(
            out,
            "  {}: kind {} qos {}",
            record.offset(),
            record.kind(),
            record.qos()
        )
        .expect("text");
        write!(out, " retain {} {:?}", record.retain(), record.namespace()).expect("text");
        write!(out, " {:?} by {:?}", record.topic(), record.client_id()).expect("text");
        write!(out, " at {}", record.timestamp_ms()).expect("text");
        write!(out, " expiry {:?}", record.message_expiry_s()).expect("text");
        write!(out, " packet {:?}", record.packet_id()).expect("text");
        writeln!(out, " {:02x?} {payload:?}", record.properties()).expect("text");
    }
    if repeated > 0 {
        writeln!(out, "  and {repeated} more like these").expect("text");
    }
}

#[test]
fn version_1_is_read() {
    let segment = golden("segment-v1.bin");
    let (found, _) = scan(&segment);
    let index = SegmentIndex::parse(golden("index-v1.bin").into(), SEGMENT).expect("an index");
    let wanted = String::from_utf8(golden("segment-v1.txt")).expect("text");
    let found = describe(&found, &index);
    for (line, (found, wanted)) in found.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(found, wanted, "line {}", line + 1);
    }
    assert_eq!(found.lines().count(), wanted.lines().count());
}

#[test]
fn version_1_is_what_the_writer_still_writes() {
    let segment = golden("segment-v1.bin");
    let (found, position_end) = scan(&segment);
    for frame in &found {
        let fields = &frame.header.fields;
        let range = frame.position..frame.position + frame.header.frame_len();
        let mut out = Vec::new();
        match &frame.content {
            Content::Control(control) => {
                let stamp = FrameStamp {
                    lsn: fields.lsn,
                    durable_lsn: fields.durable_lsn,
                    leader: fields.leader,
                    commit_hint: fields.commit_hint,
                    timestamp_ms: fields.timestamp_base_ms,
                };
                control.encode(&stamp, SEGMENT, &mut out);
            }
            // What a compressor makes of a body may change with its version;
            // that it can be undone is the format.
            Content::Batch(batch) if frame.header.codec != Codec::None => {
                assert_eq!(frame.header.raw_len as usize, batch.size_bytes());
                continue;
            }
            Content::Batch(batch) => {
                encode_frame(fields, EncodedBody::plain(batch.body()), SEGMENT, &mut out);
            }
        }
        assert!(
            out == segment[range],
            "frame {} comes out differently",
            fields.lsn
        );
    }
    assert!(build_index(&found, position_end) == golden("index-v1.bin"));
}

#[test]
fn the_batches_are_those_that_were_written() {
    let (found, _) = scan(&golden("segment-v1.bin"));
    let batches: Vec<_> = found
        .into_iter()
        .filter_map(|frame| match frame.content {
            Content::Batch(batch) => Some((frame.header.codec, *batch)),
            Content::Control(_) => None,
        })
        .collect();
    assert_eq!(batches, content::batches());
    let codecs = [Codec::None, Codec::Lz4, Codec::Zstd];
    assert!(
        codecs
            .iter()
            .all(|codec| batches.iter().any(|(used, _)| used == codec))
    );
}

/// What the golden segment of this version holds, encoded now: it must be the
/// very bytes that were stored, unless a compressor has changed. With
/// `ROBUSTMQ_WRITE_GOLDEN` set, the files of a new version are written.
#[test]
fn golden_files_are_what_is_written_today() {
    let mut segment = Vec::new();
    for (place, frame) in content::frames().into_iter().enumerate() {
        let stamp = content::stamp(place as u64);
        match frame {
            content::Frame::Control(control) => {
                control.encode(&stamp, SEGMENT, &mut segment);
            }
            content::Frame::Batch(codec, batch) => {
                let mut encoder = BodyEncoder::new(Compression {
                    codec,
                    bytes_min: 0,
                });
                let fields = content::fields(&stamp, &batch);
                let header =
                    encode_frame(&fields, encoder.encode(batch.body()), SEGMENT, &mut segment);
                assert_eq!(header.codec, codec);
            }
        }
    }
    let end = content::end(segment.len() as u64);
    end.encode(
        &content::stamp(content::frames().len() as u64),
        SEGMENT,
        &mut segment,
    );
    assert!(segment.len() > HEADER_LEN);
    let (found, position_end) = scan(&segment);
    let index = build_index(&found, position_end);
    let parsed = SegmentIndex::parse(index.clone(), SEGMENT).expect("an index");
    let text = describe(&found, &parsed);
    // The room behind the seal is not part of the segment.
    segment.resize(segment.len() + 64, 0xee);
    let files = [
        ("segment-v1.bin", &segment[..]),
        ("index-v1.bin", &index[..]),
        ("segment-v1.txt", text.as_bytes()),
    ];
    for (name, bytes) in files {
        if std::env::var_os("ROBUSTMQ_WRITE_GOLDEN").is_none() {
            let stored = std::fs::read(path(name)).expect("the golden file is there");
            assert!(stored == bytes, "{name} is not what is written today");
            continue;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path(name));
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

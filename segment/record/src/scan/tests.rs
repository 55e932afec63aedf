use std::convert::Infallible;

use crate::testing::{SEGMENT, messages, put_batch, segment_start, stamp};
use crate::{
    Control, Damage, DurableMark, FrameKind, FrameScanner, HEADER_LEN, Lsn, ScanEnd, ScanItem,
    ScanOptions, SegmentEnd, Tail, parse_header, read_slice,
};

mod damage;
mod flips;

/// What a scan met, without borrows.
#[derive(Debug, PartialEq)]
enum Met {
    Frame { position: u64, lsn: u64 },
    Damaged(Damage),
    End(ScanEnd),
}

fn met(item: ScanItem<'_>) -> Met {
    match item {
        ScanItem::Frame(frame) => {
            if frame.header.fields.kind == FrameKind::Batch {
                frame.batch().expect("a yielded batch is valid");
            } else {
                frame.control().expect("a yielded control frame is valid");
            }
            Met::Frame {
                position: frame.position,
                lsn: frame.header.fields.lsn.0,
            }
        }
        ScanItem::Damaged(damage) => Met::Damaged(damage),
        ScanItem::End(end) => Met::End(end),
    }
}

fn scan_with(bytes: &[u8], options: ScanOptions) -> Vec<Met> {
    let mut scanner = FrameScanner::new(options, read_slice(bytes));
    let mut found = Vec::new();
    while let Some(item) = scanner.next_item().unwrap_or_else(|error| match error {}) {
        found.push(met(item));
        assert!(found.len() < 1000, "the scan ends");
    }
    assert!(
        matches!(found.last(), Some(Met::End(_))),
        "every scan ends with an end"
    );
    found
}

fn options(bytes: &[u8]) -> ScanOptions {
    ScanOptions {
        lsn_start: Some(Lsn(100)),
        ..ScanOptions::new(SEGMENT, bytes.len() as u64)
    }
}

fn scan(bytes: &[u8]) -> Vec<Met> {
    scan_with(bytes, options(bytes))
}

fn lsns(found: &[Met]) -> Vec<u64> {
    found
        .iter()
        .filter_map(|met| {
            if let Met::Frame { lsn, .. } = met {
                Some(*lsn)
            } else {
                None
            }
        })
        .collect()
}

fn end(found: &[Met]) -> ScanEnd {
    match found.last() {
        Some(Met::End(end)) => *end,
        other => panic!("no end but {other:?}"),
    }
}

fn damages(found: &[Met]) -> Vec<Damage> {
    found
        .iter()
        .filter_map(|met| {
            if let Met::Damaged(d) = met {
                Some(*d)
            } else {
                None
            }
        })
        .collect()
}

/// A segment under construction: frames in rounds, each round synced before
/// the next one.
struct Segment {
    bytes: Vec<u8>,
    positions: Vec<usize>,
    lsn: u64,
    durable: u64,
}

impl Segment {
    /// With a first frame, which is synced.
    fn new() -> Self {
        let mut segment = Self {
            bytes: Vec::new(),
            positions: Vec::new(),
            lsn: 100,
            durable: 99,
        };
        segment.control(&segment_start(false));
        segment.synced()
    }

    fn control(&mut self, control: &Control) {
        self.positions.push(self.bytes.len());
        control.encode(&stamp(self.lsn, self.durable), SEGMENT, &mut self.bytes);
        self.lsn += 1;
    }

    /// A round of `count` batches.
    fn round(mut self, count: usize) -> Self {
        for _ in 0..count {
            self.positions.push(self.bytes.len());
            let batch = messages(0, self.lsn - 100, 2, 2);
            put_batch(&mut self.bytes, &batch, self.lsn, self.durable);
            self.lsn += 1;
        }
        self
    }

    fn synced(mut self) -> Self {
        self.durable = self.lsn - 1;
        self
    }

    fn mark(mut self) -> Self {
        self.control(&Control::DurableMark(DurableMark { clean: false }));
        self
    }

    fn seal(mut self) -> Self {
        let (frames, position) = (self.positions.len() as u64 + 1, self.bytes.len() as u64);
        self.control(&Control::SegmentEnd(SegmentEnd {
            frames,
            position,
            clean: false,
        }));
        self
    }

    /// Unused room of the file.
    fn zeros(mut self, len: usize) -> Self {
        self.bytes.resize(self.bytes.len() + len, 0);
        self
    }

    fn frame(&self, place: usize) -> std::ops::Range<usize> {
        let start = self.positions[place];
        let header = parse_header(&self.bytes[start..], SEGMENT).expect("a frame");
        start..start + header.frame_len()
    }

    fn data_end(&self) -> usize {
        self.frame(self.positions.len() - 1).end
    }
}

fn sample() -> Segment {
    Segment::new().round(2).synced().round(3).synced().round(1)
}

#[test]
fn frames_come_in_order_up_to_the_zeros() {
    let segment = sample().zeros(5000);
    let found = scan(&segment.bytes);
    assert_eq!(lsns(&found), [100, 101, 102, 103, 104, 105, 106]);
    let position = segment.data_end() as u64;
    let wanted = ScanEnd {
        position,
        tail: Tail::Clean,
        lsn_next: Lsn(107),
        dirty_end: position,
    };
    assert_eq!(end(&found), wanted);
}

#[test]
fn a_full_file_and_an_empty_one_end_clean() {
    let segment = sample();
    assert_eq!(end(&scan(&segment.bytes)).tail, Tail::Clean);
    let wanted = ScanEnd {
        position: 0,
        tail: Tail::Clean,
        lsn_next: Lsn(100),
        dirty_end: 0,
    };
    assert_eq!(scan(&[]), [Met::End(wanted)]);
    assert_eq!(scan(&[0; 4096]), [Met::End(wanted)]);
}

#[test]
fn nothing_is_looked_at_behind_a_seal() {
    let segment = sample().seal();
    let mut bytes = segment.bytes.clone();
    bytes.extend_from_slice(&segment.bytes);
    let found = scan(&bytes);
    assert_eq!(lsns(&found).len(), 8);
    let end = end(&found);
    assert_eq!(
        (end.tail, end.position),
        (Tail::Sealed, segment.bytes.len() as u64)
    );
}

#[test]
fn leftovers_of_a_recycled_file_are_no_frames() {
    let segment = sample();
    let mut bytes = segment.bytes.clone();
    let mut old = Vec::new();
    segment_start(false).encode(&stamp(107, 106), crate::SegmentId(76), &mut old);
    bytes.extend_from_slice(&old);
    let end = end(&scan(&bytes));
    assert_eq!(
        (end.tail, end.position),
        (Tail::Stale, segment.data_end() as u64)
    );
    assert_eq!(end.dirty_end, end.position);
}

#[test]
fn own_frames_with_old_numbers_are_no_frames() {
    let segment = sample();
    let mut bytes = segment.bytes.clone();
    bytes.extend_from_slice(&segment.bytes[segment.frame(3)]);
    let found = scan(&bytes);
    assert_eq!(lsns(&found).len(), 7);
    assert_eq!(end(&found).position, segment.data_end() as u64);
}

#[test]
fn any_chunk_size_gives_the_same() {
    let mut segment = sample().zeros(1000);
    let lost = segment.frame(3);
    segment.bytes[lost.start + 10] ^= 1;
    let wanted = scan(&segment.bytes);
    assert_eq!(damages(&wanted).len(), 1);
    for chunk_bytes in (1..400).step_by(7) {
        let options = ScanOptions {
            chunk_bytes,
            ..options(&segment.bytes)
        };
        assert_eq!(
            scan_with(&segment.bytes, options),
            wanted,
            "chunks of {chunk_bytes}"
        );
    }
}

#[test]
fn memory_is_bounded_by_chunk_and_frame() {
    let segment = sample().zeros(1 << 20);
    let frame_max = (0..7)
        .map(|place| segment.frame(place).len())
        .max()
        .expect("frames");
    let mut largest = 0;
    let mut read = read_slice(&segment.bytes);
    let options = ScanOptions {
        chunk_bytes: 128,
        ..options(&segment.bytes)
    };
    let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
        largest = largest.max(buffer.len());
        read(position, buffer)
    });
    while scanner
        .next_item()
        .unwrap_or_else(|error: Infallible| match error {})
        .is_some()
    {}
    drop(scanner);
    assert!(largest <= frame_max.max(128), "{largest}");
}

#[test]
fn a_file_that_is_shorter_than_said_ends_there() {
    let segment = sample();
    let options = ScanOptions {
        len: 1 << 40,
        ..options(&segment.bytes)
    };
    let found = scan_with(&segment.bytes, options);
    assert_eq!((lsns(&found).len(), end(&found).tail), (7, Tail::Clean));
    // Cut inside the last frame.
    let cut = &segment.bytes[..segment.data_end() - 8];
    let found = scan_with(cut, options);
    assert_eq!(lsns(&found).len(), 6);
    assert_eq!(end(&found).position, segment.frame(6).start as u64);
}

#[test]
fn a_read_error_can_be_repeated() {
    let segment = sample().zeros(100);
    let mut read = read_slice(&segment.bytes);
    let mut calls = 0u32;
    let options = ScanOptions {
        chunk_bytes: 128,
        ..options(&segment.bytes)
    };
    let mut scanner = FrameScanner::new(options, |position, buffer: &mut [u8]| {
        calls += 1;
        if calls.is_power_of_two() {
            Err("try again")
        } else {
            Ok(read(position, buffer).unwrap_or(0))
        }
    });
    let (mut errors, mut found) = (0, Vec::new());
    loop {
        match scanner.next_item() {
            Err(_) => errors += 1,
            Ok(Some(item)) => found.push(met(item)),
            Ok(None) => break,
        }
    }
    assert!(errors > 3);
    assert_eq!(found, scan(&segment.bytes));
}

#[test]
fn compacted_segments_may_leave_numbers_out() {
    let whole = sample().seal();
    let mut bytes = Vec::new();
    segment_start(true).encode(&stamp(100, 99), SEGMENT, &mut bytes);
    for place in [2, 5, 7] {
        bytes.extend_from_slice(&whole.bytes[whole.frame(place)]);
    }
    let found = scan(&bytes);
    assert_eq!(lsns(&found), [100, 102, 105, 107]);
    assert_eq!((damages(&found), end(&found).tail), (vec![], Tail::Sealed));
}

#[test]
fn the_header_length_is_what_the_format_says() {
    assert_eq!(HEADER_LEN, 88);
    assert!(HEADER_LEN.is_multiple_of(crate::FRAME_ALIGN));
}

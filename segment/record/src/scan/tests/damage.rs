//! Torn or damaged: who proves what.

use super::*;

/// The sample with frame `place` made unreadable in its header or its body.
fn broken(segment: &Segment, place: usize, header: bool) -> Vec<u8> {
    let mut bytes = segment.bytes.clone();
    let frame = segment.frame(place);
    bytes[frame.start + if header { 30 } else { HEADER_LEN + 3 }] ^= 0x10;
    bytes
}

fn damage(segment: &Segment, place: usize, header: bool) -> Damage {
    let frame = segment.frame(place);
    let lsn = 100 + place as u64;
    Damage {
        position: frame.start as u64,
        len: frame.len() as u64,
        lsn_start: Lsn(lsn),
        lsn_end: Lsn(lsn + 1),
        header: (!header)
            .then(|| parse_header(&segment.bytes[frame.start..], SEGMENT).expect("a frame")),
    }
}

#[test]
fn synced_frames_are_damaged_and_the_rest_is_read() {
    let segment = sample().zeros(3000);
    // Frames 0 to 5 are named durable by a later frame, frame 6 is not.
    for place in 0..6 {
        for header in [false, true] {
            let found = scan(&broken(&segment, place, header));
            assert_eq!(damages(&found), [damage(&segment, place, header)]);
            let others: Vec<_> = (100..107)
                .filter(|lsn| *lsn != 100 + place as u64)
                .collect();
            assert_eq!(lsns(&found), others);
            assert_eq!(end(&found).position, segment.data_end() as u64);
            assert_eq!(end(&found).lsn_next, Lsn(107));
        }
    }
}

#[test]
fn the_last_write_is_torn() {
    let segment = sample().zeros(3000);
    let start = segment.frame(6).start as u64;
    let found = scan(&broken(&segment, 6, false));
    let dirty_end = segment.data_end() as u64;
    let torn = ScanEnd {
        position: start,
        tail: Tail::Torn,
        lsn_next: Lsn(106),
        dirty_end,
    };
    assert_eq!((damages(&found), end(&found)), (vec![], torn));
    // Of a lost header nothing tells that it was one.
    let found = scan(&broken(&segment, 6, true));
    let stale = ScanEnd {
        tail: Tail::Stale,
        dirty_end: start,
        ..torn
    };
    assert_eq!((damages(&found), end(&found)), (vec![], stale));
}

#[test]
fn all_behind_a_torn_frame_of_the_same_write_goes_with_it() {
    let segment = Segment::new().round(2).synced().round(3).zeros(3000);
    for place in 3..6 {
        for header in [false, true] {
            let found = scan(&broken(&segment, place, header));
            assert_eq!(damages(&found), []);
            assert_eq!(lsns(&found), (100..100 + place as u64).collect::<Vec<_>>());
            let end = end(&found);
            assert_eq!(end.position, segment.frame(place).start as u64);
            if place < 5 {
                assert_eq!(
                    (end.tail, end.dirty_end),
                    (Tail::Torn, segment.data_end() as u64)
                );
            }
        }
    }
}

#[test]
fn a_durable_mark_proves_the_last_write() {
    let segment = Segment::new().round(2).synced().mark().zeros(3000);
    for place in 0..3 {
        let found = scan(&broken(&segment, place, true));
        assert_eq!(
            damages(&found),
            [damage(&segment, place, true)],
            "frame {place}"
        );
    }
    // The mark itself is nothing to lose.
    assert_eq!(damages(&scan(&broken(&segment, 3, false))), []);
}

#[test]
fn later_segments_prove_a_tail() {
    let segment = sample().seal().zeros(3000);
    let bytes = broken(&segment, 6, true);
    let known = ScanOptions {
        durable_lsn: Lsn(107),
        ..options(&bytes)
    };
    let found = scan_with(&bytes, known);
    assert_eq!(damages(&found), [damage(&segment, 6, true)]);
    assert_eq!(end(&found).tail, Tail::Sealed);
    // Without the proof the seal goes with the frame before it.
    assert_eq!(end(&scan(&bytes)).position, segment.frame(6).start as u64);

    // Both gone: the next segment's first number says how many are missing.
    let mut bytes = segment.bytes.clone();
    let start = segment.frame(6).start;
    bytes[start..].fill(0);
    let known = ScanOptions {
        durable_lsn: Lsn(200),
        lsn_end: Some(Lsn(108)),
        ..options(&bytes)
    };
    let found = scan_with(&bytes, known);
    let lost = Damage {
        position: start as u64,
        len: (bytes.len() - start) as u64,
        lsn_start: Lsn(106),
        lsn_end: Lsn(108),
        header: None,
    };
    assert_eq!(damages(&found), [lost]);
    assert_eq!(
        (end(&found).position, end(&found).lsn_next),
        (bytes.len() as u64, Lsn(108))
    );
    // Nothing is missing: a clean end, whatever is durable later.
    let known = ScanOptions {
        lsn_end: Some(Lsn(106)),
        ..known
    };
    let found = scan_with(&bytes, known);
    assert_eq!((damages(&found), end(&found).tail), (vec![], Tail::Clean));
}

#[test]
fn a_lost_stretch_is_found_again_behind() {
    let segment = sample().zeros(3000);
    let mut bytes = segment.bytes.clone();
    let (start, end_) = (segment.frame(2).start, segment.frame(4).end);
    bytes[start..end_].fill(0);
    let found = scan(&bytes);
    let lost = Damage {
        position: start as u64,
        len: (end_ - start) as u64,
        lsn_start: Lsn(102),
        lsn_end: Lsn(105),
        header: None,
    };
    assert_eq!(damages(&found), [lost]);
    assert_eq!(lsns(&found), [100, 101, 105, 106]);
}

#[test]
fn damage_can_end_in_a_torn_write() {
    // 101 and 102 are synced; 103 to 105 are one write, of which 105 arrived.
    let segment = Segment::new().round(2).synced().round(3).zeros(3000);
    let mut bytes = segment.bytes.clone();
    let (start, behind) = (segment.frame(2).start, segment.frame(5).start);
    bytes[start..behind].fill(0);
    let found = scan(&bytes);
    let lost = Damage {
        position: start as u64,
        len: (behind - start) as u64,
        lsn_start: Lsn(102),
        lsn_end: Lsn(103),
        header: None,
    };
    assert_eq!(damages(&found), [lost]);
    assert_eq!(lsns(&found), [100, 101]);
    let torn = ScanEnd {
        position: behind as u64,
        tail: Tail::Torn,
        lsn_next: Lsn(103),
        dirty_end: segment.data_end() as u64,
    };
    assert_eq!(end(&found), torn);
}

#[test]
fn several_damages_are_told_apart() {
    let segment = sample().zeros(3000);
    let mut bytes = broken(&segment, 1, true);
    bytes[segment.frame(2).start + HEADER_LEN] ^= 1;
    bytes[segment.frame(4).start] ^= 1;
    let found = scan(&bytes);
    let wanted = [
        damage(&segment, 1, true),
        damage(&segment, 2, false),
        damage(&segment, 4, true),
    ];
    assert_eq!(damages(&found), wanted);
    assert_eq!(lsns(&found), [100, 103, 105, 106]);
}

#[test]
fn numbers_left_out_without_bytes_are_damage() {
    let segment = sample();
    let mut bytes = segment.bytes[..segment.frame(2).end].to_vec();
    bytes.extend_from_slice(&segment.bytes[segment.frame(6)]);
    let found = scan(&bytes);
    let wanted = Damage {
        position: segment.frame(2).end as u64,
        len: 0,
        lsn_start: Lsn(103),
        lsn_end: Lsn(106),
        header: None,
    };
    assert_eq!(
        (damages(&found), lsns(&found)),
        (vec![wanted], vec![100, 101, 102, 106])
    );
}

#[test]
fn a_payload_that_looks_like_a_frame_is_not_believed() {
    // A publisher knows the segment and makes a frame with a high number; the
    // frame that carries it loses its header.
    let mut fake = Vec::new();
    put_batch(&mut fake, &messages(9, 1, 1, 1), 5000, 4999);
    for pad in 0..8 {
        let payload = [&vec![0; pad][..], &fake].concat();
        let record = crate::RecordInput {
            payload: &payload,
            ..crate::RecordInput::default()
        };
        let mut builder = crate::BatchBuilder::new(crate::BatchLimits::default());
        builder.try_push(&record).expect("fits");
        let batch = builder.finish(crate::ShardId(0), 1, crate::Term(1));
        let mut segment = Segment::new();
        segment.positions.push(segment.bytes.len());
        put_batch(&mut segment.bytes, &batch, 101, 100);
        segment.lsn += 1;
        let segment = segment.synced().round(1).zeros(3000);
        let found = scan(&broken(&segment, 1, true));
        assert_eq!(
            damages(&found),
            [damage(&segment, 1, true)],
            "padded by {pad}"
        );
        assert_eq!(lsns(&found), [100, 102]);
    }
}

#[test]
fn without_a_first_number_the_loss_is_still_seen() {
    let segment = sample().zeros(3000);
    let bytes = broken(&segment, 0, true);
    let options = ScanOptions {
        lsn_start: None,
        ..options(&bytes)
    };
    let found = scan_with(&bytes, options);
    assert_eq!(damages(&found), [damage(&segment, 0, true)]);
    assert_eq!(lsns(&found), (101..107).collect::<Vec<_>>());
    let options = ScanOptions {
        lsn_start: None,
        ..options
    };
    assert_eq!(lsns(&scan_with(&segment.bytes, options)).len(), 7);
}

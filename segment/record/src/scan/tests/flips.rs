//! Every single bit of a segment, and arbitrary bytes.

use proptest::prelude::*;

use super::*;

/// A flip is detected where it hits a frame, and changes nothing where it does
/// not; it never costs more than the frame it hit, or the unsynced tail.
#[test]
fn every_bit_flip_is_detected_or_harmless() {
    let segment = sample().zeros(64);
    let whole = scan(&segment.bytes);
    let torn_start = segment.frame(6).start;
    let mut bytes = segment.bytes.clone();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = scan(&bytes);
        let hit = (0..7).find(|place| segment.frame(*place).contains(&(bit / 8)));
        let mut left = lsns(&whole);
        match hit {
            None => assert_eq!(damages(&found), []),
            Some(6) => assert_eq!(end(&found).position, torn_start as u64),
            Some(place) => assert_eq!(damages(&found)[0].lsn_start, Lsn(100 + place as u64)),
        }
        left.retain(|lsn| hit.is_none_or(|place| *lsn != 100 + place as u64));
        assert_eq!(lsns(&found), left, "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
        magics in proptest::collection::vec(0usize..60, 0..4),
    ) {
        for place in magics {
            if let Some(word) = bytes.get_mut(place * 8..place * 8 + 4) {
                word.copy_from_slice(b"RMQF");
            }
        }
        prop_assert!(lsns(&scan(&bytes)).is_empty());
    }

    /// Whatever is overwritten: what is yielded was written, in order.
    #[test]
    fn overwritten_stretches_never_invent_frames(
        stretches in proptest::collection::vec((0usize..1500, 1usize..300, any::<u8>()), 1..4),
        copies in proptest::collection::vec((0usize..7, 0usize..200), 0..3),
    ) {
        let segment = sample().zeros(256);
        let whole: Vec<_> = lsns(&scan(&segment.bytes));
        let mut bytes = segment.bytes.clone();
        for (start, len, value) in stretches {
            let end = (start + len).min(bytes.len());
            bytes[start.min(end)..end].fill(value);
        }
        for (place, word) in copies {
            let frame = segment.frame(place);
            let start = (word * 8).min(bytes.len() - frame.len());
            bytes[start..start + frame.len()].copy_from_slice(&segment.bytes[frame]);
        }
        let found = lsns(&scan(&bytes));
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        prop_assert!(found.iter().all(|lsn| whole.contains(lsn)));
    }
}

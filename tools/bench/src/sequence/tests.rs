use super::{GAPS_MAX, Sequences};

fn after(numbers: &[u64]) -> Sequences {
    let mut sequences = Sequences::new(10, 2);
    for number in numbers {
        sequences.take(11, *number);
    }
    sequences
}

#[test]
fn counts_by_case() {
    // Numbers as they come; different ones, duplicates, late ones.
    let cases: [(&[u64], [u64; 3]); 8] = [
        (&[], [0, 0, 0]),
        (&[0, 1, 2, 3], [4, 0, 0]),
        (&[0, 1, 1, 2, 0], [3, 2, 0]),
        (&[0, 2, 1, 3], [4, 0, 1]),
        (&[5, 6, 2, 2, 0, 4], [5, 1, 3]),
        (&[0, 9], [2, 0, 0]),
        (&[3, 0, 1, 2, 3, 0], [4, 2, 3]),
        (&[9, 8, 7, 6, 5], [5, 0, 4]),
    ];
    for (numbers, expected) in cases {
        let found = after(numbers);
        let counts = [found.distinct(), found.duplicates, found.disordered];
        assert_eq!(counts, expected, "{numbers:?}");
    }
}

#[test]
fn flows_are_apart_and_strange_ones_are_told() {
    let mut sequences = Sequences::new(10, 2);
    sequences.take(10, 0);
    sequences.take(11, 0);
    sequences.take(9, 0);
    sequences.take(12, 0);
    sequences.take(u32::MAX, 0);
    assert_eq!((sequences.distinct(), sequences.foreign), (2, 3));
}

#[test]
fn what_is_remembered_of_gaps_is_bounded() {
    let mut sequences = Sequences::new(0, 1);
    for number in 0..2 * GAPS_MAX as u64 {
        sequences.take(0, 2 * number + 1);
    }
    assert_eq!(sequences.gaps[&0].len(), GAPS_MAX);
    sequences.take(0, u64::MAX);
    assert_eq!(sequences.received, 2 * GAPS_MAX as u64 + 1);
}

use super::{Histogram, bucket, highest};

#[test]
fn every_value_lies_in_a_bucket_that_is_narrow_enough() {
    let powers = (0..64).map(|power| 1u64 << power);
    for value in powers.flat_map(|value| [value - 1, value, value + value / 3]) {
        let bucket = bucket(value);
        let high = highest(bucket);
        assert!(high >= value, "{value}: {high}");
        assert!(high - value <= value / 128, "{value}: {high}");
        assert!(bucket == 0 || highest(bucket - 1) < value, "{value}");
    }
    assert_eq!(highest(bucket(u64::MAX)), u64::MAX);
}

#[test]
fn percentiles_of_a_thousand_values() {
    let mut one = Histogram::default();
    let mut two = Histogram::default();
    for value in 1..=1_000 {
        let half = if value % 2 == 0 { &mut one } else { &mut two };
        half.record(value * 1_000);
    }
    one.merge(&two);
    assert_eq!(one.count(), 1_000);
    for (share, exact) in [(0.5, 500_000), (0.9, 900_000), (0.99, 990_000)] {
        let found = one.percentile(share);
        assert!(found >= exact && found - exact <= exact / 128, "{found}");
    }
    assert_eq!(one.percentile(1.0), 1_000_000);
    assert_eq!(one.max(), 1_000_000);
}

#[test]
fn nothing_recorded_is_nought() {
    assert_eq!(Histogram::default().percentile(0.99), 0);
}

//! Sizes and times as text.

use super::*;

#[test]
fn sizes_have_the_unit_that_fits() {
    let cases = [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (10 << 20, "10.0 MB"),
        (3 << 30, "3.0 GB"),
        (5 << 50, "5120.0 TB"),
    ];
    for (count, text) in cases {
        assert_eq!(bytes(count), text);
    }
}

#[test]
fn times_are_utc() {
    assert_eq!(time(1_763_805_600_123), "2025-11-22T10:00:00.123Z");
    assert_eq!(time(u64::MAX), "-");
}

//! Times and sizes.

use std::time::Duration;

use crate::{ByteSize, TimeSpan};

#[test]
fn times_read_in_every_unit() {
    for (text, millis) in [
        ("500ms", 500),
        ("15s", 15_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("0s", 0),
    ] {
        let span: TimeSpan = text.parse().expect(text);
        assert_eq!(
            Duration::from(span),
            Duration::from_millis(millis),
            "{text}"
        );
    }
}

#[test]
fn sizes_read_in_every_unit_and_spelling() {
    for (text, bytes) in [
        ("512B", 512),
        ("64KB", 65_536),
        ("64kb", 65_536),
        ("64KiB", 65_536),
        ("64 KB", 65_536),
        ("1MB", 1 << 20),
        ("10GB", 10 << 30),
        ("2TB", 2 << 40),
        ("0B", 0),
    ] {
        let size: ByteSize = text.parse().expect(text);
        assert_eq!(size.bytes(), bytes, "{text}");
    }
}

#[test]
fn text_that_is_no_time_or_size_is_refused_with_help() {
    for text in [
        "",
        "5",
        "s",
        "5 parsecs",
        "-5s",
        "1.5h",
        "5S",
        "99999999999999999999s",
        "999999999999999d",
    ] {
        let error = text.parse::<TimeSpan>().expect_err(text);
        assert!(!error.to_string().is_empty());
    }
    for text in [
        "",
        "5",
        "MB",
        "5 MX",
        "-5MB",
        "1.5MB",
        "99999999999999999999B",
        "99999999999TB",
    ] {
        text.parse::<ByteSize>().expect_err(text);
    }
    let help = "90".parse::<TimeSpan>().expect_err("no unit").to_string();
    assert!(help.contains("500ms"), "{help}");
}

#[test]
fn display_reads_back_as_the_same_value() {
    for millis in [
        0,
        1,
        999,
        1_000,
        1_001,
        60_000,
        90_000,
        3_600_000,
        86_400_000,
        u64::MAX,
    ] {
        let span = TimeSpan::from_millis(millis);
        assert_eq!(span.to_string().parse(), Ok(span), "{span}");
    }
    for bytes in [
        0,
        1,
        1_023,
        1_024,
        1_025,
        1 << 20,
        (1 << 20) + 1,
        10 << 30,
        1 << 40,
        u64::MAX,
    ] {
        let size = ByteSize::from_bytes(bytes);
        assert_eq!(size.to_string().parse(), Ok(size), "{size}");
    }
}

#[test]
fn display_uses_the_largest_exact_unit() {
    assert_eq!(TimeSpan::from_secs(7_200).to_string(), "2h");
    assert_eq!(TimeSpan::from_millis(1_500).to_string(), "1500ms");
    assert_eq!(ByteSize::from_mb(64).to_string(), "64MB");
    assert_eq!(ByteSize::from_bytes(1_500).to_string(), "1500B");
}

//! What a name asks for.

use super::topic::{Delayed, is_delayed, parse};

const NOW_MS: u64 = 1_763_800_000_500;

fn due_ms(name: &str) -> Result<u64, &'static str> {
    parse(name, NOW_MS).map(|delayed| delayed.due_ms)
}

#[test]
fn seconds_count_from_now_and_large_ones_are_times() {
    let delayed = Delayed {
        topic: "a/b",
        due_ms: NOW_MS + 5_000,
    };
    assert_eq!(parse("$delayed/5/a/b", NOW_MS), Ok(delayed));
    assert_eq!(due_ms("$delayed/0/a"), Ok(NOW_MS));
    assert_eq!(
        due_ms("$delayed/42949669/a"),
        Ok(NOW_MS + 42_949_669 * 1_000)
    );
    assert_eq!(due_ms("$delayed/1763800010/a"), Ok(1_763_800_010_000));
    assert_eq!(due_ms("$delayed/42949670/a"), Ok(NOW_MS), "that has passed");
    assert_eq!(
        parse("$delayed/1//a", NOW_MS).map(|delayed| delayed.topic),
        Ok("/a"),
        "a slash of the topic is the topic's"
    );
}

#[test]
fn what_is_no_delay_is_refused() {
    for name in [
        "$delayed/",
        "$delayed/5",
        "$delayed/5/",
        "$delayed//a",
        "$delayed/-5/a",
        "$delayed/+5/a",
        "$delayed/5s/a",
        "$delayed/1.5/a",
        "$delayed/soon/a",
        "$delayed/99999999999/a",
        "$delayed/99999999999999999999999/a",
    ] {
        assert!(is_delayed(name));
        assert!(due_ms(name).is_err(), "{name}");
    }
    assert!(!is_delayed("$delayed"));
}

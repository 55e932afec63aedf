//! Rates and what they come to.

use super::*;

#[test]
fn rates_are_read() {
    let cases = [
        ("max", Some(Rate::Max)),
        ("original", Some(Rate::Times(1.0))),
        ("x10", Some(Rate::Times(10.0))),
        ("x0.5", Some(Rate::Times(0.5))),
        ("500/s", Some(Rate::PerSecond(500.0))),
        ("x0", None),
        ("x-1", None),
        ("xinf", None),
        ("xNaN", None),
        ("/s", None),
        ("fast", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(Rate::parse(text), expected, "{text}");
    }
}

#[test]
fn the_first_message_is_due_at_once() {
    for rate in [Rate::Max, Rate::Times(2.0), Rate::PerSecond(10.0)] {
        assert_eq!(Pace::new(rate).due_ms(5, 1_000), 1_000);
    }
}

#[test]
fn distances_are_kept_or_shortened() {
    let mut pace = Pace::new(Rate::Times(2.0));
    pace.sent(10_000, 500);
    assert_eq!(pace.due_ms(10_000, 500), 500);
    assert_eq!(pace.due_ms(13_000, 500), 2_000);
    // Times that go back are due at once.
    assert_eq!(pace.due_ms(9_000, 500), 500);
}

#[test]
fn messages_per_second_are_counted_from_the_first() {
    let mut pace = Pace::new(Rate::PerSecond(4.0));
    for sent in 0..8 {
        assert_eq!(pace.due_ms(0, 100), 100 + sent * 250);
        pace.sent(0, 100);
    }
}

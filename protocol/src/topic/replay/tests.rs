//! Every form of a position, and what is none.

use super::*;

fn parsed(full: &str) -> (bool, ReplayPosition, Option<ReplayPosition>, &str) {
    let replay = ReplayFilter::parse(full).unwrap_or_else(|error| panic!("{full}: {error}"));
    let ReplayRange { start, end } = replay.range;
    (replay.json, start, end, replay.filter.path())
}

#[test]
fn positions_of_every_form() {
    let ago = |ms| ReplayPosition::Time(Moment::AgoMs(ms));
    let at = |ms| ReplayPosition::Time(Moment::UnixMs(ms));
    let cases = [
        ("earliest", ReplayPosition::Earliest),
        ("latest", ReplayPosition::Latest),
        ("-90s", ago(90_000)),
        ("-500ms", ago(500)),
        ("-10m", ago(600_000)),
        ("-24h", ago(86_400_000)),
        ("-7d", ago(604_800_000)),
        ("ts:1763805600000", at(1_763_805_600_000)),
        ("2025-11-22T10:00:00Z", at(1_763_805_600_000)),
        ("2025-11-22T12:00:00.250+02:00", at(1_763_805_600_250)),
        ("o:3-1042-7", ReplayPosition::Offset("3-1042-7".to_owned())),
        ("last:10", ReplayPosition::Last(10)),
        ("at:-1h", ReplayPosition::At(Moment::AgoMs(3_600_000))),
        (
            "at:2025-11-22T10:00:00Z",
            ReplayPosition::At(Moment::UnixMs(1_763_805_600_000)),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(ReplayPosition::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn filters_are_taken_apart() {
    let hour = ReplayPosition::Time(Moment::AgoMs(3_600_000));
    assert_eq!(
        parsed("$replay/-1h/sensors/#"),
        (false, hour.clone(), None, "sensors/#")
    );
    assert_eq!(
        parsed("$replay-json/-1h..latest/+/a"),
        (true, hour, Some(ReplayPosition::Latest), "+/a")
    );
    // A topic may begin with an empty level.
    assert_eq!(parsed("$replay/earliest//a").3, "/a");
}

#[test]
fn what_is_wrong_is_named() {
    let position = |text: &str| ReplayError::Position(text.to_owned());
    let cases = [
        ("$replay/", ReplayError::NoRange),
        ("$replay/-1h", ReplayError::NoRange),
        ("$replay//a", ReplayError::NoRange),
        ("$replay/yesterday/a", position("yesterday")),
        ("$replay/-1/a", position("-1")),
        ("$replay/-1w/a", position("-1w")),
        ("$replay/-h/a", position("-h")),
        ("$replay/last:0/a", position("last:0")),
        ("$replay/last:-1/a", position("last:-1")),
        ("$replay/o:/a", position("o:")),
        ("$replay/ts:+1/a", position("ts:+1")),
        (
            "$replay/2025-13-01T00:00:00Z/a",
            position("2025-13-01T00:00:00Z"),
        ),
        ("$replay/-1h../a", position("")),
        (
            "$replay/-1h..last:3/a",
            ReplayError::End("last:3".to_owned()),
        ),
        (
            "$replay/-1h/a/#/b",
            ReplayError::Filter(TopicError::MultiLevelWildcard),
        ),
        ("$replay/-1h/", ReplayError::Filter(TopicError::Empty)),
    ];
    for (full, expected) in cases {
        assert_eq!(ReplayFilter::parse(full), Err(expected), "{full}");
    }
    let endless = format!("$replay/-{}d/a", u64::MAX);
    assert!(ReplayFilter::parse(&endless).is_err());
}

#[test]
fn moments_before_the_epoch_are_the_epoch() {
    assert_eq!(Moment::AgoMs(5).to_unix_ms(3), 0);
    assert_eq!(Moment::AgoMs(5).to_unix_ms(8), 3);
    assert_eq!(Moment::UnixMs(5).to_unix_ms(8), 5);
}

//! Greetings as they are written and read.

use super::*;

fn hello() -> Hello {
    Hello {
        node_id: 7,
        cluster_id: Some("c1".to_owned()),
        incarnation: 1 << 100,
        address: "seven:7083".to_owned(),
        software: "robustmq 0.1".to_owned(),
        purpose: Purpose::Visit,
        versions: (1, 3),
        run: 11,
        attempt: 12,
        is_used: true,
        body_bytes_max: 13,
        in_flight_max: 14,
        in_flight_bytes_max: 15,
    }
}

#[test]
fn it_is_read_as_it_was_written() {
    assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
    let without = Hello {
        cluster_id: None,
        ..hello()
    };
    assert_eq!(Hello::decode(&without.encode()), Ok(without));
}

#[test]
fn later_versions_may_add_to_it() {
    let mut bytes = hello().encode().to_vec();
    bytes.extend_from_slice(b"something new");
    assert_eq!(Hello::decode(&bytes), Ok(hello()));
}

#[test]
fn what_is_cut_or_cannot_be_shown_is_refused() {
    let bytes = hello().encode();
    for end in 0..bytes.len() {
        assert_eq!(Hello::decode(&bytes[..end]), Err(NoHello), "{end}");
    }
    let escape = Hello {
        address: "\u{1b}[2J".to_owned(),
        ..hello()
    };
    assert_eq!(Hello::decode(&escape.encode()), Err(NoHello));
}

#[test]
fn the_newest_common_version_is_spoken() {
    for (versions, common) in [
        ((VERSION_MIN, VERSION_MAX), Some(VERSION_MAX)),
        ((VERSION_MAX, VERSION_MAX + 5), Some(VERSION_MAX)),
        ((VERSION_MAX + 1, VERSION_MAX + 5), None),
        ((0, VERSION_MIN - 1), None),
    ] {
        let other = Hello {
            versions,
            ..hello()
        };
        assert_eq!(other.common_version(), common, "{versions:?}");
    }
}

#[test]
fn texts_of_the_other_side_are_cut_and_cannot_break_a_line() {
    assert_eq!(readable(b"no\nway\x1b"), "no way ");
    assert_eq!(readable(&[b'x'; 5000]).len(), REASON_BYTES_MAX);
    assert_eq!(readable(&text_bytes(&"ä".repeat(5000))), "ä".repeat(512));
    let refusal = Refusal::For("because".to_owned());
    let (kind, body) = refusal.encode();
    assert_eq!(Refusal::decode(kind, &body), refusal);
    let (kind, body) = Refusal::Superseded.encode();
    assert_eq!(Refusal::decode(kind, &body), Refusal::Superseded);
}

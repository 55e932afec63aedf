use super::*;
use crate::error::ViewError;

fn expiring(topic: &str, timestamp_ms: u64, message_expiry_s: u32) -> SampleRecord {
    SampleRecord {
        timestamp_ms,
        message_expiry_s: Some(message_expiry_s),
        ..SampleRecord::retained(topic, "x")
    }
}

#[test]
fn the_whole_message_is_kept() {
    let mut bench = Bench::new();
    let record = SampleRecord {
        qos: 1,
        message_expiry_s: Some(60),
        properties: vec![1, 1],
        ..SampleRecord::retained("a", "payload")
    };
    let offset = bench.append_to(ShardId(2), std::slice::from_ref(&record));
    let expected = RetainedMessage {
        topic: "a".to_owned(),
        publisher: "publisher".to_owned(),
        qos: 1,
        timestamp_ms: record.timestamp_ms,
        message_expiry_s: Some(60),
        properties: vec![1, 1].into(),
        payload: b"payload".to_vec().into(),
        shard: ShardId(2),
        offset,
    };
    assert_eq!(bench.retained("a", 0), [expected]);
}

#[test]
fn the_last_message_counts_and_an_empty_one_clears() {
    let mut bench = Bench::new();
    bench.append(&[
        SampleRecord::retained("a", "1"),
        SampleRecord::retained("a", "2"),
    ]);
    assert_eq!(bench.retained("a", 0)[0].payload, "2");
    let plain = SampleRecord {
        retain: false,
        ..SampleRecord::retained("a", "3")
    };
    bench.append(&[plain]);
    assert_eq!(
        bench.retained("a", 0)[0].payload,
        "2",
        "only RETAIN replaces"
    );
    bench.append(&[SampleRecord::retained("a", "")]);
    assert_eq!(bench.topics("#"), [""; 0]);
    assert_eq!(
        bench.views.counts().expect("memory can be read").retained,
        0
    );
}

#[test]
fn filters_find_what_the_specification_says() {
    let mut bench = Bench::new();
    let topics = [
        "/",
        "$SYS/x",
        "sport",
        "sport/",
        "sport/tennis",
        "sport/tennis/1",
        "sports",
        "a",
    ];
    bench.append(&topics.map(|topic| SampleRecord::retained(topic, "x")));
    assert_eq!(
        bench.topics("sport/#"),
        ["sport", "sport/", "sport/tennis", "sport/tennis/1"]
    );
    assert_eq!(bench.topics("sport/+"), ["sport/", "sport/tennis"]);
    assert_eq!(bench.topics("sport"), ["sport"]);
    assert_eq!(bench.topics("+"), ["a", "sport", "sports"]);
    assert_eq!(bench.topics("+/+"), ["/", "sport/", "sport/tennis"]);
    assert_eq!(bench.topics("$SYS/#"), ["$SYS/x"]);
    assert_eq!(
        bench.topics("#").len(),
        topics.len() - 1,
        "# does not match $SYS/x"
    );
    assert_eq!(bench.topics("nothing/#"), [""; 0]);
    let refused = bench.views.retained("a/#/b", 0, 1, None);
    assert!(matches!(refused, Err(ViewError::Filter(_))), "{refused:?}");
}

#[test]
fn pages_follow_each_other_without_gap_or_twin() {
    let mut bench = Bench::new();
    for number in 0..50 {
        bench.append(&[
            SampleRecord::retained(&format!("t/{number:02}/a"), "x"),
            SampleRecord::retained(&format!("t/{number:02}/b"), "x"),
        ]);
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().map(String::as_str);
        let page = bench.views.retained("t/+/a", 0, 7, after);
        let page = page.expect("memory can be read");
        let count = page.len();
        seen.extend(page.into_iter().map(|message| message.topic));
        if count < 7 {
            break;
        }
    }
    let expected: Vec<_> = (0..50).map(|number| format!("t/{number:02}/a")).collect();
    assert_eq!(seen, expected);
    let exact = bench.views.retained("t/00/a", 0, 7, Some("t/00/a"));
    assert_eq!(exact.expect("memory can be read"), []);
}

#[test]
fn what_has_expired_is_neither_told_nor_kept() {
    let mut bench = Bench::new();
    bench.append(&[
        expiring("a", 1_000, 5),
        expiring("b", 1_000, 6),
        SampleRecord::retained("c", "x"),
        expiring("never/sent", 1_000, 0),
    ]);
    let topics = |bench: &Bench, now_ms| bench.retained("#", now_ms).len();
    assert_eq!(topics(&bench, 5_999), 3);
    assert_eq!(topics(&bench, 6_000), 2);
    assert_eq!(
        bench
            .views
            .expire_retained(6_000)
            .expect("memory takes writes"),
        2
    );
    assert_eq!(
        bench
            .views
            .expire_retained(6_000)
            .expect("memory takes writes"),
        0
    );
    assert_eq!(
        bench.views.counts().expect("memory can be read").retained,
        2
    );
    assert_eq!(
        bench
            .views
            .expire_retained(u64::MAX)
            .expect("memory takes writes"),
        1
    );
    assert_eq!(bench.topics("#"), ["c"]);
}

#[test]
fn a_message_that_was_replaced_does_not_expire_its_successor() {
    let mut bench = Bench::new();
    bench.append(&[expiring("a", 1_000, 5)]);
    bench.append(&[SampleRecord::retained("a", "stays")]);
    bench.append(&[expiring("b", 1_000, 5)]);
    bench.append(&[expiring("b", 1_000, 50)]);
    assert_eq!(
        bench
            .views
            .expire_retained(20_000)
            .expect("memory takes writes"),
        0
    );
    assert_eq!(bench.retained("#", 20_000).len(), 2);
}

#[test]
fn many_expire_at_once() {
    let mut bench = Bench::new();
    let records: Vec<_> = (0..3_000)
        .map(|number| expiring(&format!("t/{number}"), 0, 1))
        .collect();
    bench.append(&records);
    assert_eq!(
        bench
            .views
            .expire_retained(1_000)
            .expect("memory takes writes"),
        3_000
    );
    assert_eq!(
        bench.views.counts().expect("memory can be read"),
        Default::default()
    );
}

#[test]
fn a_snapshot_shows_one_moment() {
    let mut bench = Bench::new();
    bench.append(&[
        SampleRecord::retained("a", "1"),
        SampleRecord::retained("b", "1"),
    ]);
    bench.log(&opened(1, false));
    let snapshot = bench.views.snapshot();
    bench.append(&[
        SampleRecord::retained("a", "2"),
        SampleRecord::retained("b", ""),
    ]);
    bench.append(&[SampleRecord::retained("c", "2")]);
    bench.append(&[SampleRecord::exactly_once(CLIENT, "t", 1)]);
    bench.log(&closed(1, 0, 0, None));
    let found = snapshot
        .retained("#", 0, 10, None)
        .expect("memory can be read");
    let found: Vec<_> = found
        .iter()
        .map(|message| (&*message.topic, &*message.payload))
        .collect();
    assert_eq!(found, [("a", &b"1"[..]), ("b", &b"1"[..])]);
    assert!(
        snapshot
            .session(CLIENT)
            .expect("memory can be read")
            .is_some()
    );
    assert_eq!(
        snapshot.inbound_qos2(CLIENT).expect("memory can be read"),
        []
    );
    assert_eq!(bench.topics("#"), ["a", "c"]);
}

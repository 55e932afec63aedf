//! Kills, deleted views, and a log whose beginning is removed.

use super::*;

/// Payloads of everything that was ever published to a topic.
fn history(broker: &Broker, filter: &str) -> Vec<String> {
    let path = format!("/api/v5/history/messages?filter={filter}&limit=10000");
    let page = http(broker).get(&path).json();
    let messages = page["data"].as_array().expect("a list").iter();
    messages
        .map(|message| message["payload"].as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn what_waits_survives_a_kill_and_deleted_views_and_is_published_once() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let at = now_s() + 4;
    let topic = format!("$delayed/{at}/a/b");
    for number in 0..50 {
        delay(&mut publisher, &topic, &number.to_string());
    }
    let far = delay(&mut publisher, "$delayed/3600/a/far", "far");
    broker.kill_and_restart();
    assert_eq!(waiting(&broker), 51);
    broker.kill();
    std::fs::remove_dir_all(broker.data().join("views")).expect("there are views");
    broker.restart();
    wait_until_waiting(&broker, 1);
    // Killed right after: what was published is not published again.
    broker.kill_and_restart();
    let numbers: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(history(&broker, "a/b"), numbers);
    broker.kill();
    std::fs::remove_dir_all(broker.data().join("views")).expect("there are views");
    broker.restart();
    assert_eq!(waiting(&broker), 1);
    assert_eq!(json(&broker, &["show", &far])["topic"], "a/far");
    assert_eq!(history(&broker, "a/b"), numbers);
}

#[test]
fn what_came_due_while_the_broker_was_down_is_published_soon_after() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    delay(&mut publisher, "$delayed/1/a", "late");
    broker.kill();
    std::thread::sleep(Duration::from_millis(1_200));
    broker.restart();
    let mut subscriber = clean(&broker, "s");
    subscriber.subscribe("$replay/earliest/a", QoS::AtMostOnce);
    assert_eq!(payload(&take(&mut subscriber)), "late");
}

/// Kills at arbitrary moments while many become due: every message is published
/// exactly once, whatever was under way.
#[test]
fn kills_while_messages_become_due_lose_and_repeat_none() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let start = now_s();
    let mut sent = Vec::new();
    for second in 2..8u64 {
        for number in 0..150 {
            let topic = format!("$delayed/{}/a/{}", start + second, number % 7);
            let text = format!("{second}-{number}");
            delay(&mut publisher, &topic, &text);
            sent.push(text);
        }
    }
    for round in 0..6u64 {
        // Not in step with the seconds at which messages are due.
        std::thread::sleep(Duration::from_millis(430 + 170 * (round % 4)));
        broker.kill_and_restart();
    }
    wait_until_waiting(&broker, 0);
    let mut published = history(&broker, "a/%23");
    published.sort_unstable();
    sent.sort_unstable();
    assert_eq!(published.len(), sent.len());
    assert_eq!(published, sent);
}

/// Publishes about 6 MB that do not compress.
fn fill(client: &mut Client) {
    let mut state = 1u64;
    for _ in 0..100 {
        let mut text = String::new();
        while text.len() < 60_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text += &state.to_string();
        }
        let (reason, _) = store(client, &publishing("fill", &text));
        assert!(!reason.is_error(), "{reason:?}");
    }
}

#[test]
fn retention_does_not_remove_what_waits() {
    let mut broker = Broker::start(&[
        "storage.segment_size=1MB",
        "storage.retention_messages=10",
        "storage.retention_check_interval=100ms",
    ]);
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, &publishing("first", "goes"));
    let far = delay(&mut publisher, "$delayed/3600/keep/far", "far away");
    delay(&mut publisher, "$delayed/15/keep/this", "carried forward");
    fill(&mut publisher);
    let start = Instant::now();
    while !history(&broker, "first").is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "nothing is removed"
        );
        fill(&mut publisher);
    }
    broker.kill();
    // What is left of the log alone says what waits.
    std::fs::remove_dir_all(broker.data().join("views")).expect("there are views");
    broker.restart();
    let shown = json(&broker, &["show", &far]);
    assert_eq!(
        (&shown["topic"], &shown["payload"]),
        (&"keep/far".into(), &"ZmFyIGF3YXk=".into())
    );
    wait_until_waiting(&broker, 1);
    assert_eq!(history(&broker, "keep/%23"), ["carried forward"]);
    assert!(ctl(&broker, &["cancel", &far]).status.success());
    broker.kill_and_restart();
    assert_eq!(waiting(&broker), 0);
}

//! Starts, ends and rates.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;

/// The present, apart from what is published before and after.
fn moment() -> u128 {
    let wait = Duration::from_millis(5);
    std::thread::sleep(wait);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    std::thread::sleep(wait);
    now.as_millis()
}

/// Topics `s/a` and `s/b`, three messages each, and one aside.
fn filled(broker: &Broker) -> Vec<String> {
    let mut publisher = clean(broker, "publisher");
    let mut receipts = Vec::new();
    for number in 1..=3 {
        receipts.push(store(&mut publisher, "s/a", &format!("a{number}")));
        tick();
        receipts.push(store(&mut publisher, "s/b", &format!("b{number}")));
        tick();
    }
    store(&mut publisher, "aside", "x");
    receipts
}

#[test]
fn a_bounded_range_has_its_messages_and_ends() {
    let broker = Broker::start(&[]);
    let receipts = filled(&broker);
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$replay/earliest..latest/s/#");
    assert_eq!(
        payloads(&mut client, 6),
        ["a1", "b1", "a2", "b2", "a3", "b3"]
    );
    // It has ended: what comes now is not part of it.
    store(&mut clean(&broker, "p"), "s/a", "later");
    nothing(&mut client);
    // From one token (included) up to another (not included).
    let range = format!("$replay/o:{}..o:{}/s/a", receipts[2], receipts[4]);
    subscribe(&mut client, &range);
    assert_eq!(payloads(&mut client, 1), ["a2"]);
    nothing(&mut client);
}

#[test]
fn two_replays_of_a_range_are_identical() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "publisher");
    for number in 0..200 {
        let topic = format!("t/{}", number % 17);
        store(&mut publisher, &topic, &number.to_string());
    }
    let mut sequences = (0..2).map(|number| {
        let mut client = clean(&broker, &format!("c{number}"));
        subscribe(&mut client, "$replay/earliest..latest/t/#");
        let messages: Vec<Message> = (0..200).map(|_| take(&mut client)).collect();
        nothing(&mut client);
        let place = |message: &Message| {
            (
                message.topic.clone(),
                message.payload.clone(),
                marks(message)["x-offset"].to_owned(),
            )
        };
        messages.iter().map(place).collect::<Vec<_>>()
    });
    assert_eq!(sequences.next(), sequences.next());
}

#[test]
fn starts_and_ends_by_time() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "publisher");
    store(&mut publisher, "s/a", "1");
    let first = moment();
    store(&mut publisher, "s/b", "2");
    let second = moment();
    store(&mut publisher, "s/a", "3");
    let mut client = clean(&broker, "c");
    subscribe(&mut client, &format!("$replay/ts:{first}/s/#"));
    assert_eq!(payloads(&mut client, 2), ["2", "3"]);
    let mut client = clean(&broker, "d");
    subscribe(&mut client, &format!("$replay/ts:{first}..ts:{second}/s/+"));
    assert_eq!(payloads(&mut client, 1), ["2"]);
    nothing(&mut client);
    let mut client = clean(&broker, "e");
    subscribe(&mut client, "$replay/-1h..-0s/s/#");
    assert_eq!(payloads(&mut client, 3), ["1", "2", "3"]);
}

#[test]
fn the_last_messages_of_each_topic() {
    let broker = Broker::start(&[]);
    filled(&broker);
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$replay/last:2/s/+");
    assert_eq!(payloads(&mut client, 4), ["a2", "b2", "a3", "b3"]);
    // It goes on live.
    store(&mut clean(&broker, "p"), "s/c", "c1");
    assert_eq!(payloads(&mut client, 1), ["c1"]);
}

#[test]
fn the_state_as_of_a_moment() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "publisher");
    store(&mut publisher, "s/a", "old");
    store(&mut publisher, "s/gone", "x");
    let cleared = Publish {
        retain: true,
        ..publish("s/gone", b"", QoS::AtLeastOnce)
    };
    store_packet(&mut publisher, &cleared);
    let then = moment();
    store(&mut publisher, "s/a", "new");
    let mut client = clean(&broker, "c");
    subscribe(&mut client, &format!("$replay/at:ts:{then}/s/#"));
    assert_eq!(payloads(&mut client, 1), ["old"]);
    nothing(&mut client);
}

#[test]
fn messages_say_where_they_are_from() {
    let broker = Broker::start(&[]);
    let receipts = filled(&broker);
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$replay/earliest/s/a");
    let message = take(&mut client);
    assert_eq!(
        (message.topic.as_str(), message.retain, message.dup),
        ("s/a", false, false)
    );
    let told = marks(&message);
    assert_eq!(told["x-offset"], receipts[0]);
    assert_eq!(told["x-replay"], "1");
    assert!(told["x-timestamp"].parse::<u64>().is_ok());
    assert_eq!(payloads(&mut client, 2), ["a2", "a3"]);
    let receipt = store(&mut clean(&broker, "p"), "s/a", "live");
    let live = take(&mut client);
    assert_eq!(marks(&live)["x-offset"], receipt);
    assert!(!marks(&live).contains_key("x-replay"));
}

#[test]
fn envelopes_hold_text_and_bytes() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "publisher");
    let receipt = store(&mut publisher, "s/a", "text");
    store_packet(&mut publisher, &publish("s/a", &[0, 255], QoS::AtLeastOnce));
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$replay-json/earliest/s/a");
    let first: serde_json::Value =
        serde_json::from_slice(&take(&mut client).payload).expect("JSON");
    assert_eq!(first["offset"], receipt);
    assert_eq!(first["topic"], "s/a");
    assert_eq!(first["qos"], 1);
    assert_eq!(first["clientid"], "publisher");
    assert_eq!(first["payload"], "text");
    let second: serde_json::Value =
        serde_json::from_slice(&take(&mut client).payload).expect("JSON");
    assert_eq!(second["payload_b64"], "AP8=");
}

#[test]
fn a_bad_position_is_refused() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    for filter in [
        "$replay/yesterday/a",
        "$replay/-1h",
        "$replay/o:nonsense/a",
        "$replay/o:99-1-1/a",
        "$replay/-1h/a/#/b",
        "$replay/-1h/$share/g/a",
    ] {
        let codes = client.subscribe(filter, QoS::AtLeastOnce);
        assert!(codes[0].is_error(), "{filter}: {codes:?}");
    }
    let codes = client.subscribe_wishing("a", QoS::AtLeastOnce, &[("replay-from", "soon")]);
    assert_eq!(codes, [ReasonCode::TopicFilterInvalid]);
}

#[test]
fn a_rate_holds_history_back_and_user_properties_ask_for_it() {
    let broker = Broker::start(&[]);
    filled(&broker);
    let mut client = clean(&broker, "c");
    let wishes = [
        ("replay-from", "earliest"),
        ("replay-mode", "only"),
        ("replay-rate", "20/s"),
    ];
    let start = Instant::now();
    let codes = client.subscribe_wishing("s/#", QoS::AtLeastOnce, &wishes);
    assert_eq!(codes, [ReasonCode::GrantedQoS1]);
    assert_eq!(payloads(&mut client, 6).len(), 6);
    // Five pauses of 50 ms.
    assert!(
        start.elapsed() >= Duration::from_millis(250),
        "{:?}",
        start.elapsed()
    );
    store(&mut clean(&broker, "p"), "s/a", "later");
    nothing(&mut client);
}

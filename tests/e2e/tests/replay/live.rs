//! From history to live.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[test]
fn there_is_no_seam_between_history_and_live() {
    let broker = Broker::start(&["storage.segment_size=1MB"]);
    let address = broker.address();
    let stop = Arc::new(AtomicBool::new(false));
    let publishing: Vec<_> = (0..3)
        .map(|number| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let (mut client, _) =
                    Client::accepted(address, &Connect::new(&format!("p{number}")));
                let topic = format!("t/{number}");
                let mut count = 0u32;
                while !stop.load(Ordering::Acquire) {
                    store(&mut client, &topic, &count.to_string());
                    count += 1;
                }
                count
            })
        })
        .collect();
    // Replays that begin while publishers are at it, and read on until the end.
    let replaying: Vec<_> = (0..6)
        .map(|number| {
            let qos = if number % 2 == 0 {
                QoS::AtLeastOnce
            } else {
                QoS::AtMostOnce
            };
            let (mut client, _) = Client::accepted(address, &Connect::new(&format!("c{number}")));
            client.subscribe("$replay/earliest/t/#", qos);
            std::thread::spawn(move || {
                let mut next = [0u32; 3];
                let mut ends = 0;
                while ends < 3 {
                    let message = take(&mut client);
                    let place: usize = message.topic[2..].parse().expect("a number");
                    if text(&message) == "end" {
                        ends += 1;
                        continue;
                    }
                    assert_eq!(text(&message), next[place].to_string(), "{}", message.topic);
                    next[place] += 1;
                }
                next
            })
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    stop.store(true, Ordering::Release);
    let mut counts = Vec::new();
    for thread in publishing {
        counts.push(thread.join().expect("a publisher ends well"));
    }
    let mut client = clean(&broker, "ender");
    (0..3).for_each(|number| drop(store(&mut client, &format!("t/{number}"), "end")));
    for thread in replaying {
        let got = thread.join().expect("a replay ends well");
        assert_eq!(got.to_vec(), counts);
    }
}

#[test]
fn a_replay_says_when_it_has_caught_up() {
    let broker = Broker::start(&[]);
    store(&mut clean(&broker, "p"), "s/a", "1");
    let mut client = clean(&broker, "c");
    client.subscribe("$SYS/replay/c/caught_up", QoS::AtMostOnce);
    subscribe(&mut client, "$replay/earliest/s/a");
    assert_eq!(payloads(&mut client, 1), ["1"]);
    let marker = take(&mut client);
    assert_eq!(marker.topic, "$SYS/replay/c/caught_up");
    assert!(text(&marker).contains("$replay/earliest/s/a"));
    store(&mut clean(&broker, "p"), "s/a", "2");
    assert_eq!(payloads(&mut client, 1), ["2"]);
}

#[test]
fn a_replay_that_has_caught_up_counts_as_a_subscriber() {
    let broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    client.subscribe("$SYS/replay/c/caught_up", QoS::AtMostOnce);
    subscribe(&mut client, "$replay/latest/s/a");
    assert_eq!(take(&mut client).topic, "$SYS/replay/c/caught_up");
    let mut publisher = clean(&broker, "p");
    let codes: Vec<ReasonCode> = ["s/a", "s/b"]
        .into_iter()
        .map(|topic| {
            let packet = publish(topic, b"x", QoS::AtLeastOnce);
            publisher.publish(&packet).expect("PUBLISH is sent");
            match publisher.receive().expect("the broker answers") {
                Received::PubAck(_, reason, _) => reason,
                other => panic!("no PUBACK: {other:?}"),
            }
        })
        .collect();
    assert_eq!(
        codes,
        [ReasonCode::Success, ReasonCode::NoMatchingSubscribers]
    );
    assert_eq!(payloads(&mut client, 1), ["x"]);
}

#[test]
fn a_replay_keeps_to_the_window_and_ends_with_unsubscribe() {
    let broker = Broker::start(&["storage.cursor_flush_interval=1h"]);
    let mut publisher = clean(&broker, "p");
    (0..100).for_each(|number| drop(store(&mut publisher, "s/a", &number.to_string())));
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$replay/earliest/s/a");
    // The window is 32 for a client that names none.
    let mut held = Vec::new();
    for _ in 0..32 {
        match client.receive().expect("the broker answers") {
            Received::Publish(message) => held.push(message),
            other => panic!("no PUBLISH: {other:?}"),
        }
    }
    nothing(&mut client);
    for message in held {
        let packet_id = message.packet_id.expect("QoS 1 has one");
        client
            .ack(Packet::PubAck, packet_id)
            .expect("PUBACK is sent");
    }
    assert_eq!(
        payloads(&mut client, 68).last().map(String::as_str),
        Some("99")
    );
    assert_eq!(
        client.unsubscribe(&["$replay/earliest/s/a"]),
        [ReasonCode::Success]
    );
    store(&mut publisher, "s/a", "later");
    nothing(&mut client);
}

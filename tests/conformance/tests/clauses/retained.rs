//! Retained messages (3.3.1.3, 3.8.3.1, 3.8.4).

use std::time::Duration;

use robustmq_conformance::{
    Broker, Client, Connect, Props, Publish, Subscribe, differs_on_peer, property,
};

use super::{BOTH, let_pass, publish_once, publisher};

const RETAIN_AS_PUBLISHED: u8 = 0x08;
const ONLY_IF_NEW: u8 = 0x10;
const NEVER: u8 = 0x20;

fn retain(broker: &Broker, topic: &str, payload: &str) {
    publish_once(broker, Publish::new(topic, payload).retain());
}

#[test]
fn mqtt5_3_3_1_5_the_last_message_is_kept_and_sent_to_new_subscribers() {
    let broker = Broker::start();
    for qos in 0..=2 {
        let mut sender = publisher(&broker);
        sender.publish(&Publish::new("r", "before").retain());
        let last = Publish::new("r", format!("last {qos}"))
            .retain()
            .qos(qos, 1);
        if qos == 0 {
            sender.publish(&last);
            sender.publish_1("flush", "");
        } else {
            sender.publish_through(last);
        }
        for version in BOTH {
            let mut client = Client::connect(&broker, &Connect::new(version, "new")).0;
            client.subscribe("r", 2);
            let message = client.take();
            assert!(message.retain && !message.dup);
            assert_eq!((message.qos, message.text()), (qos, format!("last {qos}")));
            client.expect_silence();
        }
    }
}

#[test]
fn mqtt5_3_3_1_12_live_messages_lose_the_flag_unless_asked() {
    let broker = Broker::start();
    let mut plain = Client::v5(&broker, "plain");
    plain.subscribe("r", 1);
    let mut old = Client::v311(&broker, "old");
    old.subscribe("r", 1);
    let mut as_published = Client::v5(&broker, "as-published");
    as_published.subscribe("r", 1 | RETAIN_AS_PUBLISHED);
    let mut sender = publisher(&broker);
    sender.publish_through(Publish::new("r", "retained").retain().qos(1, 1));
    sender.publish_through(Publish::new("r", "plain").qos(1, 2));
    for (client, flags) in [
        (&mut plain, [false, false]),
        (&mut old, [false, false]),
        (&mut as_published, [true, false]),
    ] {
        assert_eq!([client.take().retain, client.take().retain], flags);
    }
}

#[test]
fn mqtt5_3_3_1_6_an_empty_payload_clears() {
    let broker = Broker::start();
    for qos in [1, 2] {
        retain(&broker, "r", "old");
        let mut live = Client::v5(&broker, "live");
        live.subscribe("r", 2);
        assert_eq!(live.take().text(), "old");
        publisher(&broker).publish_through(Publish::new("r", "").retain().qos(qos, 3));
        // It is a message like any other to those who are there.
        assert_eq!(live.take().payload, b"");
        let mut late = Client::v5(&broker, "late");
        late.subscribe("r", 2);
        late.expect_silence();
    }
}

#[test]
fn mqtt5_3_3_1_9_retain_handling_0_sends_at_every_subscribe() {
    let broker = Broker::start();
    retain(&broker, "r", "kept");
    let mut client = Client::v5(&broker, "c");
    for _ in 0..3 {
        client.subscribe("r", 1);
        assert_eq!(client.take().text(), "kept");
    }
    client.expect_silence();
}

#[test]
fn mqtt5_3_3_1_10_retain_handling_1_sends_at_a_new_subscription_only() {
    let broker = Broker::start();
    retain(&broker, "r", "kept");
    let mut client = Client::v5(&broker, "c");
    client.subscribe("r", 1 | ONLY_IF_NEW);
    assert_eq!(client.take().text(), "kept");
    client.subscribe("r", 1 | ONLY_IF_NEW);
    client.expect_silence();
    client.unsubscribe(&["r"]);
    client.subscribe("r", 1 | ONLY_IF_NEW);
    assert_eq!(client.take().text(), "kept");
}

#[test]
fn mqtt5_3_3_1_11_retain_handling_2_never_sends() {
    let broker = Broker::start();
    retain(&broker, "r", "kept");
    let mut client = Client::v5(&broker, "c");
    client.subscribe("r", 1 | NEVER);
    client.expect_silence();
    publisher(&broker).publish_1("r", "live");
    assert_eq!(client.take().text(), "live");
}

#[test]
fn mqtt5_3_3_1_9_wildcards_fetch_all_that_match() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    for number in 0..300_u16 {
        sender.publish_through(
            Publish::new(&format!("w/{}/{number}", number % 3), "v")
                .retain()
                .qos(1, number + 1),
        );
    }
    sender.publish_through(Publish::new("other", "v").retain().qos(1, 1));
    let mut client = Client::v5(&broker, "c");
    client.subscribe("w/1/+", 1);
    let mut topics: Vec<String> = (0..100).map(|_| client.take().topic).collect();
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 100);
    assert!(topics.iter().all(|topic| topic.starts_with("w/1/")));
    client.expect_silence();
    client.subscribe("w/#", 0);
    let mut topics: Vec<String> = (0..300).map(|_| client.take().topic).collect();
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 300);
    client.expect_silence();
}

#[test]
fn mqtt5_3_3_2_17_retained_messages_keep_their_properties() {
    let broker = Broker::start();
    let props = Props::new()
        .byte(property::PAYLOAD_FORMAT, 1)
        .text(property::CONTENT_TYPE, "text/plain")
        .user("a", "1")
        .user("a", "2");
    publish_once(&broker, Publish::new("r", "v").retain().props(props));
    let mut client = Client::v5(&broker, "c");
    client.send(
        &Subscribe::new(9, "r", 1)
            .props(Props::new().variable(property::SUBSCRIPTION_ID, 42))
            .bytes(client.version()),
    );
    let message = client.wait_for("the message", |packet| match packet {
        robustmq_conformance::Packet::Publish(publish) => Some(publish.clone()),
        _ => None,
    });
    assert_eq!(message.props.users(), [("a", "1"), ("a", "2")]);
    assert_eq!(
        message.props.string(property::CONTENT_TYPE),
        Some("text/plain")
    );
    assert_eq!(message.props.number(property::PAYLOAD_FORMAT), Some(1));
    assert_eq!(message.props.numbers(property::SUBSCRIPTION_ID), [42]);
}

#[test]
fn mqtt5_3_3_2_5_retained_messages_expire() {
    let broker = Broker::start();
    let expiry = |seconds| Props::new().four(property::MESSAGE_EXPIRY, seconds);
    publish_once(
        &broker,
        Publish::new("r/short", "v").retain().props(expiry(1)),
    );
    publish_once(
        &broker,
        Publish::new("r/long", "v").retain().props(expiry(1000)),
    );
    let_pass(Duration::from_millis(2_100));
    let mut client = Client::v5(&broker, "c");
    client.subscribe("r/#", 1);
    let message = client.take();
    assert_eq!(message.topic, "r/long");
    let left = message
        .props
        .number(property::MESSAGE_EXPIRY)
        .expect("what is left");
    assert!((900..1000).contains(&left), "{left}");
    client.expect_silence();
}

#[test]
fn retained_messages_survive_stop_and_kill() {
    if differs_on_peer("keeps nothing when killed") {
        return;
    }
    let mut broker = Broker::start();
    for number in 0..50 {
        retain(&broker, &format!("r/{number}"), &number.to_string());
    }
    retain(&broker, "r/7", "");
    for round in 0..2 {
        if round == 0 {
            broker.kill_9();
        } else {
            assert!(broker.stop().status.success());
        }
        broker.restart();
        let mut client = Client::v5(&broker, "c");
        client.subscribe("r/+", 1);
        let mut numbers: Vec<u32> = client
            .take_texts(49)
            .iter()
            .map(|text| text.parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        assert_eq!(
            numbers,
            (0..50).filter(|number| *number != 7).collect::<Vec<u32>>()
        );
        client.expect_silence();
    }
}

#[test]
fn retained_and_live_messages_meet_without_gap_or_twin() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    sender.publish_through(Publish::new("seam", "0").retain().qos(1, 1));
    let writing = std::thread::spawn(move || {
        for number in 1..400_u16 {
            sender.publish_through(
                Publish::new("seam", number.to_string())
                    .retain()
                    .qos(1, number + 1),
            );
        }
    });
    for round in 0..10 {
        let mut client = Client::v5(&broker, &format!("seam-{round}"));
        client.subscribe("seam", 1);
        let mut last: Option<u32> = None;
        for at in 0..20 {
            let message = client.take();
            let number: u32 = message.text().parse().expect("a number");
            if let Some(last) = last {
                assert_eq!(number, last + 1, "message {at} of round {round}");
            }
            last = Some(number);
            if number == 399 {
                break;
            }
        }
    }
    writing.join().expect("publishes are acknowledged");
}

//! PUBLISH from end to end (3.3, 4.3).

use robustmq_conformance::{
    AckKind, Broker, Client, Connect, Options, Publish, Version, differs_on_peer,
};

use super::{BOTH, publisher};

#[test]
fn mqtt5_3_8_4_8_qos_is_the_lower_of_publish_and_subscription() {
    let broker = Broker::start();
    for from in BOTH {
        for to in BOTH {
            let mut sender = Client::connect(&broker, &Connect::new(from, "sender")).0;
            let mut receiver = Client::connect(&broker, &Connect::new(to, "receiver")).0;
            for granted in 0..=2 {
                receiver.subscribe("q", granted);
                sender.publish(&Publish::new("q", "0"));
                assert_eq!(receiver.take().qos, 0);
                sender.publish_1("q", "1");
                assert_eq!(receiver.take().qos, granted.min(1));
                sender.publish_2("q", "2");
                let last = receiver.take();
                assert_eq!((last.qos, last.text().as_str()), (granted, "2"));
            }
        }
    }
}

#[test]
fn mqtt5_3_3_1_3_dup_is_not_passed_on() {
    let broker = Broker::start();
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("t", 2);
    let mut sender = publisher(&broker);
    for qos in [1, 2] {
        sender.publish_through(Publish::new("t", "again").qos(qos, 7).dup());
        assert!(!receiver.take().dup);
    }
}

#[test]
fn mqtt5_4_6_0_2_acknowledgements_come_in_the_order_of_the_publishes() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    let mut bytes = Vec::new();
    for id in 1..=100 {
        // Topics of every shard, so that batches of several are in flight.
        bytes.extend(
            Publish::new(&format!("order/{id}"), "p")
                .qos(1, id)
                .bytes(Version::V5),
        );
    }
    sender.send(&bytes);
    for id in 1..=100 {
        assert_eq!(sender.acked(AckKind::PubAck).id, id);
    }
}

#[test]
fn mqtt5_4_6_0_6_messages_of_one_topic_keep_their_order() {
    let broker = Broker::start();
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("o/#", 2);
    let mut sender = publisher(&broker);
    for number in 0..20_u16 {
        for qos in 0..=2 {
            let topic = format!("o/{qos}");
            sender.publish(
                &Publish::new(&topic, number.to_string()).qos(qos, number * 3 + u16::from(qos)),
            );
        }
    }
    for number in 0..20_u16 {
        sender.wait_for_ack(AckKind::PubRec, number * 3 + 2);
        sender.ack(AckKind::PubRel, number * 3 + 2);
    }
    let mut seen = [0, 0, 0];
    for _ in 0..60 {
        let message = receiver.take();
        let qos = usize::from(message.qos);
        assert_eq!(message.topic, format!("o/{qos}"));
        assert_eq!(message.text(), seen[qos].to_string(), "QoS {qos}");
        seen[qos] += 1;
    }
}

#[test]
fn mqtt5_3_3_payload_is_any_bytes_of_any_length() {
    let broker = Broker::start();
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("bytes", 1);
    let mut sender = publisher(&broker);
    for length in [0, 1, 127, 128, 16_383, 16_384, 65_536, 900_000] {
        let payload: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
        sender.publish_1("bytes", &payload);
        assert!(
            receiver.take().payload == payload,
            "{length} bytes arrive unharmed"
        );
    }
}

#[test]
fn mqtt5_3_4_2_1_puback_says_when_nobody_subscribes() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    assert_eq!(sender.publish_1("nobody/here", "p").code, 0x10);
    assert_eq!(sender.publish_2("nobody/here", "p").code, 0x10);
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("somebody/+", 0);
    assert_eq!(sender.publish_1("somebody/here", "p").code, 0);
    assert_eq!(sender.publish_2("somebody/here", "p").code, 0);
    receiver.disconnect();
    assert_eq!(sender.publish_1("somebody/here", "p").code, 0x10);
}

#[test]
fn mqtt5_3_4_2_1_an_offline_session_is_a_subscriber() {
    let broker = Broker::start();
    let (mut receiver, _) = Client::lasting(&broker, Version::V5, "offline");
    receiver.subscribe("away", 1);
    receiver.disconnect();
    assert_eq!(publisher(&broker).publish_1("away", "p").code, 0);
}

#[test]
fn mqtt5_4_3_1_qos_0_reaches_everybody_connected() {
    let broker = Broker::start();
    let mut receivers: Vec<Client> = (0..50)
        .map(|number| {
            let mut client = Client::v5(&broker, &format!("receiver-{number}"));
            client.subscribe("all", 0);
            client
        })
        .collect();
    let mut sender = publisher(&broker);
    for number in 0..20 {
        sender.publish(&Publish::new("all", number.to_string()));
    }
    for receiver in &mut receivers {
        for number in 0..20 {
            assert_eq!(receiver.message().text(), number.to_string());
        }
    }
}

#[test]
fn acks_of_many_connections_do_not_mix() {
    let broker = Broker::start();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let mut client = Client::v5(&broker, &format!("client-{number}"));
            std::thread::spawn(move || {
                let topic = format!("own/{number}");
                client.subscribe(&topic, 2);
                for round in 0..50_u32 {
                    client.publish_1(&topic, round.to_string());
                    client.publish_2(&topic, round.to_string());
                    assert_eq!(client.take_texts(2), [round.to_string(), round.to_string()]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("each client hears only its own");
    }
}

#[test]
fn large_messages_of_many_publishers_all_arrive() {
    if differs_on_peer("would need the same limits") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.max_packet_size", "4MB"));
    let mut receiver = Client::v5(&broker, "receiver");
    receiver.subscribe("big/#", 1);
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let mut client = Client::v5(&broker, &format!("big-{number}"));
            std::thread::spawn(move || {
                for _ in 0..3 {
                    client.publish_1(&format!("big/{number}"), vec![number as u8; 3_000_000]);
                }
            })
        })
        .collect();
    for _ in 0..12 {
        let message = receiver.take();
        assert_eq!(message.payload.len(), 3_000_000);
        let number: u8 = message.topic[4..]
            .parse()
            .expect("the topic ends with a number");
        assert!(message.payload.iter().all(|byte| *byte == number));
    }
    for thread in threads {
        thread.join().expect("each publish is acknowledged");
    }
}

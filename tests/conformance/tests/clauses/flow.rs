//! Receive Maximum and Maximum Packet Size in both directions (3.1.2.11, 4.9).

use robustmq_conformance::{AckKind, Broker, Client, Connect, Options, Props, Publish, property};

use super::publisher;

fn window(broker: &Broker, receive_max: u16) -> Client {
    let props = Props::new().two(property::RECEIVE_MAX, receive_max);
    Client::connect(broker, &Connect::v5("receiver").props(props)).0
}

#[test]
fn mqtt5_3_3_4_9_qos_1_stays_within_the_clients_window() {
    let broker = Broker::start();
    let mut client = window(&broker, 2);
    client.subscribe("t", 1);
    let mut sender = publisher(&broker);
    for number in 0..6 {
        sender.publish_1("t", number.to_string());
    }
    let first = client.message();
    let second = client.message();
    client.expect_silence();
    client.ack(AckKind::PubAck, first.id);
    let third = client.message();
    client.expect_silence();
    client.ack(AckKind::PubAck, second.id);
    client.ack(AckKind::PubAck, third.id);
    assert_eq!(client.take_texts(3), ["3", "4", "5"]);
}

#[test]
fn mqtt5_4_9_qos_2_holds_its_place_until_pubcomp() {
    let broker = Broker::start();
    let mut client = window(&broker, 1);
    client.subscribe("t", 2);
    let mut sender = publisher(&broker);
    sender.publish_2("t", "a");
    sender.publish_2("t", "b");
    let first = client.message();
    client.ack(AckKind::PubRec, first.id);
    client.acked(AckKind::PubRel);
    client.expect_silence();
    client.ack(AckKind::PubComp, first.id);
    assert_eq!(client.take().text(), "b");
}

#[test]
fn mqtt5_4_9_qos_0_needs_no_place() {
    let broker = Broker::start();
    let mut client = window(&broker, 1);
    client.subscribe("t/#", 1);
    let mut sender = publisher(&broker);
    sender.publish_1("t/1", "held");
    assert_eq!(client.message().text(), "held");
    sender.publish(&Publish::new("t/0", "passes"));
    assert_eq!(client.message().text(), "passes");
}

#[test]
fn max_inflight_is_the_window_of_a_client_that_names_none() {
    let broker = Broker::start_with(Options::new().set("mqtt.max_inflight", "3"));
    let mut client = Client::v311(&broker, "receiver");
    client.subscribe("t", 1);
    let mut sender = publisher(&broker);
    for number in 0..5 {
        sender.publish_1("t", number.to_string());
    }
    let held: Vec<Publish> = (0..3).map(|_| client.message()).collect();
    client.expect_silence();
    client.ack(AckKind::PubAck, held[0].id);
    assert_eq!(client.message().text(), "3");
}

#[test]
fn mqtt5_3_3_4_7_more_than_the_servers_receive_maximum_is_an_error() {
    let broker = Broker::start_with(Options::new().set("mqtt.receive_maximum", "2"));
    let (mut client, _, props) = Client::connect(&broker, &Connect::v5("eager"));
    assert_eq!(props.number(property::RECEIVE_MAX), Some(2));
    for id in 1..=2 {
        client.publish(&Publish::new("t", "p").qos(2, id));
        client.acked(AckKind::PubRec);
    }
    client.publish(&Publish::new("t", "p").qos(2, 3));
    client.expect_end(Some(0x93));
}

#[test]
fn mqtt5_4_9_a_finished_exchange_frees_its_place() {
    let broker = Broker::start_with(Options::new().set("mqtt.receive_maximum", "2"));
    let mut client = Client::v5(&broker, "patient");
    for _ in 0..10 {
        for id in 1..=2 {
            client.publish(&Publish::new("t", "p").qos(2, id));
        }
        for id in 1..=2 {
            client.wait_for_ack(AckKind::PubRec, id);
            client.ack(AckKind::PubRel, id);
            client.wait_for_ack(AckKind::PubComp, id);
        }
        client.publish_1("t", "p");
    }
}

#[test]
fn mqtt5_3_1_2_25_what_is_too_large_for_the_client_is_left_out() {
    let broker = Broker::start();
    let props = Props::new()
        .four(property::PACKET_SIZE_MAX, 200)
        .two(property::RECEIVE_MAX, 1);
    let mut client = Client::connect(&broker, &Connect::v5("small").props(props)).0;
    client.subscribe("t", 2);
    let mut sender = publisher(&broker);
    for qos in 0..=2 {
        for (text, length) in [("before", 0), ("large", 300), ("after", 0)] {
            let payload = [text.as_bytes(), &vec![b'.'; length]].concat();
            let publish = Publish::new("t", payload).qos(qos, 1);
            if qos == 0 {
                sender.publish(&publish)
            } else {
                drop(sender.publish_through(publish))
            }
        }
        assert_eq!(client.take_texts(2), ["before", "after"], "QoS {qos}");
        client.expect_silence();
    }
}

#[test]
fn mqtt5_3_1_2_25_the_exact_size_still_fits() {
    let broker = Broker::start();
    let publish = Publish::new("t", vec![b'x'; 100]);
    let size = publish.bytes(robustmq_conformance::Version::V5).len() as u32;
    for (max, fits) in [(size, true), (size - 1, false)] {
        let props = Props::new().four(property::PACKET_SIZE_MAX, max);
        let mut client = Client::connect(&broker, &Connect::v5("exact").props(props)).0;
        client.subscribe("t", 0);
        publisher(&broker).publish(&publish);
        if fits {
            assert_eq!(client.message().payload.len(), 100);
        }
        client.expect_silence();
    }
}

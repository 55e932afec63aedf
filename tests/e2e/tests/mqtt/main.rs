//! MQTT as a client sees it, over TCP, against the real broker.

mod limits;
mod publishing;
mod retained;
mod sessions;
mod subscriptions;

use std::time::Duration;

use robustmq_e2e::{Broker, Client, Connect, Message, Received};
use robustmq_protocol::codec::{
    Ack, ConnectProperties, Forwarded, Packet, Publish, PublishProperties, RetainHandling,
    SubscribeFilter, SubscriptionOptions, Will,
};
use robustmq_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

const ID: PacketId = PacketId::MIN;

fn publish<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(ID),
        properties: PublishProperties::default(),
        payload,
    }
}

fn retained_packet<'a>(topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        retain: true,
        ..publish(topic, payload, QoS::AtLeastOnce)
    }
}

/// Publishes with QoS 1 and waits for the PUBACK.
fn store(client: &mut Client, packet: &Publish<'_>) -> (ReasonCode, Vec<(String, String)>) {
    client.publish(packet).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, properties) => (reason, properties),
        other => panic!("no PUBACK: {other:?}"),
    }
}

fn message(client: &mut Client) -> Message {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => message,
        other => panic!("no PUBLISH: {other:?}"),
    }
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

fn clean(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::new(client_id)).0
}

fn nothing(client: &mut Client) {
    // A round trip: what was on its way before it would have come before it.
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    assert_eq!(
        client.receive().expect("the broker answers"),
        Received::PingResp
    );
}

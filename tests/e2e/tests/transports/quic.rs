//! What is peculiar to QUIC.

use std::io::{Read, Write};

use robustmq_e2e::{Broker, Client, Connect, Received};
use robustmq_protocol::{QoS, ReasonCode};

use crate::certificates::{client, self_signed};
use crate::wires::{self, Quic};

fn broker() -> Broker {
    Broker::start(&["listeners.quic.default.bind=127.0.0.1:0"])
}

#[test]
fn another_protocol_is_not_spoken() {
    let broker = broker();
    let config = || client(&self_signed(&broker), None);
    let address = broker.listener("quic:default");
    assert!(Quic::open_as(address, config(), b"h3").is_err());
    assert!(Quic::open_as(address, config(), b"mqtt").is_ok());
}

#[test]
fn a_client_may_change_its_address() {
    let broker = broker();
    let wire = wires::quic(&broker);
    let moved = wire.endpoint.clone();
    let (mut client, _) = Client::accepted_over(wire, &Connect::new("c"));
    client.subscribe("t", QoS::AtMostOnce);
    let before = moved.local_addr().expect("an address");
    client.stream().change_address();
    assert_ne!(moved.local_addr().expect("an address"), before);
    client.send_bytes(&[0xC0, 0x00]).expect("PINGREQ is sent");
    assert_eq!(client.receive().ok(), Some(Received::PingResp));
}

#[test]
fn there_is_one_stream_of_mqtt_and_no_other() {
    let broker = broker();
    let (client, _) = Client::accepted_over(wires::quic(&broker), &Connect::new("c"));
    let wire = client.stream();
    let wait = std::time::Duration::from_millis(300);
    let (second, one_way) = wire.runtime.block_on(async {
        let second = tokio::time::timeout(wait, wire.connection.open_bi()).await;
        let one_way = tokio::time::timeout(wait, wire.connection.open_uni()).await;
        (second.is_ok(), one_way.is_ok())
    });
    assert!(!second, "a second stream was allowed");
    assert!(!one_way, "a stream in one direction was allowed");
}

#[test]
fn the_last_bytes_arrive_before_the_connection_closes() {
    let broker = broker();
    let mut wire = wires::quic(&broker);
    // A CONNECT of a version that there is not: it is answered, then all ends.
    wire.write_all(b"\x10\x10\x00\x04MQTT\x09\x02\x00\x00\x00\x00\x03abc")
        .expect("CONNECT is sent");
    let mut answer = Vec::new();
    wire.read_to_end(&mut answer).expect("an orderly end");
    let unsupported = ReasonCode::UnsupportedProtocolVersion as u8;
    assert_eq!(answer.first(), Some(&0x20), "{answer:?}");
    assert!(answer.contains(&unsupported), "{answer:?}");
}

#[test]
fn early_data_is_not_taken() {
    let broker = broker();
    let mut tls = (*client(&self_signed(&broker), None)).clone();
    tls.enable_early_data = true;
    let tls = std::sync::Arc::new(tls);
    let address = broker.listener("quic:default");
    let wire = Quic::open(address, tls.clone()).expect("a QUIC connection");
    // After an answer the client has what it needs to come back faster.
    let (client, _) = Client::accepted_over(wire, &Connect::new("c"));
    let config = Quic::config(&tls, b"mqtt").expect("TLS 1.3");
    let wire = client.stream();
    let early = wire.runtime.block_on(async {
        let connecting = wire.endpoint.connect_with(config, address, "localhost");
        connecting.expect("an address").into_0rtt().is_ok()
    });
    assert!(!early, "early data was offered");
}

//! Keep Alive (3.1.2.10) and PINGREQ (3.12).

use std::time::{Duration, Instant};

use robustmq_conformance::{
    Broker, Client, Connect, Heard, Options, Packet, Publish, Version, property,
};

use robustmq_conformance::client::PATIENCE;

#[test]
fn mqtt5_3_1_2_22_a_silent_client_is_cut_off_after_half_as_long_again() {
    let broker = Broker::start();
    for version in super::BOTH {
        let mut client = Client::connect(&broker, &Connect::new(version, "silent").keep_alive(1)).0;
        let start = Instant::now();
        let heard = client.hear(PATIENCE);
        if version == Version::V5 && !robustmq_conformance::broker::is_peer() {
            assert!(
                matches!(heard, Heard::Packet(Packet::Disconnect { code: 0x8d, .. })),
                "{heard:?}"
            );
        }
        if heard != Heard::Closed {
            client.expect_end(None);
        }
        let took = start.elapsed();
        assert!(took > Duration::from_millis(1_200), "{took:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

#[test]
fn mqtt5_3_1_2_22_any_packet_keeps_alive() {
    let broker = Broker::start();
    let mut pinging = Client::connect(&broker, &Connect::v5("pinging").keep_alive(1)).0;
    let mut sending = Client::connect(&broker, &Connect::v5("sending").keep_alive(1)).0;
    let mut forever = Client::connect(&broker, &Connect::v5("forever").keep_alive(0)).0;
    for _ in 0..5 {
        pinging.ping();
        sending.publish(&Publish::new("t", "p"));
        assert_eq!(pinging.hear(Duration::from_millis(700)), Heard::Nothing);
    }
    sending.ping();
    forever.ping();
}

#[test]
fn mqtt5_3_1_2_22_receiving_does_not_keep_alive() {
    let broker = Broker::start();
    let mut client = Client::connect(&broker, &Connect::v5("listening").keep_alive(1)).0;
    client.subscribe("t", 0);
    let mut sender = super::publisher(&broker);
    let start = Instant::now();
    loop {
        sender.publish_1("t", "p");
        match client.hear(Duration::from_millis(200)) {
            Heard::Packet(Packet::Publish(_)) | Heard::Nothing => {}
            Heard::Packet(Packet::Disconnect { .. }) | Heard::Closed => break,
            other => panic!("{other:?}"),
        }
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "it was never cut off"
        );
    }
}

#[test]
fn mqtt5_3_1_2_21_the_server_can_choose_the_keep_alive() {
    if robustmq_conformance::differs_on_peer("only lowers it") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.server_keepalive", "1s"));
    let (mut client, _, props) = Client::connect(&broker, &Connect::v5("dictated").keep_alive(100));
    assert_eq!(props.number(property::SERVER_KEEP_ALIVE), Some(1));
    client.expect_end(Some(0x8d));
}

#[test]
fn mqtt5_3_12_4_1_pingreq_is_answered() {
    let broker = Broker::start();
    for version in Version::ALL {
        let mut client = Client::connect(&broker, &Connect::new(version, "ping")).0;
        client.send(&[0xc0, 0].repeat(100));
        for _ in 0..100 {
            assert_eq!(client.packet(), Packet::PingResp);
        }
    }
}

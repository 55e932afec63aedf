//! Clients that mean harm: what they cost is bounded, and others never notice.

use std::io::ErrorKind;

use robustmq_conformance::chance::Chance;
use robustmq_conformance::packet::{raw, string};
use robustmq_conformance::{
    Broker, Client, Connect, Heard, Options, Packet, Props, Publish, Subscribe,
};
use robustmq_conformance::{Version, differs_on_peer};

use robustmq_conformance::client::PATIENCE;

/// A client that was there before and must be served throughout.
struct Witness(Client);

impl Witness {
    fn new(broker: &Broker) -> Self {
        let mut client = Client::v5(broker, "witness");
        client.subscribe("witness", 1);
        Self(client)
    }

    fn is_served(&mut self) {
        self.0.publish_1("witness", "still here");
        assert_eq!(self.0.take().text(), "still here");
    }
}

#[test]
fn mqtt5_2_1_4_announced_lengths_choose_no_memory() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let before = broker.rss_bytes();
    let mut clients = Vec::new();
    for number in 0..64 {
        // A CONNECT and a PUBLISH of 256 MB each, of which little more than the header ever comes.
        let mut client = Client::open(&broker, Version::V5);
        client.send(&[
            0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, b'M', b'Q', b'T', b'T', 5,
        ]);
        clients.push(client);
        let mut client = Client::v5(&broker, &format!("bomb-{number}"));
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't']);
        clients.push(client);
    }
    witness.is_served();
    let grown = broker.rss_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for 128 announcements");
    if !robustmq_conformance::broker::is_peer() {
        for client in clients.iter_mut().skip(1).step_by(2) {
            client.expect_end(Some(0x95));
        }
    }
}

#[test]
fn garbage_before_connect_harms_nobody() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let seed = 1;
    for number in 0..200 {
        let mut chance = Chance::new(seed).fork(number);
        let mut client = Client::open(&broker, Version::V5);
        let length = chance.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| chance.next_u64() as u8).collect();
        // The broker may have closed before all is written.
        let _closed = client.try_send(&bytes);
    }
    witness.is_served();
}

#[test]
fn garbage_after_connect_harms_nobody() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let seed = 2;
    for number in 0..200 {
        let mut chance = Chance::new(seed).fork(number);
        let version = Version::ALL[chance.below(3) as usize];
        let connect = Connect::new(version, "garbage");
        let mut client = Client::connect(&broker, &connect).0;
        let mut packet = Publish::new("garbage", "payload").qos(1, 7).bytes(version);
        for _ in 0..=chance.below(4) {
            let at = chance.below(packet.len() as u64) as usize;
            packet[at] = chance.next_u64() as u8;
        }
        let _closed = client.try_send(&packet);
    }
    witness.is_served();
}

#[test]
fn every_piece_of_a_connect_may_be_the_last() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let will = robustmq_conformance::Will::new("will", "must never come");
    let bytes = Connect::v5("cut").will(will).bytes();
    witness.0.subscribe("will", 0);
    for length in 0..bytes.len() {
        let mut client = Client::open(&broker, Version::V5);
        client.send(&bytes[..length]);
        client.cut();
    }
    witness.is_served();
    witness.0.expect_silence();
}

#[test]
fn a_slow_connect_is_cut_off() {
    if differs_on_peer("has no limit of a second") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.idle_timeout", "500ms"));
    let mut witness = Witness::new(&broker);
    let mut silent = Client::open(&broker, Version::V5);
    let mut slow = Client::open(&broker, Version::V5);
    let bytes = Connect::v5("slow").bytes();
    // One byte at a time, each well within the limit: the limit is on the whole packet.
    let mut sent = 0;
    while sent + 1 < bytes.len() {
        match slow.hear(std::time::Duration::from_millis(100)) {
            Heard::Nothing => {}
            Heard::Closed => break,
            Heard::Packet(packet) => panic!("{packet:?}"),
        }
        if slow.try_send(&bytes[sent..=sent]).is_err() {
            break;
        }
        sent += 1;
    }
    assert!(
        sent + 1 < bytes.len(),
        "the connection lived on for {sent} bytes"
    );
    silent.expect_end(None);
    witness.is_served();
}

#[test]
fn half_open_connections_keep_nobody_out() {
    let broker = Broker::start();
    let open: Vec<Client> = (0..1_000)
        .map(|_| Client::open(&broker, Version::V5))
        .collect();
    let mut witness = Witness::new(&broker);
    witness.is_served();
    drop(open);
    witness.is_served();
}

#[test]
fn a_packet_full_of_properties_is_passed_on_as_it_is() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "bomb");
    client.subscribe("bomb", 0);
    let props = (0..10_000).fold(Props::new(), |props, number| {
        props.user(&number.to_string(), "")
    });
    client.publish(&Publish::new("bomb", "p").props(props.clone()));
    let message = client.message();
    assert_eq!(message.props.users(), props.users());
}

#[test]
fn thousands_of_filters_in_one_packet_are_answered_one_by_one() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "bomb");
    let mut subscribe = Subscribe::new(1, "f/0", 1);
    for number in 1..5_000 {
        subscribe = subscribe.and(&format!("f/{number}/+"), 1);
    }
    let codes = client.subscribe_with(&subscribe);
    assert_eq!(codes.len(), 5_000);
    assert!(codes.iter().all(|code| *code == 1));
    client.publish_1("f/4999/x", "found");
    assert_eq!(client.take().text(), "found");
}

#[test]
fn topics_of_absurd_depth_are_refused_or_served() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let deep = "/".repeat(65_535);
    let mut client = Client::v5(&broker, "deep");
    client.send(&Publish::new(&deep, "p").bytes(Version::V5));
    let heard = client.hear(std::time::Duration::from_millis(200));
    let is_refusal = matches!(
        heard,
        Heard::Packet(Packet::Disconnect {
            code: 0x90 | 0x81 | 0x95,
            ..
        })
    );
    assert!(is_refusal || heard == Heard::Nothing, "{heard:?}");
    for filter in [deep, format!("{}#", "+/".repeat(32_000))] {
        let mut client = Client::v5(&broker, "deep");
        client.send(&Subscribe::new(1, &filter, 0).bytes(Version::V5));
        match client.hear(PATIENCE) {
            Heard::Packet(Packet::SubAck { .. } | Packet::Disconnect { .. }) | Heard::Closed => {}
            other => panic!("{other:?}"),
        }
    }
    witness.is_served();
}

#[test]
fn a_client_that_never_reads_its_answers_is_not_listened_to_for_ever() {
    let broker = Broker::start();
    let mut witness = Witness::new(&broker);
    let mut client = Client::v5(&broker, "deaf");
    let before = broker.rss_bytes();
    let pings = [0xc0, 0].repeat(32 * 1024);
    let patience = Some(std::time::Duration::from_millis(300));
    client
        .stream()
        .set_write_timeout(patience)
        .expect("a timeout can be set");
    // Until nothing more can be written, or far more has been than any buffer of the system holds.
    for _ in 0..2_000 {
        match client.try_send(&pings) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(_closed) => break,
        }
    }
    witness.is_served();
    let grown = broker.rss_bytes().saturating_sub(before);
    assert!(
        grown < 64 << 20,
        "{grown} bytes of answers that nobody reads"
    );
}

#[test]
fn other_protocols_are_hung_up_on() {
    let broker = Broker::start();
    let tls = raw(0x16, &string("\x03\x01"));
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"SSH-2.0-x\r\n".to_vec(),
        tls,
    ] {
        let mut client = Client::open(&broker, Version::V5);
        client.send(&bytes);
        // Less than the announced length may have been sent: then the end comes with the next bytes.
        let _closed = client.try_send(&[0; 65_536]);
        assert_eq!(client.hear(PATIENCE), Heard::Closed);
    }
}

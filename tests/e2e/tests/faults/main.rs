//! Disks that fail, under the real binary.

mod failing_sync;
mod full_disk;
mod slow_disk;

use std::path::Path;
use std::process::Command;

use robustmq_e2e::{Client, Launch, Received};
use robustmq_protocol::codec::{Packet, Publish, PublishProperties};
use robustmq_protocol::{PacketId, QoS, ReasonCode};

/// A broker whose syncs go wrong as `kind` (see `sync.c`) says while `flag` exists.
fn on_strange_disk(directory: &Path, kind: &str, flag: &Path) -> Launch {
    let source = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let source = Path::new(&source).join("tests/faults/sync.c");
    let library = directory.join("sync.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "cc compiles");
    Launch {
        environment: vec![
            ("LD_PRELOAD".to_owned(), library.into()),
            (kind.to_owned(), flag.into()),
        ],
        ..Launch::default()
    }
}

/// A publish with identifier 1 where it needs one.
fn publish<'a>(topic: &'a str, qos: QoS, retain: bool, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain,
        topic,
        packet_id: (qos != QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload,
    }
}

/// Publishes with QoS 1; the reason code of its PUBACK.
fn store(client: &mut Client, topic: &str, payload: &[u8]) -> ReasonCode {
    let publish = publish(topic, QoS::AtLeastOnce, false, payload);
    client.publish(&publish).expect("PUBLISH is sent");
    match client.receive().expect("the broker answers") {
        Received::PubAck(_, reason, _) => reason,
        other => panic!("no PUBACK: {other:?}"),
    }
}

/// Takes one message and acknowledges it.
fn take(client: &mut Client) -> Vec<u8> {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => {
            if let Some(packet_id) = message.packet_id {
                client
                    .ack(Packet::PubAck, packet_id)
                    .expect("PUBACK is sent");
            }
            message.payload
        }
        other => panic!("no message: {other:?}"),
    }
}

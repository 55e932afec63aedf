//! The ledger: every message is accounted for, whatever happens.

use super::*;

#[derive(Debug, Default, PartialEq, Eq)]
struct Ledger {
    accepted: u64,
    rejected: u64,
    stored: u64,
    expired: u64,
}

/// The sums over all shards.
fn ledger(broker: &Broker) -> Ledger {
    let answer = http(broker).get("/metrics");
    assert_eq!(answer.status, 200);
    let mut ledger = Ledger::default();
    for line in answer.text().lines() {
        let Some(rest) = line.strip_prefix("robustmq_ledger_") else {
            continue;
        };
        let (name, count) = rest.rsplit_once(' ').expect("a name and a count");
        let name = name.split('{').next().unwrap_or(name);
        let count: u64 = count.parse().expect("a count");
        match name {
            "accepted_total" => ledger.accepted += count,
            "rejected_total" => ledger.rejected += count,
            "stored_total" => ledger.stored += count,
            "expired_total" => ledger.expired += count,
            _ => {}
        }
    }
    ledger
}

/// How many messages the log holds.
fn held(broker: &Broker) -> u64 {
    let page = http(broker).get("/api/v5/history/messages?format=ndjson&filter=load/%23");
    page.text().lines().count() as u64
}

#[test]
fn what_is_accepted_is_stored_or_rejected() {
    let broker = Broker::start(&["mqtt.max_topic_levels=4"]);
    fill(&broker, 7);
    let mut client = clean(&broker, "c");
    let refused = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "1/2/3/4/5",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: b"too deep",
    };
    client.publish(&refused).expect("PUBLISH is sent");
    let Ok(Received::PubAck(_, reason, _)) = client.receive() else {
        panic!("no PUBACK");
    };
    assert!(reason.is_error());
    let mut publish = Publish {
        topic: "a/b",
        ..refused
    };
    publish.properties.message_expiry = Some(0);
    store_packet(&mut client, &publish);
    client.subscribe("$replay/earliest/a/b", QoS::AtMostOnce);
    nothing_but_messages(&mut client);
    let ledger = ledger(&broker);
    assert_eq!(ledger.accepted, 9);
    assert_eq!(ledger.rejected, 1);
    assert_eq!(ledger.stored, 8);
    assert_eq!(ledger.expired, 1, "it is kept, and not sent");
}

fn nothing_but_messages(client: &mut Client) {
    client.send(&Packet::PingReq).expect("PINGREQ is sent");
    while client.receive().expect("the broker answers") != Received::PingResp {}
}

/// Publishes as fast as it is taken, until the broker dies; how many were
/// acknowledged and how many sent.
fn publish_until_killed(broker: &mut Broker, kill_after: u64) -> (u64, u64) {
    let mut client = clean(broker, "load");
    let (mut sent, mut acknowledged) = (0u64, 0);
    const WINDOW: u64 = 50;
    while acknowledged < kill_after {
        while sent < acknowledged + WINDOW {
            let packet_id = PacketId::new((sent % 60_000) as u16 + 1);
            let topic = format!("load/{}", sent % 9);
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: &topic,
                packet_id,
                properties: PublishProperties::default(),
                payload: &sent.to_be_bytes(),
            };
            client.publish(&publish).expect("PUBLISH is sent");
            sent += 1;
        }
        match client.receive().expect("the broker answers") {
            Received::PubAck(..) => acknowledged += 1,
            other => panic!("no PUBACK: {other:?}"),
        }
        if acknowledged == kill_after / 2 {
            // At any moment: nothing is stored that was not accepted.
            let ledger = ledger(broker);
            assert!(
                ledger.stored >= acknowledged,
                "{ledger:?} of {acknowledged}"
            );
            assert!(
                ledger.accepted >= ledger.stored + ledger.rejected,
                "{ledger:?}"
            );
            assert!(ledger.accepted <= sent, "{ledger:?} of {sent}");
        }
    }
    broker.kill();
    (acknowledged, sent)
}

#[test]
fn the_ledger_and_the_log_agree_over_kills() {
    let mut broker = Broker::start(&[]);
    let (mut acknowledged, mut sent) = (0, 0);
    for round in 0..5 {
        let before = held(&broker);
        let (now_acknowledged, now_sent) = publish_until_killed(&mut broker, 300 + round * 77);
        broker.restart();
        acknowledged += now_acknowledged;
        sent += now_sent;
        let after = held(&broker);
        let stored = after - before;
        assert!(stored >= now_acknowledged && stored <= now_sent, "{stored}");
        assert!(after >= acknowledged && after <= sent);
        // A new life, a new account.
        assert_eq!(ledger(&broker), Ledger::default());
    }
    // In peace the account is that of the log, to the message.
    let before = held(&broker);
    let mut client = clean(&broker, "peace");
    for number in 0..100 {
        store(&mut client, &format!("load/{}", number % 9), b"x");
    }
    let ledger = ledger(&broker);
    assert_eq!(
        (ledger.accepted, ledger.rejected, ledger.stored),
        (100, 0, 100)
    );
    assert_eq!(held(&broker) - before, ledger.stored);
}

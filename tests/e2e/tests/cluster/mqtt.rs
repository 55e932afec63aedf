//! What holds on one node holds on three.

use robustmq_e2e::{Client, Cluster, Connect, Received};
use robustmq_protocol::codec::{Forwarded, Packet, Will};
use robustmq_protocol::{QoS, ReasonCode};

use crate::{next, publish, publish_anywhere, text};

#[test]
fn a_subscriber_on_one_node_gets_what_is_published_on_the_others() {
    let cluster = Cluster::start(3, &[]);
    let (mut subscriber, _) = Client::accepted(cluster.node(1).address(), &Connect::new("sub"));
    subscriber.subscribe("a/#", QoS::AtLeastOnce);
    for node in 0..3 {
        let client_id = format!("pub-{node}");
        let (mut client, _) =
            Client::accepted(cluster.node(node).address(), &Connect::new(&client_id));
        for number in 0..20 {
            let topic = format!("a/{number}");
            let payload = format!("{node}/{number}");
            let publish = publish(&topic, QoS::AtLeastOnce, &payload);
            client.publish(&publish).expect("it runs");
            assert!(matches!(client.receive(), Ok(Received::PubAck(..))));
        }
        let mut found: Vec<String> = (0..20).map(|_| text(&next(&mut subscriber))).collect();
        found.sort();
        let mut expected: Vec<String> = (0..20).map(|number| format!("{node}/{number}")).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_retained_message_is_found_on_every_node() {
    let cluster = Cluster::start(3, &[]);
    let (mut publisher, _) = Client::accepted(cluster.node(0).address(), &Connect::new("pub"));
    let mut retained = publish("state", QoS::AtLeastOnce, "on");
    retained.retain = true;
    publisher.publish(&retained).expect("it runs");
    assert!(matches!(publisher.receive(), Ok(Received::PubAck(..))));
    cluster.wait_until("every node has it", |cluster| {
        (0..3).all(|node| {
            let client_id = format!("sub-{node}");
            let connect = Connect::new(&client_id);
            let (mut client, _) = Client::accepted(cluster.node(node).address(), &connect);
            client.subscribe("state", QoS::AtMostOnce);
            let found = client.poll(std::time::Duration::from_millis(500));
            matches!(found, Ok(Some(Received::Publish(message))) if message.retain && message.payload == b"on")
        })
    });
}

#[test]
fn a_session_goes_on_at_another_node_with_what_came_meanwhile() {
    let cluster = Cluster::start(3, &[]);
    let connect = Connect::persistent("traveller");
    let (mut client, present) = Client::accepted(cluster.node(0).address(), &connect);
    assert!(!present);
    client.subscribe("news/#", QoS::AtLeastOnce);
    client.disconnect(ReasonCode::Success).expect("it runs");
    let (mut publisher, _) = Client::accepted(cluster.node(1).address(), &Connect::new("pub"));
    for number in 0..10 {
        let topic = format!("news/{number}");
        let publish = publish(&topic, QoS::AtLeastOnce, "while away");
        publisher.publish(&publish).expect("it runs");
        assert!(matches!(publisher.receive(), Ok(Received::PubAck(..))));
    }
    let (mut client, present) = Client::accepted(cluster.node(2).address(), &connect);
    assert!(present, "the session is there");
    let mut topics: Vec<String> = (0..10).map(|_| next(&mut client).topic).collect();
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 10);
}

#[test]
fn what_one_node_has_told_a_client_the_next_one_knows() {
    let cluster = Cluster::start(3, &[]);
    let connect = Connect::persistent("restless");
    let (mut client, present) = Client::accepted(cluster.node(0).address(), &connect);
    assert!(!present);
    client.subscribe("0", QoS::AtLeastOnce);
    // Every node is asked the moment another one has answered, by a client that
    // says goodbye, closes, or does not even close.
    let mut kept = Vec::new();
    for hop in 1..24 {
        match hop % 3 {
            0 => client.disconnect(ReasonCode::Success).expect("it runs"),
            1 => drop(client),
            _ => kept.push(client),
        }
        let node = cluster.node(hop % 3);
        let (again, present) = Client::accepted(node.address(), &connect);
        assert!(present, "hop {hop}");
        client = again;
        let filter = hop.to_string();
        client.subscribe(&filter, QoS::AtLeastOnce);
    }
    let filters: Vec<String> = (0..24).map(|hop| hop.to_string()).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let reasons = client.unsubscribe(&filters);
    assert_eq!(
        reasons,
        vec![ReasonCode::Success; 24],
        "every one of them was there"
    );
}

#[test]
fn a_qos_2_message_is_stored_once_though_its_client_changes_nodes() {
    let cluster = Cluster::start(3, &[]);
    let connect = Connect::persistent("restless");
    for number in 0..30 {
        let payload = number.to_string();
        let mut publish = publish("once", QoS::ExactlyOnce, &payload);
        let (mut client, _) = Client::accepted(cluster.node(number % 3).address(), &connect);
        client.publish(&publish).expect("it runs");
        if number % 2 == 0 {
            drop(client);
        } else {
            std::mem::forget(client);
        }
        let next = cluster.node((number + 1) % 3);
        let (mut client, _) = Client::accepted(next.address(), &connect);
        publish.dup = true;
        client.publish(&publish).expect("it runs");
        let packet_id = publish.packet_id.expect("it has one");
        let answer = client.receive();
        assert!(
            matches!(answer, Ok(Received::PubRec(..))),
            "{number}: {answer:?}"
        );
        client.ack(Packet::PubRel, packet_id).expect("it runs");
        let answer = client.receive();
        assert!(
            matches!(answer, Ok(Received::PubComp(..))),
            "{number}: {answer:?}"
        );
        client.disconnect(ReasonCode::Success).expect("it runs");
    }
    let (mut reader, _) = Client::accepted(cluster.node(0).address(), &Connect::new("reader"));
    reader.subscribe("$replay/earliest..latest/once", QoS::AtLeastOnce);
    let found: Vec<String> = (0..30).map(|_| text(&next(&mut reader))).collect();
    let expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_named_cursor_goes_on_at_another_node() {
    let mut cluster = Cluster::start(3, &["cluster.node_timeout=2s"]);
    let (mut publisher, _) = Client::accepted(cluster.node(0).address(), &Connect::new("pub"));
    for number in 0..30 {
        let payload = number.to_string();
        let publish = publish("job/a", QoS::AtLeastOnce, &payload);
        publisher.publish(&publish).expect("it runs");
        assert!(matches!(publisher.receive(), Ok(Received::PubAck(..))));
    }
    let filter = "$cursor/jobs@earliest/job/#";
    let mut found = Vec::new();
    for node in 0..3 {
        let client_id = format!("worker-{node}");
        let connect = Connect::new(&client_id);
        let (mut worker, _) = Client::accepted(cluster.node(node).address(), &connect);
        assert_eq!(
            worker.subscribe(filter, QoS::AtLeastOnce),
            [ReasonCode::GrantedQoS1]
        );
        // While it is in use here, nobody gets it elsewhere.
        let other = cluster.node((node + 1) % 3);
        let (mut thief, _) = Client::accepted(other.address(), &Connect::new("thief"));
        assert_eq!(
            thief.subscribe(filter, QoS::AtLeastOnce),
            [ReasonCode::QuotaExceeded]
        );
        found.extend((0..10).map(|_| text(&next(&mut worker))));
        if node == 0 {
            // What was acknowledged is stored when it leaves.
            worker.disconnect(ReasonCode::Success).expect("it runs");
        } else {
            cluster.node_mut(node).stop();
            cluster.node_mut(node).restart();
        }
    }
    // What was on its way when a worker left comes again, and nothing is left out.
    let mut numbers: Vec<usize> = found.iter().filter_map(|text| text.parse().ok()).collect();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((count, numbers), (30, (0..30).collect::<Vec<_>>()));
}

#[test]
fn takeover_by_another_node_ends_the_old_connection_with_0x8e() {
    let cluster = Cluster::start(3, &[]);
    for connect in [Connect::persistent("one"), Connect::new("two")] {
        let (mut old, _) = Client::accepted(cluster.node(0).address(), &connect);
        let (mut new, _) = Client::accepted(cluster.node(1).address(), &connect);
        match old.receive() {
            Ok(Received::Disconnect(reason)) => {
                assert_eq!(reason, ReasonCode::SessionTakenOver);
            }
            other => panic!("instead of a DISCONNECT: {other:?}"),
        }
        new.send(&Packet::PingReq).expect("it runs");
        let answer = new.receive().expect("it runs");
        assert_eq!(answer, Received::PingResp);
    }
}

#[test]
fn the_will_of_a_client_is_published_when_its_node_is_lost() {
    let mut cluster = Cluster::start(3, &["cluster.node_timeout=2s"]);
    let (mut heir, _) = Client::accepted(cluster.node(0).address(), &Connect::new("heir"));
    heir.subscribe("wills/#", QoS::AtLeastOnce);
    let connect = Connect {
        will: Some(Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "wills/1",
            delay_s: None,
            message_expiry: None,
            forwarded: Forwarded::default(),
            payload: b"gone with its node",
        }),
        ..Connect::new("testator")
    };
    let (_client, _) = Client::accepted(cluster.node(2).address(), &connect);
    cluster.node_mut(2).kill();
    assert_eq!(text(&next(&mut heir)), "gone with its node");
}

#[test]
fn history_is_replayed_from_any_node() {
    let cluster = Cluster::start(3, &[]);
    let (mut publisher, _) = Client::accepted(cluster.node(0).address(), &Connect::new("pub"));
    for number in 0..30 {
        let topic = format!("h/{}", number % 5);
        let payload = number.to_string();
        let publish = publish(&topic, QoS::AtLeastOnce, &payload);
        publisher.publish(&publish).expect("it runs");
        assert!(matches!(publisher.receive(), Ok(Received::PubAck(..))));
    }
    for node in 0..3 {
        let client_id = format!("reader-{node}");
        let (mut client, _) =
            Client::accepted(cluster.node(node).address(), &Connect::new(&client_id));
        client.subscribe("$replay/earliest/h/#", QoS::AtLeastOnce);
        let mut numbers: Vec<u32> = (0..30)
            .map(|_| text(&next(&mut client)).parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..30).collect::<Vec<u32>>(), "node {node}");
    }
}

#[test]
fn a_group_is_served_by_one_node_and_goes_on_at_another() {
    let cluster = Cluster::start(3, &[]);
    let at = |node: usize| cluster.node(node).address();
    let filter = "$share/g/w/+";
    let (mut lasting, _) = Client::accepted(at(0), &Connect::persistent("lasting"));
    assert_eq!(
        lasting.subscribe(filter, QoS::AtLeastOnce),
        [ReasonCode::GrantedQoS1]
    );
    let (mut other, _) = Client::accepted(at(1), &Connect::new("other"));
    assert_eq!(
        other.subscribe(filter, QoS::AtLeastOnce),
        [ReasonCode::QuotaExceeded],
        "it has a member elsewhere"
    );
    lasting.disconnect(ReasonCode::Success).expect("it runs");
    for number in 0..12 {
        let topic = format!("w/{number}");
        publish_anywhere(&[at(2)], "p", &topic, &format!("{number:02}"));
    }
    // The lasting member comes back to another node, with what came meanwhile.
    let (mut lasting, present) = Client::accepted(at(2), &Connect::persistent("lasting"));
    assert!(present);
    let mut found: Vec<String> = (0..12).map(|_| text(&next(&mut lasting))).collect();
    found.sort();
    let expected: Vec<String> = (0..12).map(|number| format!("{number:02}")).collect();
    assert_eq!(found, expected);
}

//! Replays of sessions that outlive their connection.

use super::*;

const FILTER: &str = "$replay/earliest/s/#";

fn again(broker: &Broker) -> Client {
    let (client, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    client
}

#[test]
fn subscribing_again_by_habit_goes_on_where_it_was() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    (0..5).for_each(|number| drop(store(&mut publisher, "s/a", &number.to_string())));
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    subscribe(&mut client, FILTER);
    assert_eq!(payloads(&mut client, 5), ["0", "1", "2", "3", "4"]);
    client.disconnect(ReasonCode::Success).expect("DISCONNECT");
    store(&mut publisher, "s/a", "offline");
    let mut client = again(&broker);
    assert_eq!(payloads(&mut client, 1), ["offline"]);
    subscribe(&mut client, FILTER);
    nothing(&mut client);
    // Unless it asks for the beginning.
    let wishes = [("replay-restart", "1")];
    client.subscribe_wishing(FILTER, QoS::AtLeastOnce, &wishes);
    assert_eq!(payloads(&mut client, 6)[0], "0");
    client.unsubscribe(&[FILTER]);
    subscribe(&mut client, FILTER);
    assert_eq!(payloads(&mut client, 6)[0], "0");
}

#[test]
fn a_kill_repeats_at_most_what_was_not_stored() {
    let mut broker = Broker::start(&["storage.cursor_flush_interval=50ms"]);
    let mut publisher = clean(&broker, "p");
    (0..20).for_each(|number| drop(store(&mut publisher, "s/a", &number.to_string())));
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    subscribe(&mut client, FILTER);
    assert_eq!(payloads(&mut client, 20).len(), 20);
    broker.kill_and_restart();
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "s/a", "after");
    let mut client = again(&broker);
    let mut got = Vec::new();
    while got.last().map(String::as_str) != Some("after") {
        got.extend(payloads(&mut client, 1));
    }
    // In order, without a hole: the end of what was there, and then the new one.
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let repeated = &got[..got.len() - 1];
    assert!(expected.ends_with(repeated), "{got:?}");
}

#[test]
fn qos_2_replays_keep_their_identifiers_over_a_kill() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    for number in 0..3 {
        let payload = number.to_string();
        let packet = publish("s/a", payload.as_bytes(), QoS::ExactlyOnce);
        publisher.publish(&packet).expect("PUBLISH is sent");
        assert!(matches!(publisher.receive(), Ok(Received::PubRec(..))));
        publisher
            .ack(Packet::PubRel, PacketId::MIN)
            .expect("PUBREL");
        assert!(matches!(publisher.receive(), Ok(Received::PubComp(..))));
    }
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    client.subscribe(FILTER, QoS::ExactlyOnce);
    let first: Vec<(Option<PacketId>, Vec<u8>)> = (0..3).map(|_| sent(&mut client)).collect();
    broker.kill_and_restart();
    let mut client = again(&broker);
    let second: Vec<(Option<PacketId>, Vec<u8>)> = (0..3).map(|_| sent(&mut client)).collect();
    assert_eq!(first, second, "an identifier means the same message");
}

fn sent(client: &mut Client) -> (Option<PacketId>, Vec<u8>) {
    match client.receive().expect("the broker answers") {
        Received::Publish(message) => (message.packet_id, message.payload),
        other => panic!("no PUBLISH: {other:?}"),
    }
}

#[test]
fn live_subscriptions_and_replays_go_side_by_side() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "s/a", "before");
    let (mut client, _) = Client::accepted(broker.address(), &Connect::persistent("c"));
    subscribe(&mut client, "s/a");
    subscribe(&mut client, "$replay/earliest..latest/s/a");
    assert_eq!(payloads(&mut client, 1), ["before"]);
    store(&mut publisher, "s/a", "live");
    assert_eq!(payloads(&mut client, 1), ["live"]);
    nothing(&mut client);
}

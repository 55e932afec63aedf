//! Retained messages, and views that can be thrown away.

use super::*;

#[test]
fn retained_messages_follow_their_rules_and_survive_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    store(&mut client, &retained_packet("r/a", b"1"));
    store(&mut client, &retained_packet("r/a", b"2"));
    store(&mut client, &retained_packet("r/b", b"x"));
    store(&mut client, &retained_packet("r/b", b""));
    drop(client);
    broker.stop();
    broker.restart();
    let mut client = clean(&broker, "d");
    client.subscribe("r/#", QoS::AtLeastOnce);
    let got = message(&mut client);
    assert_eq!(
        (got.topic.as_str(), got.payload.as_slice(), got.retain),
        ("r/a", b"2".as_slice(), true)
    );
    nothing(&mut client);
    let again = |handling| SubscribeFilter {
        filter: "r/#",
        options: SubscriptionOptions {
            retain_handling: handling,
            ..options(QoS::AtMostOnce)
        },
    };
    client.subscribe_with(&[again(RetainHandling::SendIfNew)], None);
    nothing(&mut client);
    client.subscribe_with(&[again(RetainHandling::DoNotSend)], None);
    nothing(&mut client);
    client.subscribe_with(&[again(RetainHandling::Send)], None);
    assert_eq!(message(&mut client).payload, b"2");
    // Live messages lose the flag unless it is kept as published.
    client
        .publish(&retained_packet("r/c", b"live"))
        .expect("PUBLISH is sent");
    loop {
        if let Received::Publish(got) = client.receive().expect("the broker answers") {
            assert_eq!(
                (got.payload.as_slice(), got.retain),
                (b"live".as_slice(), false)
            );
            break;
        }
    }
}

#[test]
fn the_views_are_disposable() {
    let mut broker = Broker::start(&[]);
    let mut client = clean(&broker, "c");
    for number in 0..50 {
        let topic = format!("r/{number}");
        store(&mut client, &retained_packet(&topic, b"kept"));
    }
    let (mut subscriber, _) = Client::accepted(broker.address(), &Connect::persistent("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    drop(subscriber);
    store(&mut client, &publish("t", b"waiting", QoS::AtLeastOnce));
    drop(client);
    broker.stop();
    std::fs::remove_dir_all(broker.data().join("views")).expect("the views can be deleted");
    broker.restart();
    let mut client = clean(&broker, "d");
    client.subscribe("r/#", QoS::AtMostOnce);
    for _ in 0..50 {
        assert_eq!(message(&mut client).payload, b"kept");
    }
    let (mut subscriber, present) = Client::accepted(broker.address(), &Connect::persistent("s"));
    assert!(present);
    assert_eq!(message(&mut subscriber).payload, b"waiting");
}

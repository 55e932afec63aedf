//! Shared subscriptions (section 4.8.2).

use robustmq_conformance::{AckKind, Broker, Client, Publish, Subscribe, Version, differs_on_peer};

use super::publisher;

#[test]
fn mqtt5_4_8_2_1_and_2_a_share_name_is_there_without_wildcards_and_a_filter_follows() {
    if differs_on_peer("ends the connection instead") {
        return;
    }
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "names");
    for (id, filter) in (1..).zip(["$share/", "$share/g", "$share//a", "$share/g/"]) {
        let codes = client.subscribe_with(&Subscribe::new(id, filter, 1));
        assert!(
            codes.iter().all(|code| *code >= 0x80),
            "{filter}: {codes:?}"
        );
    }
    for (id, filter) in (10..).zip(["$share/+/a", "$share/#/a", "$share/g+/a"]) {
        let codes = client.subscribe_with(&Subscribe::new(id, filter, 1));
        assert!(
            codes.iter().all(|code| *code >= 0x80),
            "{filter}: {codes:?}"
        );
    }
    let good = Subscribe::new(20, "$share/g/a/+", 1);
    assert_eq!(client.subscribe_with(&good), [1]);
}

#[test]
fn mqtt5_4_8_2_3_the_granted_qos_of_the_chosen_client_is_respected() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "member");
    client.subscribe("$share/zero/t", 0);
    client.subscribe("$share/one/t", 1);
    let mut sender = publisher(&broker);
    sender.publish_1("t", "one");
    let mut found = [client.take().qos, client.take().qos];
    found.sort_unstable();
    assert_eq!(found, [0, 1]);
    sender.publish(&Publish::new("t", "zero"));
    assert_eq!([client.take().qos, client.take().qos], [0, 0]);
}

#[test]
fn mqtt5_4_8_2_6_what_a_client_refuses_is_given_to_nobody_else() {
    let broker = Broker::start();
    let mut one = Client::v5(&broker, "one");
    let mut two = Client::v5(&broker, "two");
    one.subscribe("$share/g/t", 1);
    two.subscribe("$share/g/t", 1);
    let mut sender = publisher(&broker);
    sender.publish_1("t", "first");
    sender.publish_1("t", "second");
    for client in [&mut one, &mut two] {
        let message = client.message();
        let [high, low] = message.id.to_be_bytes();
        client.send(&[0x40, 3, high, low, 0x80]);
    }
    one.cut();
    two.expect_silence();
}

#[test]
fn mqtt5_4_8_2_unacknowledged_messages_of_a_lost_client_go_to_another() {
    let broker = Broker::start();
    let (mut lost, _) = Client::lasting(&broker, Version::V5, "lost");
    lost.subscribe("$share/g/t", 1);
    publisher(&broker).publish_1("t", "whose");
    assert_eq!(lost.message().text(), "whose");
    let mut other = Client::v5(&broker, "other");
    other.subscribe("$share/g/t", 1);
    lost.cut();
    assert_eq!(other.take().text(), "whose");
}

#[test]
fn mqtt5_3_8_4_shared_subscriptions_get_no_retained_messages() {
    let broker = Broker::start();
    let mut sender = publisher(&broker);
    sender.publish(&Publish::new("t", "kept").qos(1, 1).retain());
    sender.wait_for_ack(AckKind::PubAck, 1);
    let mut client = Client::v5(&broker, "member");
    client.subscribe("$share/g/t", 1);
    client.expect_silence();
}

#[test]
fn unsubscribing_from_a_group_is_by_the_filter_as_it_was_subscribed() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "member");
    client.subscribe("$share/g/t", 1);
    client.subscribe("t", 1);
    assert_eq!(client.unsubscribe(&["$share/g/t", "$share/h/t"]), [0, 0x11]);
    publisher(&broker).publish_1("t", "plain");
    assert_eq!(client.take().text(), "plain");
    client.expect_silence();
}

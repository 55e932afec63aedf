//! Message Expiry Interval (3.3.2.3.3).

use std::time::Duration;

use robustmq_conformance::{
    Broker, Client, Options, Props, Publish, Version, differs_on_peer, property,
};

use super::{let_pass, publisher};

fn expiring(text: &str, seconds: u32) -> Publish {
    Publish::new("t", text)
        .qos(1, 1)
        .props(Props::new().four(property::MESSAGE_EXPIRY, seconds))
}

#[test]
fn mqtt5_3_3_2_6_the_interval_counts_down_while_a_message_waits() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    client.subscribe("t", 1);
    client.disconnect();
    let mut sender = publisher(&broker);
    sender.publish_through(expiring("short", 1));
    sender.publish_through(expiring("long", 100));
    sender.publish_1("t", "endless");
    let_pass(Duration::from_millis(2_200));
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    let long = client.take();
    assert_eq!(long.text(), "long", "the short one has expired");
    let left = long
        .props
        .number(property::MESSAGE_EXPIRY)
        .expect("what is left");
    assert!((90..=98).contains(&left), "{left}");
    let endless = client.take();
    assert_eq!(endless.text(), "endless");
    assert_eq!(endless.props.number(property::MESSAGE_EXPIRY), None);
    client.expect_silence();
}

#[test]
fn mqtt5_3_3_2_6_a_live_message_has_its_whole_interval() {
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "live");
    client.subscribe("t", 1);
    publisher(&broker).publish_through(expiring("live", 50));
    let left = client.take().props.number(property::MESSAGE_EXPIRY);
    assert!(matches!(left, Some(48..=50)), "{left:?}");
}

#[test]
fn expired_messages_take_no_place_in_the_window() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    client.subscribe("t", 1);
    client.disconnect();
    let mut sender = publisher(&broker);
    for _ in 0..200 {
        sender.publish_through(expiring("short", 1));
    }
    sender.publish_1("t", "there");
    let_pass(Duration::from_millis(2_200));
    let (mut client, _) = Client::lasting(&broker, Version::V5, "away");
    assert_eq!(client.take().text(), "there");
    client.expect_silence();
}

#[test]
fn message_expiry_can_have_a_default() {
    if differs_on_peer("has no default") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.message_expiry", "1s"));
    let (mut client, _) = Client::lasting(&broker, Version::V311, "away");
    client.subscribe("t", 1);
    client.disconnect();
    publisher(&broker).publish_1("t", "of a publisher that names none");
    let_pass(Duration::from_millis(2_200));
    let (mut client, _) = Client::lasting(&broker, Version::V311, "away");
    client.expect_silence();
}

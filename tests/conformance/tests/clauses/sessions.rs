//! How long a session lives (3.1.2.4, 3.1.2.11.2, 4.1).

use std::time::Duration;

use robustmq_conformance::{Broker, Client, Connect, Options, Props, Publish, Version, Will};
use robustmq_conformance::{differs_on_peer, property};

use super::{BOTH, let_pass, publisher};

fn expiring(seconds: u32) -> Connect {
    let props = Props::new().four(property::SESSION_EXPIRY, seconds);
    Connect::v5("session").clean(false).props(props)
}

#[test]
fn mqtt5_3_2_2_2_session_present_tells_the_truth() {
    let broker = Broker::start();
    for version in Version::ALL {
        let id = format!("present-{version:?}");
        let (mut client, present) = Client::lasting(&broker, version, &id);
        assert!(!present, "{version:?}: a new session");
        client.subscribe("t", 1);
        client.disconnect();
        let (client, present) = Client::lasting(&broker, version, &id);
        // 3.1 has no such flag.
        assert_eq!(present, version != Version::V31, "{version:?}");
        client.disconnect();
        let (client, present, _) = Client::connect(&broker, &Connect::new(version, &id));
        assert!(!present, "{version:?}: a clean start");
        client.disconnect();
        let (_client, present) = Client::lasting(&broker, version, &id);
        assert!(
            !present,
            "{version:?}: the clean start has ended the session before"
        );
    }
}

#[test]
fn mqtt5_3_1_2_4_clean_start_drops_subscriptions_and_messages() {
    let broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "clean");
        client.subscribe("t", 1);
        client.disconnect();
        publisher(&broker).publish_1("t", "waiting");
        let mut client = Client::connect(&broker, &Connect::new(version, "clean")).0;
        client.expect_silence();
        publisher(&broker).publish_1("t", "not for it");
        client.expect_silence();
    }
}

#[test]
fn mqtt5_3_1_2_5_subscriptions_are_part_of_the_session() {
    let broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, "subscribed");
        client.subscribe("a/+", 1);
        client.subscribe("b", 2);
        client.disconnect();
        let (mut client, _) = Client::lasting(&broker, version, "subscribed");
        publisher(&broker).publish_2("b", "to b");
        publisher(&broker).publish_1("a/1", "to a");
        let mut texts = client.take_texts(2);
        texts.sort();
        assert_eq!(texts, ["to a", "to b"]);
        client.unsubscribe(&["a/+", "b"]);
        client.disconnect();
    }
}

#[test]
fn mqtt5_3_1_2_11_2_no_expiry_ends_the_session_with_the_connection() {
    let broker = Broker::start();
    for cut in [false, true] {
        let connect = Connect::v5("brief").clean(false);
        let (mut client, present, _) = Client::connect(&broker, &connect);
        assert!(!present);
        client.subscribe("t", 1);
        if cut {
            client
                .stream()
                .shutdown(std::net::Shutdown::Write)
                .expect("the socket is open");
            client.expect_end(None);
        } else {
            client.disconnect();
        }
        let (mut client, present, _) = Client::connect(&broker, &connect);
        assert!(!present, "cut: {cut}");
        publisher(&broker).publish_1("t", "for nobody");
        client.expect_silence();
        client.disconnect();
    }
}

#[test]
fn mqtt5_3_1_2_23_a_session_ends_after_its_expiry() {
    let broker = Broker::start();
    let (mut client, _, _) = Client::connect(&broker, &expiring(1));
    client.subscribe("t", 1);
    client.disconnect();
    // Within the interval it is there, and the interval starts anew at each disconnect.
    let (client, present, _) = Client::connect(&broker, &expiring(1));
    assert!(present);
    client.disconnect();
    let_pass(Duration::from_millis(2_200));
    publisher(&broker).publish_1("t", "too late");
    let (mut client, present, _) = Client::connect(&broker, &expiring(1));
    assert!(!present);
    client.expect_silence();
}

#[test]
fn mqtt5_3_14_2_2_2_disconnect_changes_the_expiry() {
    let broker = Broker::start();
    let shorter = Props::new().four(property::SESSION_EXPIRY, 0);
    let (client, _, _) = Client::connect(&broker, &expiring(1000));
    client.disconnect_with(0, &shorter);
    let longer = Props::new().four(property::SESSION_EXPIRY, 1000);
    let (client, present, _) = Client::connect(&broker, &expiring(1));
    assert!(!present, "0 ends it at once");
    client.disconnect_with(0, &longer);
    let_pass(Duration::from_millis(2_200));
    let (_client, present, _) = Client::connect(&broker, &expiring(1));
    assert!(present, "it has been made longer");
}

#[test]
fn mqtt5_3_1_2_8_the_end_of_the_session_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = Client::v5(&broker, "watcher");
    watcher.subscribe("will", 1);
    let will = Will {
        props: Props::new().four(property::WILL_DELAY, 1000),
        ..Will::new("will", "gone")
    };
    let (client, _, _) = Client::connect(&broker, &expiring(1).will(will));
    client.cut();
    assert_eq!(
        watcher.take().text(),
        "gone",
        "after a second, not after a thousand"
    );
    let (_client, present, _) = Client::connect(&broker, &expiring(1));
    assert!(!present);
}

#[test]
fn mqtt5_3_1_2_23_the_longest_expiry_never_ends() {
    let broker = Broker::start();
    let (client, _, _) = Client::connect(&broker, &expiring(u32::MAX));
    client.cut();
    let_pass(Duration::from_millis(1_100));
    assert!(Client::connect(&broker, &expiring(u32::MAX)).1);
}

#[test]
fn max_session_expiry_is_granted_instead_of_more() {
    if differs_on_peer("has no such limit") {
        return;
    }
    let broker = Broker::start_with(
        Options::new()
            .set("mqtt.session_expiry", "1s")
            .set("mqtt.max_session_expiry", "1s"),
    );
    let (client, _, props) = Client::connect(&broker, &expiring(1000));
    assert_eq!(props.number(property::SESSION_EXPIRY), Some(1));
    client.disconnect();
    let_pass(Duration::from_millis(2_200));
    assert!(!Client::connect(&broker, &expiring(1000)).1);
}

#[test]
fn version_3_sessions_expire_as_configured() {
    if differs_on_peer("keeps them for ever") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.session_expiry", "1s"));
    let (client, _) = Client::lasting(&broker, Version::V311, "old");
    client.disconnect();
    let_pass(Duration::from_millis(2_200));
    assert!(!Client::lasting(&broker, Version::V311, "old").1);
}

#[test]
fn sessions_survive_stop_and_kill() {
    if differs_on_peer("keeps nothing when killed") {
        return;
    }
    let mut broker = Broker::start();
    for version in BOTH {
        let (mut client, _) = Client::lasting(&broker, version, &format!("kept-{version:?}"));
        client.subscribe("t", 1);
        // One is connected when the broker ends, the other has left.
        if version == Version::V5 {
            client.disconnect();
        }
    }
    let mut client = Client::v5(&broker, "not kept");
    client.subscribe("t", 1);
    for stop in [false, true] {
        publisher(&broker).publish_1("t", "waiting");
        if stop {
            assert!(broker.stop().status.success());
        } else {
            broker.kill_9();
        }
        broker.restart();
        for version in BOTH {
            let (mut client, present) =
                Client::lasting(&broker, version, &format!("kept-{version:?}"));
            assert!(present, "{version:?}");
            assert_eq!(client.take().text(), "waiting");
            client.expect_silence();
            client.disconnect();
        }
        assert!(!Client::connect(&broker, &Connect::v5("not kept").clean(false)).1);
    }
}

#[test]
fn expiry_goes_on_while_the_broker_is_down() {
    if differs_on_peer("keeps nothing when killed") {
        return;
    }
    let mut broker = Broker::start();
    let (mut client, _, _) = Client::connect(&broker, &expiring(1));
    client.subscribe("t", 1);
    client.disconnect();
    assert!(broker.stop().status.success());
    let_pass(Duration::from_millis(2_200));
    broker.restart();
    assert!(!Client::connect(&broker, &expiring(1)).1);
}

#[test]
fn mqtt311_3_1_2_messages_of_qos_0_may_wait_too() {
    if differs_on_peer("does not keep them by default") {
        return;
    }
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V311, "zero");
    client.subscribe("t", 1);
    client.disconnect();
    let mut sender = publisher(&broker);
    sender.publish(&Publish::new("t", "zero"));
    sender.publish_1("t", "one");
    let (mut client, _) = Client::lasting(&broker, Version::V311, "zero");
    assert_eq!(client.take_texts(2), ["zero", "one"]);
}

#[test]
fn sessions_of_different_versions_are_the_same_session() {
    let broker = Broker::start();
    let (mut client, _) = Client::lasting(&broker, Version::V311, "both");
    client.subscribe("t", 1);
    client.disconnect();
    publisher(&broker).publish_1("t", "for both");
    let (mut client, present) = Client::lasting(&broker, Version::V5, "both");
    assert!(present);
    assert_eq!(client.take().text(), "for both");
}

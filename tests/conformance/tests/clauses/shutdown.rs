//! The broker stops in order.

use std::time::Duration;

use robustmq_conformance::{Broker, Client, Version, differs_on_peer};

#[test]
fn clients_are_told_and_the_end_is_quick() {
    if differs_on_peer("does not say 0x8b") {
        return;
    }
    let mut broker = Broker::start();
    let mut new = Client::v5(&broker, "new");
    let mut old = Client::v311(&broker, "old");
    let mut lasting = Client::lasting(&broker, Version::V5, "lasting").0;
    lasting.subscribe("t", 1);
    // A connection that has said nothing holds nobody up either.
    let _silent = Client::open(&broker, Version::V5);
    new.publish_1("t", "before the end");
    let ended = broker.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
    new.expect_end(Some(0x8b));
    old.expect_end(None);
    assert_eq!(lasting.message().text(), "before the end");
    lasting.expect_end(Some(0x8b));
    broker.restart();
    let (mut lasting, present) = Client::lasting(&broker, Version::V5, "lasting");
    assert!(present);
    assert_eq!(lasting.take().text(), "before the end");
}

#[test]
fn a_client_that_does_not_read_cannot_hold_the_end_up() {
    if differs_on_peer("is stopped with a signal of its own") {
        return;
    }
    let mut broker = Broker::start();
    let mut deaf = Client::v5(&broker, "deaf");
    deaf.subscribe("t", 0);
    let mut sender = Client::v5(&broker, "sender");
    for _ in 0..100 {
        sender.publish_1("t", vec![0; 200_000]);
    }
    broker.announce("connections did not end in time");
    let ended = broker.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
}

#[test]
fn sigterm_stops_like_ctrl_c() {
    let mut broker = Broker::start();
    let mut client = Client::v311(&broker, "old");
    broker.signal(rustix::process::Signal::TERM);
    assert!(broker.wait_for_end().status.success());
    client.expect_end(None);
}

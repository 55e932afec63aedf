//! The receipt: PUBACK and PUBREC carry where in the log the message lies.

use robustmq_conformance::{Broker, Client, Connect, Options, Props, differs_on_peer, property};

const OFFSET: &str = "x-offset";

fn offsets(client: &mut Client) -> [Option<String>; 2] {
    let offset = |ack: robustmq_conformance::Ack| ack.props.user_value(OFFSET).map(str::to_owned);
    [
        offset(client.publish_1("t", "1")),
        offset(client.publish_2("t", "2")),
    ]
}

#[test]
fn puback_and_pubrec_carry_an_offset() {
    if differs_on_peer("has no offsets") {
        return;
    }
    let broker = Broker::start();
    let mut client = Client::v5(&broker, "receipts");
    let mut seen = Vec::new();
    for _ in 0..10 {
        for offset in offsets(&mut client) {
            let offset = offset.expect("an offset");
            assert!(!offset.is_empty() && !seen.contains(&offset), "{offset}");
            seen.push(offset);
        }
    }
    client.subscribe("t", 1);
    assert!(
        offsets(&mut client).iter().all(Option::is_some),
        "also with subscribers"
    );
}

#[test]
fn mqtt5_3_1_2_29_no_offset_without_problem_information() {
    if differs_on_peer("has no offsets") {
        return;
    }
    let broker = Broker::start();
    let props = Props::new().byte(property::REQUEST_PROBLEM_INFO, 0);
    let connect = Connect::v5("quiet").props(props);
    let mut client = Client::connect(&broker, &connect).0;
    assert_eq!(offsets(&mut client), [None, None]);
}

#[test]
fn mqtt5_3_1_2_24_no_offset_where_the_packet_would_be_too_large() {
    if differs_on_peer("has no offsets") {
        return;
    }
    let broker = Broker::start();
    // The length of an acknowledgement with its offset, less one: CONNACK fits.
    let ack = Client::v5(&broker, "large").publish_1("t", "1");
    let full = 5 + ack.props.bytes().len() as u32;
    let connect =
        Connect::v5("small").props(Props::new().four(property::PACKET_SIZE_MAX, full - 1));
    let mut client = Client::connect(&broker, &connect).0;
    assert_eq!(offsets(&mut client), [None, None]);
}

#[test]
fn mqtt5_3_1_2_24_a_client_that_takes_no_connack_is_closed() {
    if differs_on_peer("sends it all the same") {
        return;
    }
    let broker = Broker::start();
    let connect = Connect::v5("tiny").props(Props::new().four(property::PACKET_SIZE_MAX, 4));
    let mut client = Client::open(&broker, connect.version);
    client.send(&connect.bytes());
    client.expect_end(None);
}

#[test]
fn no_offset_where_the_receipt_is_switched_off() {
    if differs_on_peer("has no offsets") {
        return;
    }
    let broker = Broker::start_with(Options::new().set("mqtt.receipt", "false"));
    assert_eq!(offsets(&mut Client::v5(&broker, "off")), [None, None]);
}

#[test]
fn offsets_go_on_rising_after_a_restart() {
    if differs_on_peer("has no offsets") {
        return;
    }
    let mut broker = Broker::start();
    let [before, _] = offsets(&mut Client::v5(&broker, "one"));
    broker.kill_9();
    broker.restart();
    let [after, _] = offsets(&mut Client::v5(&broker, "two"));
    assert_ne!(before, after);
}

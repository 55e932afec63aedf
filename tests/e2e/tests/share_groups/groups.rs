//! Members that come, leave, last and die.

use super::*;

#[test]
fn each_message_goes_to_one_member_of_each_group() {
    let broker = Broker::start(&[]);
    let mut members: Vec<Client> = (0..3).map(|n| clean(&broker, &format!("m{n}"))).collect();
    for member in &mut members {
        subscribe(member, "$share/g/a/#");
    }
    let (mut other, mut plain) = (clean(&broker, "other"), clean(&broker, "plain"));
    subscribe(&mut other, "$share/h/a/#");
    subscribe(&mut plain, "a/#");
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..60) {
        store(&mut publisher, "a/b", &number);
    }
    let mut members: Vec<&mut Client> = members.iter_mut().collect();
    let found = drain(&mut members, 60);
    assert!(found.iter().all(|found| !found.is_empty()), "{found:?}");
    assert_eq!(sorted(found), numbers(0..60));
    assert_eq!(sorted(drain(&mut [&mut other], 60)), numbers(0..60));
    assert_eq!(sorted(drain(&mut [&mut plain], 60)), numbers(0..60));
    members.into_iter().for_each(nothing);
}

#[test]
fn queues_and_shares_of_one_group_are_one() {
    let broker = Broker::start(&[]);
    let (mut one, mut two) = (clean(&broker, "one"), clean(&broker, "two"));
    subscribe(&mut one, "$queue/a");
    subscribe(&mut two, "$share/$queue/a");
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..20) {
        store(&mut publisher, "a", &number);
    }
    let found = drain(&mut [&mut one, &mut two], 20);
    assert!(found.iter().all(|found| !found.is_empty()), "{found:?}");
    assert_eq!(sorted(found), numbers(0..20));
}

#[test]
fn what_a_member_leaves_unacknowledged_others_get() {
    let broker = Broker::start(&[]);
    let (mut dying, mut staying) = (lasting(&broker, "dying"), clean(&broker, "staying"));
    subscribe(&mut dying, "$share/g/a");
    subscribe(&mut staying, "$share/g/a");
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..20) {
        store(&mut publisher, "a", &number);
    }
    let first = message(&mut dying, PATIENCE).expect("a message comes");
    drop(dying);
    let found = sorted(drain(&mut [&mut staying], 20));
    assert_eq!(found, numbers(0..20));
    assert!(found.contains(&text(&first)));
    // It is not the lasting session's any more.
    let mut dying = lasting(&broker, "dying");
    nothing(&mut dying);
}

#[test]
fn what_comes_while_nobody_is_there_waits_for_lasting_members() {
    let mut broker = Broker::start(&[]);
    let (mut one, mut two) = (lasting(&broker, "one"), lasting(&broker, "two"));
    subscribe(&mut one, "$share/g/a/+");
    subscribe(&mut two, "$share/g/a/+");
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "a/b", "before");
    drain(&mut [&mut one, &mut two], 1);
    goodbye(one);
    goodbye(two);
    for number in numbers(0..10) {
        store(&mut publisher, "a/b", &number);
    }
    broker.stop();
    broker.restart();
    let mut publisher = clean(&broker, "p");
    for number in numbers(10..20) {
        store(&mut publisher, "a/b", &number);
    }
    // Whoever comes back first takes up where the group stood.
    let mut two = lasting(&broker, "two");
    assert_eq!(sorted(drain(&mut [&mut two], 20)), numbers(0..20));
    nothing(&mut two);
    let mut one = lasting(&broker, "one");
    nothing(&mut one);
    store(&mut publisher, "a/b", "live");
    assert_eq!(sorted(drain(&mut [&mut one, &mut two], 1)), ["live"]);
}

#[test]
fn a_killed_broker_loses_nothing_that_was_not_acknowledged() {
    let mut broker = Broker::start(&[]);
    let mut member = lasting(&broker, "member");
    subscribe(&mut member, "$share/g/a");
    let mut publisher = clean(&broker, "p");
    for number in numbers(0..30) {
        store(&mut publisher, "a", &number);
    }
    for number in numbers(0..10) {
        assert_eq!(take(&mut member), number);
    }
    broker.kill_and_restart();
    let mut member = lasting(&broker, "member");
    // What was acknowledged may come again, since its position is stored later.
    let mut last = take(&mut member);
    assert!(last.as_str() <= "010", "{last} comes first");
    while last != "029" {
        let next = take(&mut member);
        assert_eq!(next, format!("{:03}", last.parse::<u32>().unwrap_or(0) + 1));
        last = next;
    }
}

#[test]
fn a_group_that_nobody_holds_is_forgotten() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let mut passing = clean(&broker, "passing");
    subscribe(&mut passing, "$share/g/a");
    goodbye(passing);
    let mut leaving = lasting(&broker, "leaving");
    subscribe(&mut leaving, "$share/h/a");
    assert_eq!(leaving.unsubscribe(&["$share/h/a"]), [ReasonCode::Success]);
    let path = "/api/v5/mqtt/shared_subscriptions/groups";
    let start = Instant::now();
    while http(&broker).get(path).json()["meta"]["count"] != 0 {
        assert!(start.elapsed() < PATIENCE, "they stay");
        std::thread::sleep(Duration::from_millis(20));
    }
    store(&mut publisher, "a", "nobody's");
    let mut later = clean(&broker, "later");
    subscribe(&mut later, "$share/g/a");
    subscribe(&mut later, "$share/h/a");
    nothing(&mut later);
}

#[test]
fn no_retained_message_comes_with_a_shared_subscription() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let retained = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a",
        packet_id: Some(PacketId::MIN),
        properties: PublishProperties::default(),
        payload: b"kept",
    };
    publisher.publish(&retained).expect("PUBLISH is sent");
    let acked = publisher.receive().expect("the broker answers");
    assert!(matches!(acked, Received::PubAck(..)));
    let mut member = clean(&broker, "member");
    subscribe(&mut member, "$share/g/a");
    nothing(&mut member);
    store(&mut publisher, "a", "live");
    assert_eq!(take(&mut member), "live");
}

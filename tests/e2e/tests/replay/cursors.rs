//! Named cursors: `$cursor/{name}[@{start}]/{filter}`, alone and in a group.

use std::process::Command;

use super::*;

fn persistent(broker: &Broker, client_id: &str) -> Client {
    Client::accepted(broker.address(), &Connect::persistent(client_id)).0
}

fn goodbye(client: Client) {
    client.disconnect(ReasonCode::Success).expect("DISCONNECT");
}

/// Waits until the end of a session's connection is stored, and with it what its
/// cursors gave: a kill before that repeats messages.
fn stored(broker: &Broker, client_id: &str) {
    let http = Http::new(broker.http(), Some(&broker.api_key()));
    let path = format!("/api/v5/sessions/{client_id}");
    let start = std::time::Instant::now();
    while http.get(&path).json()["connected"] == true {
        assert!(start.elapsed().as_secs() < 20, "it stays connected");
        tick();
    }
}

/// Subscribes as soon as the one who uses the cursor now is known to be gone.
fn subscribe_soon(client: &mut Client, filter: &str) {
    let start = std::time::Instant::now();
    while client.subscribe(filter, QoS::AtLeastOnce) != [ReasonCode::GrantedQoS1] {
        assert!(start.elapsed().as_secs() < 20, "{filter} stays taken");
        tick();
    }
}

#[test]
fn a_cursor_goes_on_where_any_client_left_it() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    for number in 0..6 {
        store(&mut publisher, "a/b", &number.to_string());
    }
    let mut first = clean(&broker, "first");
    subscribe(&mut first, "$cursor/orders@earliest/a/#");
    assert_eq!(payloads(&mut first, 2), ["0", "1"]);
    goodbye(first);
    // A name is enough from then on; where it begins is decided already.
    let mut second = clean(&broker, "second");
    subscribe_soon(&mut second, "$cursor/orders@latest/a/#");
    assert_eq!(payloads(&mut second, 2), ["2", "3"]);
    goodbye(second);
    broker.stop();
    broker.restart();
    let mut third = clean(&broker, "third");
    subscribe(&mut third, "$cursor/orders/a/#");
    assert_eq!(payloads(&mut third, 2), ["4", "5"]);
    nothing(&mut third);
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "a/b", "live");
    assert_eq!(payloads(&mut third, 1), ["live"]);
}

#[test]
fn without_a_start_a_cursor_begins_with_what_comes() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "t", "before");
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$cursor/new/t");
    nothing(&mut client);
    store(&mut publisher, "t", "after");
    let message = take(&mut client);
    assert_eq!(text(&message), "after");
    assert!(marks(&message).contains_key("x-offset"));
    assert!(!marks(&message).contains_key("x-replay"));
}

#[test]
fn what_was_not_acknowledged_comes_again_also_after_a_kill() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let mut client = clean(&broker, "c");
    subscribe(&mut client, "$cursor/orders/t");
    for number in 0..3 {
        store(&mut publisher, "t", &number.to_string());
    }
    for number in 0..3 {
        match client.receive().expect("the broker answers") {
            Received::Publish(message) => assert_eq!(text(&message), number.to_string()),
            other => panic!("no PUBLISH: {other:?}"),
        }
    }
    drop(client);
    let mut again = clean(&broker, "again");
    subscribe_soon(&mut again, "$cursor/orders/t");
    assert_eq!(payloads(&mut again, 3), ["0", "1", "2"]);
    store(&mut publisher, "t", "3");
    match again.receive().expect("the broker answers") {
        Received::Publish(message) => assert_eq!(text(&message), "3"),
        other => panic!("no PUBLISH: {other:?}"),
    }
    broker.kill_and_restart();
    let mut after = clean(&broker, "after");
    subscribe(&mut after, "$cursor/orders/t");
    let mut seen = payloads(&mut after, 1);
    // At least once: what was acknowledged just before the kill may repeat.
    while seen.last().map(String::as_str) != Some("3") {
        seen.extend(payloads(&mut after, 1));
    }
    let expected: Vec<String> = (4 - seen.len()..4)
        .map(|number| number.to_string())
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_lasting_session_takes_its_cursor_up_again() {
    let mut broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let mut client = persistent(&broker, "c");
    subscribe(&mut client, "$cursor/orders/t");
    store(&mut publisher, "t", "0");
    assert_eq!(payloads(&mut client, 1), ["0"]);
    store(&mut publisher, "t", "1");
    // Received, but not acknowledged.
    assert!(matches!(client.receive(), Ok(Received::Publish(_))));
    goodbye(client);
    store(&mut publisher, "t", "2");
    stored(&broker, "c");
    broker.kill_and_restart();
    let (mut client, present) = Client::accepted(broker.address(), &Connect::persistent("c"));
    assert!(present);
    // The cursor gives it, once, and not the session's window as well.
    assert_eq!(payloads(&mut client, 2), ["1", "2"]);
    nothing(&mut client);
    assert_eq!(
        client.unsubscribe(&["$cursor/orders/t"]),
        [ReasonCode::Success]
    );
    let mut publisher = clean(&broker, "p");
    store(&mut publisher, "t", "3");
    nothing(&mut client);
    let mut other = clean(&broker, "other");
    subscribe(&mut other, "$cursor/orders/t");
    assert_eq!(payloads(&mut other, 1), ["3"]);
}

#[test]
fn in_a_group_every_message_goes_to_one_member() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let filter = "$share/workers/$cursor/jobs/jobs/#";
    let mut members = [clean(&broker, "one"), clean(&broker, "two")];
    for member in &mut members {
        subscribe(member, filter);
    }
    const JOBS: usize = 200;
    for number in 0..JOBS {
        store(
            &mut publisher,
            &format!("jobs/{}", number % 7),
            &number.to_string(),
        );
    }
    let mut done: Vec<usize> = Vec::new();
    let mut shares = [0; 2];
    while done.len() < JOBS {
        for (member, share) in members.iter_mut().zip(&mut shares) {
            let patience = std::time::Duration::from_millis(20);
            while let Some(received) = member.poll(patience).expect("the broker answers") {
                let Received::Publish(message) = received else {
                    panic!("no PUBLISH: {received:?}");
                };
                let packet_id = message.packet_id.expect("QoS 1");
                member.ack(Packet::PubAck, packet_id).expect("PUBACK");
                done.push(text(&message).parse().expect("a number"));
                *share += 1;
            }
        }
    }
    done.sort_unstable();
    assert_eq!(done, (0..JOBS).collect::<Vec<_>>());
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn what_a_dead_member_had_goes_to_another() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let filter = "$share/workers/$cursor/jobs/t";
    let mut dies = persistent(&broker, "dies");
    subscribe(&mut dies, filter);
    store(&mut publisher, "t", "0");
    store(&mut publisher, "t", "1");
    for _ in 0..2 {
        assert!(matches!(dies.receive(), Ok(Received::Publish(_))));
    }
    let mut lives = clean(&broker, "lives");
    subscribe(&mut lives, filter);
    nothing(&mut lives);
    drop(dies);
    let mut jobs = payloads(&mut lives, 2);
    jobs.sort_unstable();
    assert_eq!(jobs, ["0", "1"]);
    // It comes back and gets nothing of that.
    let (mut dies, present) = Client::accepted(broker.address(), &Connect::persistent("dies"));
    assert!(present);
    nothing(&mut dies);
    assert_eq!(dies.unsubscribe(&[filter]), [ReasonCode::Success]);
    store(&mut publisher, "t", "2");
    assert_eq!(payloads(&mut lives, 1), ["2"]);
}

#[test]
fn refusals_say_what_is_wrong() {
    let broker = Broker::start(&["limits.cursors_max=1"]);
    let mut first = clean(&broker, "first");
    subscribe(&mut first, "$cursor/one/t");
    let mut second = clean(&broker, "second");
    let mut refused = |filter: &str| second.subscribe(filter, QoS::AtLeastOnce)[0];
    assert_eq!(refused("$cursor/one/t"), ReasonCode::QuotaExceeded);
    assert_eq!(refused("$share/g/$cursor/one/t"), ReasonCode::QuotaExceeded);
    assert_eq!(refused("$cursor/two/t"), ReasonCode::QuotaExceeded);
    for wrong in [
        "$cursor/one/other",
        "$cursor/one",
        "$cursor/one@soon/t",
        "$cursor/one@last:3/t",
        "$cursor/one/$SYS/#",
    ] {
        assert_eq!(refused(wrong), ReasonCode::TopicFilterInvalid, "{wrong}");
    }
    // QoS 2 is not kept, and said so.
    assert_eq!(
        first.subscribe("$cursor/one/t", QoS::ExactlyOnce),
        [ReasonCode::GrantedQoS1]
    );
    let reserved = Client::connect(broker.address(), &Connect::new("$cursor/one"));
    match reserved.expect("the broker answers").1 {
        Received::ConnAck(_, reason, _) => {
            assert_eq!(reason, ReasonCode::ClientIdentifierNotValid);
        }
        other => panic!("no CONNACK: {other:?}"),
    }
}

#[test]
fn mosquitto_sub_uses_a_cursor_in_every_version() {
    let broker = Broker::start(&[]);
    let mut publisher = clean(&broker, "p");
    let port = broker.address().port().to_string();
    for (round, version) in ["mqttv31", "mqttv311", "mqttv5"].into_iter().enumerate() {
        let numbers = (round * 3..round * 3 + 3).map(|number| number.to_string());
        let numbers: Vec<String> = numbers.collect();
        for number in &numbers {
            store(&mut publisher, "t", number);
        }
        // The one before may still hold it for a moment.
        let seen = std::iter::repeat_with(|| {
            let output = Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", "1"])
                .args(["-t", "$cursor/shell@earliest/t", "-C", "3", "-W", "20"])
                .output()
                .expect("mosquitto_sub is installed: make test installs it");
            String::from_utf8(output.stdout).expect("payloads are text")
        });
        let seen = seen.take(100).find(|seen| !seen.is_empty());
        let seen = seen.expect("the cursor becomes free");
        assert_eq!(seen.lines().collect::<Vec<_>>(), numbers, "{version}");
    }
}

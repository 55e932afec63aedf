//! Links that die.

use std::time::Duration;

use bytes::Bytes;
use robustmq_peers::{CallError, Request};
use tokio::time::Instant;

use crate::nodes::{Authority, ECHO, HOLD, Node, any_port, limits, until};
use crate::relay::Relay;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_falls_silent_is_noticed_and_its_requests_are_lost() {
    let authority = Authority::new(&[1, 2]);
    let mut quick = limits();
    quick.ping_interval = Duration::from_millis(100);
    quick.silence_max = Duration::from_secs(2);
    let one = Node::start_with(authority.files(1), 1, quick.clone(), any_port()).await;
    let two = Node::start_with(authority.files(2), 2, quick.clone(), any_port()).await;
    let relay = Relay::start(two.peers.local_addr()).await;
    let address = relay.address.to_string();
    one.ask_at(2, &address, ECHO, "connected")
        .await
        .expect("connected");
    // Idle links stay.
    tokio::time::sleep(quick.silence_max * 2).await;
    assert!(one.peers.is_connected(2) && two.peers.is_connected(1));
    assert_eq!(one.peers.stats().connections_lost, 0);

    let held = Request::new(HOLD, Bytes::from_static(b"held"));
    let held = one.peers.send(2, &address, held).expect("it is sent");
    until("it has come", || two.seen().len() == 2).await;
    relay.forwards.send_replace(false);
    let began = Instant::now();
    assert_eq!(held.await, Err(CallError::Lost));
    assert!(
        began.elapsed() > quick.silence_max / 2,
        "{:?}",
        began.elapsed()
    );
    until("the other end notices too", || !two.peers.is_connected(1)).await;

    relay.forwards.send_replace(true);
    until("it was given up", || !one.peers.is_connected(2)).await;
    let mut answer = one.ask_at(2, &address, ECHO, "again").await;
    while matches!(answer, Err(CallError::Unreachable(_))) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = one.ask_at(2, &address, ECHO, "again").await;
    }
    assert_eq!(answer, Ok("again".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_only_one_end_believes_in_is_replaced() {
    let authority = Authority::new(&[1, 2]);
    for (here, there) in [(1, 2), (2, 1)] {
        let one = Node::start(&authority, here).await;
        // Never gives up by itself.
        let mut patient = limits();
        patient.silence_max = Duration::from_secs(3600);
        let two = Node::start_with(authority.files(there), there, patient, any_port()).await;
        let relay = Relay::start(two.peers.local_addr()).await;
        one.ask_at(there, &relay.address.to_string(), ECHO, "connected")
            .await
            .expect("connected");
        relay.forwards.send_replace(false);
        one.peers.disconnect(there);
        assert!(two.peers.is_connected(here), "it has not heard of it");
        // Straight this time.
        assert_eq!(
            one.ask(&two, ECHO, "again").await,
            Ok("again".into()),
            "{here} dials"
        );
        assert_eq!(
            two.ask_at(here, "nowhere:1", ECHO, "back").await,
            Ok("back".into())
        );
        assert_eq!(two.peers.stats().connections, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_an_outcome_when_the_other_node_goes() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let mut answers = Vec::new();
    for number in 0..5_000_u32 {
        let body = Bytes::copy_from_slice(&number.to_le_bytes());
        let request = Request::new(ECHO, body.clone());
        answers.push((
            body,
            one.peers
                .send(2, &two.address(), request)
                .expect("it is sent"),
        ));
    }
    until("some have come", || two.seen().len() > 100).await;
    two.peers.shutdown().await;
    let seen = two.seen();
    for (body, answer) in answers {
        match answer.await {
            Ok(answered) => assert_eq!(answered, body),
            Err(CallError::Lost) => {}
            Err(CallError::Unreachable(_)) => {
                assert!(!seen.contains(&body), "said to be never sent, and it came");
            }
            other => panic!("{other:?}"),
        }
    }
}

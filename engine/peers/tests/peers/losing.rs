//! Links that die.

use std::time::Duration;

use bytes::Bytes;
use robustmq_fault_proxy::{Direction, FaultProxy, Faults};
use robustmq_peers::{CallError, Lane, Request};
use tokio::time::Instant;

use crate::nodes::{Authority, ECHO, HOLD, Node, PATIENCE, any_port, limits, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_falls_silent_is_noticed_and_its_requests_are_lost() {
    let authority = Authority::new(&[1, 2]);
    let mut quick = limits();
    quick.ping_interval = Duration::from_millis(100);
    quick.silence_max = Duration::from_secs(2);
    let one = Node::start_with(authority.files(1), 1, quick.clone(), any_port()).await;
    let two = Node::start_with(authority.files(2), 2, quick.clone(), any_port()).await;
    let relay = FaultProxy::start(two.peers.local_addr()).expect("a port");
    let address = relay.address().to_string();
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
    relay.set_both(Faults::cut());
    let began = Instant::now();
    assert_eq!(held.await, Err(CallError::Lost));
    assert!(
        began.elapsed() > quick.silence_max / 2,
        "{:?}",
        began.elapsed()
    );
    until("the other end notices too", || !two.peers.is_connected(1)).await;

    relay.heal();
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
        let relay = FaultProxy::start(two.peers.local_addr()).expect("a port");
        one.ask_at(there, &relay.address().to_string(), ECHO, "connected")
            .await
            .expect("connected");
        relay.set_both(Faults::cut());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_works_only_one_way_is_given_up_by_both() {
    let authority = Authority::new(&[1, 2]);
    let mut quick = limits();
    quick.ping_interval = Duration::from_millis(100);
    quick.silence_max = Duration::from_secs(2);
    for direction in [Direction::ToTarget, Direction::FromTarget] {
        let one = Node::start_with(authority.files(1), 1, quick.clone(), any_port()).await;
        let two = Node::start_with(authority.files(2), 2, quick.clone(), any_port()).await;
        let relay = FaultProxy::start(two.peers.local_addr()).expect("a port");
        let address = relay.address().to_string();
        one.ask_at(2, &address, ECHO, "connected")
            .await
            .expect("connected");
        relay.set(direction, Faults::cut());
        until("both give it up", || {
            !one.peers.is_connected(2) && !two.peers.is_connected(1)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_narrow_link_urgent_requests_do_not_wait_for_a_large_transfer() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let relay = FaultProxy::start(two.peers.local_addr()).expect("a port");
    let address = relay.address().to_string();
    one.ask_at(2, &address, ECHO, "connected")
        .await
        .expect("connected");
    relay.set(Direction::ToTarget, Faults::throttled(8 * 1024 * 1024));
    let large = Request::new(ECHO, vec![1; 48 * 1024 * 1024].into()).on(Lane::Bulk);
    let mut large = one.peers.send(2, &address, large).expect("it is sent");
    let began = Instant::now();
    for _ in 0..3 {
        let beat = Request::new(ECHO, Bytes::from_static(b"beat")).on(Lane::Urgent);
        let answer = one.peers.call(2, &address, beat, PATIENCE).await;
        assert_eq!(answer, Ok("beat".into()));
    }
    let early = tokio::time::timeout(Duration::ZERO, &mut large).await;
    assert!(
        early.is_err(),
        "the transfer was done first: {:?}",
        began.elapsed()
    );
    relay.heal();
    assert_eq!(large.await.map(|body| body.len()), Ok(48 * 1024 * 1024));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_resets_and_cuts_no_answer_goes_astray() {
    let authority = Authority::new(&[1, 2]);
    let mut quick = limits();
    quick.ping_interval = Duration::from_millis(50);
    quick.silence_max = Duration::from_secs(1);
    let one = Node::start_with(authority.files(1), 1, quick.clone(), any_port()).await;
    let two = Node::start_with(authority.files(2), 2, quick, any_port()).await;
    let there = FaultProxy::start(two.peers.local_addr()).expect("a port");
    let back = FaultProxy::start(one.peers.local_addr()).expect("a port");
    let asking = |from: &Node, to: &Node, through: &FaultProxy| {
        let (peers, node) = (from.peers.clone(), to.id);
        let address = through.address().to_string();
        tokio::spawn(async move {
            let (mut done, mut lost) = (0_u32, 0_u32);
            let end = Instant::now() + Duration::from_secs(4);
            let mut number = 0_u64;
            while Instant::now() < end {
                number += 1;
                let body = Bytes::copy_from_slice(&number.to_le_bytes());
                let request = Request::new(ECHO, body.clone());
                match peers.call(node, &address, request, PATIENCE).await {
                    Ok(answer) => {
                        assert_eq!(answer, body);
                        done += 1;
                    }
                    Err(CallError::Lost) => lost += 1,
                    Err(CallError::Unreachable(_)) => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            (done, lost)
        })
    };
    let askers = [asking(&one, &two, &there), asking(&two, &one, &back)];
    for round in 0..12 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        match round % 3 {
            0 => there.reset(),
            1 => back.reset(),
            _ => {
                there.reset();
                back.reset();
            }
        }
    }
    for asker in askers {
        let (done, lost) = asker.await.expect("every answer is the right one");
        assert!(done > 100, "{done} done, {lost} lost");
    }
    assert!(one.peers.stats().connections_lost > 0);
}

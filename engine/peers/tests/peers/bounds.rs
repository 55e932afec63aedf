//! What is bounded, and what happens at the bound.

use std::time::Duration;

use bytes::Bytes;
use robustmq_peers::{CallError, Lane, Request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::nodes::{Authority, ECHO, FILL, HOLD, Node, PATIENCE, any_port, limits, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_busy_and_other_lanes_go_on() {
    let authority = Authority::new(&[1, 2]);
    let mut narrow = limits();
    narrow.queued_max = 100;
    narrow.in_flight_max = 10;
    let one = Node::start_with(authority.files(1), 1, narrow.clone(), any_port()).await;
    let two = Node::start_with(authority.files(2), 2, narrow, any_port()).await;
    one.ask(&two, ECHO, "connected").await.expect("connected");
    let address = two.address();
    let send = || {
        one.peers
            .send(2, &address, Request::new(HOLD, Bytes::from_static(b"held")))
    };
    let mut answers: Vec<_> = (0..10).map(|_| send().expect("in flight")).collect();
    until("they have come", || two.seen().len() == 11).await;
    answers.extend((0..100).map(|_| send().expect("queued")));
    assert!(matches!(send(), Err(CallError::Busy)));
    assert_eq!(one.peers.stats().busy, 1);
    let state = one.peers.stats().peers[0].clone();
    assert_eq!((state.queued, state.in_flight), (100, 10));
    assert_eq!(
        two.seen().len(),
        11,
        "no more than granted are with the other node"
    );
    // The other way nothing is held up.
    assert_eq!(two.ask(&one, ECHO, "back").await, Ok("back".into()));
    two.asked.released.send_replace(true);
    for answer in answers {
        assert_eq!(answer.await, Ok("held".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_requests_have_an_allowance_of_their_own() {
    let authority = Authority::new(&[1, 2]);
    let mut narrow = limits();
    narrow.in_flight_max = 2;
    let one = Node::start_with(authority.files(1), 1, narrow.clone(), any_port()).await;
    let two = Node::start_with(authority.files(2), 2, narrow, any_port()).await;
    let held: Vec<_> = (0..20)
        .map(|_| {
            one.peers
                .send(2, &two.address(), Request::new(HOLD, Bytes::new()))
        })
        .collect();
    let beat = Request::new(ECHO, Bytes::from_static(b"beat")).on(Lane::Urgent);
    let answer = one.peers.call(2, &two.address(), beat, PATIENCE).await;
    assert_eq!(answer, Ok("beat".into()));
    two.asked.released.send_replace(true);
    for answer in held {
        assert_eq!(answer.expect("it is sent").await, Ok(Bytes::new()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_node_says_how_long_a_body_may_be() {
    let authority = Authority::new(&[1, 2]);
    let mut narrow = limits();
    narrow.body_bytes_max = 1000;
    let one = Node::start(&authority, 1).await;
    let two = Node::start_with(authority.files(2), 2, narrow, any_port()).await;
    let address = two.address();
    let ask = |bytes: usize| {
        let request = Request::new(ECHO, vec![0; bytes].into());
        one.peers.call(2, &address, request, PATIENCE)
    };
    // Also when it is queued before there is a connection.
    assert_eq!(ask(1001).await, Err(CallError::TooLarge));
    assert_eq!(ask(1001).await, Err(CallError::TooLarge));
    assert_eq!(ask(1000).await.map(|body| body.len()), Ok(1000));
    let answer = one.ask(&two, FILL, "2000").await;
    assert!(matches!(answer, Err(CallError::Refused(_))), "{answer:?}");
    assert_eq!(one.peers.stats().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_stop_half_way_are_bounded_in_number_and_time() {
    let authority = Authority::new(&[1]);
    let mut narrow = limits();
    narrow.handshakes_max = 8;
    narrow.handshake_timeout = Duration::from_secs(8);
    let one = Node::start_with(authority.files(1), 1, narrow, any_port()).await;
    let mut open = Vec::new();
    for _ in 0..100 {
        let stream = TcpStream::connect(one.peers.local_addr()).await;
        open.push(stream.expect("it is accepted"));
    }
    until("there is no place for most", || {
        one.peers.stats().handshakes_dropped >= 92
    })
    .await;
    for mut stream in open {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 16])).await;
        assert!(matches!(read.expect("it is closed"), Ok(0) | Err(_)));
    }
    // A connection is closed a moment before it is counted.
    until("all are counted", || {
        let stats = one.peers.stats();
        stats.refused + stats.handshakes_dropped == 100
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_in_all_places_do_not_keep_a_node_out() {
    let authority = Authority::new(&[1, 2]);
    let mut narrow = limits();
    narrow.handshakes_max = 4;
    // Nobody's time runs out during the test; the grace does.
    narrow.handshake_timeout = Duration::from_secs(4 * 2);
    let one = Node::start_with(authority.files(1), 1, narrow, any_port()).await;
    let two = Node::start(&authority, 2).await;
    let began = tokio::time::Instant::now();
    let mut open = Vec::new();
    for _ in 0..4 {
        let stream = TcpStream::connect(one.peers.local_addr()).await;
        open.push(stream.expect("it is accepted"));
    }
    let mut answer = two.ask(&one, ECHO, "a node").await;
    while matches!(answer, Err(CallError::Unreachable(_))) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = two.ask(&one, ECHO, "a node").await;
    }
    assert_eq!(answer, Ok("a node".into()));
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(7),
        "it waited for their time to run out: {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_answers_wait_for_the_line() {
    let authority = Authority::new(&[1, 2]);
    let mut narrow = limits();
    narrow.answer_bytes_max = 1024 * 1024;
    let one = Node::start(&authority, 1).await;
    let two = Node::start_with(authority.files(2), 2, narrow, any_port()).await;
    let answers: Vec<_> = (0..100)
        .map(|_| {
            let request = Request::new(FILL, Bytes::from_static(b"500000")).on(Lane::Bulk);
            one.peers
                .send(2, &two.address(), request)
                .expect("it is sent")
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.await.map(|body| body.len()), Ok(500_000));
    }
}

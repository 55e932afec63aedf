//! Requests and answers.

use std::time::Duration;

use bytes::Bytes;
use robustmq_peers::{CallError, Lane, Request};

use crate::nodes::{Authority, ECHO, FILL, HOLD, Node, PANIC, PATIENCE, REFUSE, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ask_and_answer_over_one_connection() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    assert_eq!(one.ask(&two, ECHO, "to two").await, Ok("to two".into()));
    // The other one needs no address: the connection is there.
    assert_eq!(
        two.ask_at(1, "nowhere:1", ECHO, "to one").await,
        Ok("to one".into())
    );
    assert_eq!(one.asked.seen.lock()[0].0, 2, "it is known who asks");
    for node in [&one, &two] {
        let stats = node.peers.stats();
        assert_eq!(stats.connections, 1, "{stats:?}");
        assert!(stats.peers[0].is_connected, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_and_a_handler_that_falls_over_are_answers() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let refused = one.ask(&two, REFUSE, "").await;
    assert_eq!(refused, Err(CallError::Refused("not today".to_owned())));
    let fallen = one.ask(&two, PANIC, "").await;
    assert!(matches!(fallen, Err(CallError::Refused(_))), "{fallen:?}");
    assert_eq!(
        one.ask(&two, ECHO, "still there").await,
        Ok("still there".into())
    );
    assert_eq!(one.peers.stats().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_at_once_are_all_answered() {
    const REQUESTS: usize = 20_000;
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let ask = |from: &Node, to: &Node| {
        let (peers, node, address) = (from.peers.clone(), to.id, to.address());
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for number in 0..REQUESTS {
                let body = Bytes::from(format!("{node} {number}"));
                let request = Request::new(ECHO, body.clone());
                let answer = loop {
                    match peers.send(node, &address, request.clone()) {
                        // The queue is bounded.
                        Err(CallError::Busy) => tokio::time::sleep(Duration::from_millis(1)).await,
                        // The other node may just have dialled.
                        sent => break sent.expect("it is sent"),
                    }
                };
                answers.push((body, answer));
            }
            for (body, answer) in answers {
                assert_eq!(answer.await, Ok(body));
            }
        })
    };
    let (there, back) = (ask(&one, &two), ask(&two, &one));
    tokio::time::timeout(PATIENCE * 4, async {
        there.await.expect("all are answered");
        back.await.expect("all are answered");
    })
    .await
    .expect("in time");
    let stats = one.peers.stats();
    assert_eq!(stats.connections, 1, "{stats:?}");
    assert!(
        stats.writes < stats.frames_out,
        "several frames leave at once: {stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_arrive_in_the_order_of_their_sending() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    let mut answers = Vec::new();
    for number in 0..3_000_u32 {
        // Some of them in several chunks.
        let size = if number % 500 == 0 { 300_000 } else { 4 };
        let mut body = vec![0; size];
        body[..4].copy_from_slice(&number.to_le_bytes());
        let request = Request::new(ECHO, body.into());
        answers.push(
            one.peers
                .send(2, &two.address(), request)
                .expect("it is sent"),
        );
    }
    for answer in answers {
        answer.await.expect("it is answered");
    }
    let seen: Vec<u32> = two
        .seen()
        .iter()
        .map(|body| u32::from_le_bytes(body[..4].try_into().expect("a number")))
        .collect();
    assert_eq!(seen, (0..3_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_requests_overtake_a_large_transfer() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    one.ask(&two, ECHO, "connected").await.expect("connected");
    let large = Bytes::from(vec![1; 60 * 1024 * 1024]);
    let bulk = Request::new(ECHO, large.clone()).on(Lane::Bulk);
    let bulk = one.peers.send(2, &two.address(), bulk).expect("it is sent");
    let mut urgent = 0;
    while two.seen().len() <= urgent + 1 || urgent == 0 {
        let beat = Request::new(ECHO, Bytes::from_static(b"beat")).on(Lane::Urgent);
        let answer = one.peers.call(2, &two.address(), beat, PATIENCE).await;
        assert_eq!(answer, Ok("beat".into()));
        urgent += 1;
        if two.seen().iter().any(|body| body.len() == large.len()) {
            break;
        }
    }
    assert!(
        urgent >= 3,
        "only {urgent} urgent requests went beside the transfer"
    );
    assert_eq!(bulk.await, Ok(large));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_come_whole() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    for size in ["0", "1", "65536", "65537", "9000000"] {
        let answer = one.ask(&two, FILL, size).await.expect("an answer");
        assert_eq!(answer.len().to_string(), size);
        assert!(answer.iter().all(|byte| *byte == 7));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_tells_sent_from_unsent() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    one.ask(&two, ECHO, "connected").await.expect("connected");
    let short = Duration::from_millis(50);
    let held = Request::new(HOLD, Bytes::new());
    let answer = one.peers.call(2, &two.address(), held, short).await;
    assert_eq!(answer, Err(CallError::TimedOut));
    two.asked.released.send_replace(true);
    assert_eq!(one.ask(&two, ECHO, "after").await, Ok("after".into()));
    until("the late answer has come", || {
        one.peers.stats().peers[0].in_flight == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_can_be_asked_without_knowing_who_is_there() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    *one.members.cluster_id.lock() = None;
    let request = Request::new(ECHO, Bytes::from_static(b"may I join"));
    let asked = one
        .peers
        .call_address(&two.address(), request, PATIENCE)
        .await;
    let (hello, answer) = asked.expect("an answer");
    assert_eq!(answer, "may I join");
    assert_eq!((hello.node_id, hello.incarnation), (2, 2 << 100));
    assert_eq!(hello.cluster_id.as_deref(), Some("one"));
    assert_eq!(hello.address, two.address());
    assert!(!one.peers.is_connected(2) && !two.peers.is_connected(1));
    assert_eq!(two.asked.seen.lock()[0].0, 1);
}

#[tokio::test]
async fn a_node_does_not_ask_itself() {
    let authority = Authority::new(&[1]);
    let one = Node::start(&authority, 1).await;
    let asked = one.ask_at(1, &one.address(), ECHO, "").await;
    assert!(matches!(asked, Err(CallError::Unreachable(_))), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_ends_everything_and_frees_the_port() {
    let authority = Authority::new(&[1, 2]);
    let (one, two) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 2).await,
    );
    one.ask(&two, ECHO, "connected").await.expect("connected");
    let held = Request::new(HOLD, Bytes::new());
    let held = one.peers.send(2, &two.address(), held).expect("it is sent");
    until("it has come", || two.seen().len() == 2).await;
    let address = one.peers.local_addr();
    one.peers.shutdown().await;
    assert_eq!(held.await, Err(CallError::Shutdown));
    assert_eq!(one.ask(&two, ECHO, "").await, Err(CallError::Shutdown));
    until("the other one notices", || !two.peers.is_connected(1)).await;
    std::net::TcpListener::bind(address).expect("the port is free");
}
